"""The stand-ins start on loopback, all together, and stop without a trace."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from daemon.simulator import TOKEN, Faults, Options, Seen, Simulator, Stage, serve


async def nothing(**options: object) -> None:
    async with Simulator.start(**options):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        asyncio.run(nothing(host=host))


def test_a_taken_port_is_named_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            asyncio.run(nothing(smtp_port=port))


def test_it_listens_on_ipv6_too() -> None:
    async def scenario() -> None:
        async with Simulator.start(host="::1") as sim, httpx.AsyncClient(trust_env=False) as http:
            assert sim.api_url.startswith("http://[::1]:")
            assert (await http.post(sim.webhook_url("shop"))).status_code == 200
            _, writer = await asyncio.open_connection(sim.smtp_host, sim.smtp_port)
            writer.close()

    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
    asyncio.run(scenario())


def test_answers_are_not_held_back_for_an_acknowledgement() -> None:
    async def scenario() -> int:
        async with Simulator.start() as sim, httpx.AsyncClient(trust_env=False) as http:
            start = time.monotonic()
            for _ in range(50):
                await http.get(f"{sim.inbox_url}/nobody")
            return round((time.monotonic() - start) * 1000 / 50)

    assert asyncio.run(scenario()) < 30  # it is 1 to 5 ms; the kernel holds back for 40


def test_a_receivers_address_is_the_same_at_every_start() -> None:
    async def addresses() -> tuple[str, str]:
        async with Simulator.start() as sim:
            with pytest.raises(ValueError, match="a/b"):
                sim.webhook_url("a/b")
            return sim.discord_url("sales").removeprefix(sim.inbox_url), sim.webhook_url("x").removeprefix(
                sim.inbox_url
            )

    first, second = asyncio.run(addresses()), asyncio.run(addresses())
    assert first == second
    assert first[0].startswith("/api/webhooks/")
    assert first[1] == "/webhook/x"


def test_the_port_is_free_again_at_once_and_neither_signals_nor_logging_are_touched() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    root = list(logging.getLogger().handlers)

    async def scenario() -> None:
        async with Simulator.start() as sim, httpx.AsyncClient(trust_env=False) as http:
            await http.post(sim.webhook_url("shop"))
            assert signal.getsignal(signal.SIGTERM) == handlers[signal.SIGTERM]
            port = int(sim.inbox_url.rpartition(":")[2])
        await nothing(inbox_port=port)

    asyncio.run(scenario())
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert logging.getLogger().handlers == root


def test_serve_runs_until_cancelled_and_makes_events_at_the_rate_asked_for() -> None:
    async def scenario() -> None:
        ready: asyncio.Future[Simulator] = asyncio.get_running_loop().create_future()
        options = Options(api_port=0, inbox_port=0, smtp_port=0, rate=6000, faults=Faults(order="newest"))
        serving = asyncio.create_task(serve(options, ready.set_result))
        async with asyncio.timeout(5):
            sim = await ready
            assert sim.upstream.faults.order == "newest"
            await sim.until(lambda: len(sim.upstream.pending) >= 20)
        assert not serving.done()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(scenario())
    assert TOKEN not in repr(Options())


def test_a_negative_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="rate must be at least 0"):
        Options(rate=-1)


COMPLETES_ONE = """
import sys, urllib.request
url, token, event_id = sys.argv[1:]
body = b'{"event_ids":[' + event_id.encode() + b']}'
headers = {"Authorization": "Token " + token, "Content-Type": "application/json"}
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(url, body, headers)).read()
print("answered")
"""


@pytest.mark.parametrize("stage", ["received", "processed"])
def test_a_client_can_be_killed_at_a_stage_and_what_it_asked_for_is_done_all_the_same(stage: Stage) -> None:
    async def scenario() -> None:
        killed = asyncio.Event()

        def kill(reached: Stage, seen: Seen) -> None:
            if reached == stage:
                os.kill(client.pid, signal.SIGKILL)
                client.wait()
                killed.set()

        async with Simulator.start(on_request=kill) as sim:
            event_id = sim.upstream.add_sample()
            url = f"{sim.api_url}/events/complete"
            command = [sys.executable, "-c", COMPLETES_ONE, url, sim.token, event_id]
            client = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220
            await sim.until(lambda: killed.is_set() and bool(sim.upstream.calls), within=20)
            assert client.communicate()[0] == b""
            assert client.returncode == -signal.SIGKILL
            assert sim.upstream.completed == {event_id: 1}
            assert [call.status for call in sim.upstream.calls] == [200]

    asyncio.run(scenario())
