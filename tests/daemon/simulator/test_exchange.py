"""Answers are spoilt, delayed, cut and withheld as the switches say, and the ledger is right all the same."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from daemon.simulator import Behaviour, Faults, Seen, Simulator, Stage

Client = Callable[[Simulator], httpx.AsyncClient]


async def raw_get(sim: Simulator, path: str) -> bytes:
    """Everything that comes back on a connection of our own. Raises ConnectionResetError on RST."""
    address = sim.api_url.removeprefix("http://").removesuffix("/v2")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = (
        f"GET /v2{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Token {sim.token}\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode())
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "form", ["truncated", "html", "empty", "bom", "nan", "deep", "error_in_200", "data_null", "data_list"]
)
def test_a_spoilt_body_comes_with_status_200(client: Client, form: Any) -> None:
    async def scenario() -> httpx.Response:
        async with Simulator.start(faults=Faults(answer=form)) as sim, client(sim) as http:
            sim.upstream.add_sample()
            return await http.get("/events")

    answer = asyncio.run(scenario())
    assert answer.status_code == 200
    body = answer.content
    match form:
        case "truncated":
            assert body.startswith(b'{"result":"success"')
            with pytest.raises(ValueError, match="column"):
                json.loads(body)
        case "html":
            assert body.startswith(b"<!DOCTYPE html>")
        case "empty":
            assert body == b""
        case "bom":
            assert body.startswith(b"\xef\xbb\xbf{")
        case "nan":
            assert json.loads(body)["ratio"] != json.loads(body)["ratio"]
        case "deep":
            with pytest.raises(RecursionError):
                json.loads(body)
        case "error_in_200":
            assert answer.json()["result"] == "error"
        case "data_null":
            assert answer.json()["data"] is None
        case "data_list":
            assert answer.json()["data"] == []


def test_gzip_comes_although_identity_was_asked_for(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(answer="gzip")) as sim, client(sim) as http:
            request = http.build_request("GET", "/health", headers={"Accept-Encoding": "identity"})
            answer = await http.send(request, stream=True)
            assert answer.headers["content-encoding"] == "gzip"
            raw = b"".join([part async for part in answer.aiter_raw()])
            assert json.loads(gzip.decompress(raw))["data"] == "ok"
            await answer.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("form", ["drip", "endless"])
def test_a_body_can_come_so_slowly_or_so_long_that_only_a_deadline_ends_it(client: Client, form: Any) -> None:
    async def scenario() -> int:
        async with Simulator.start(faults=Faults(answer=form)) as sim, client(sim) as http:
            size = 0
            with suppress(TimeoutError):
                async with http.stream("GET", "/health") as answer, asyncio.timeout(0.7):
                    async for part in answer.aiter_raw():
                        size += len(part)
                    return 0
            return size

    size = asyncio.run(scenario())
    assert 1 <= size <= 6 if form == "drip" else size > 500_000


def test_headers_can_be_huge(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(answer="huge_headers")) as sim:
            assert len(await raw_get(sim, "/health")) > 1_000_000

    asyncio.run(scenario())


@pytest.mark.parametrize(("drop", "done"), [("before", 0), ("midway", 1), ("after", 1)])
def test_a_connection_is_reset_before_or_after_the_call_took_effect(client: Client, drop: Any, done: int) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(drop=drop, scope="write", times=1)) as sim, client(sim) as http:
            event_id = sim.upstream.add_sample()
            with pytest.raises(httpx.HTTPError):
                await http.post("/events/complete", json={"event_ids": [int(event_id)]})
            assert len(sim.upstream.completions) == done
            assert [call.status for call in sim.upstream.calls] == [200 if done else 0]
            assert (await http.post("/events/complete", json={"event_ids": [int(event_id)]})).status_code == 200

    asyncio.run(scenario())


def test_a_drop_is_a_reset_and_no_orderly_end() -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(drop="after")) as sim:
            with pytest.raises(ConnectionResetError):
                await raw_get(sim, "/health")

    asyncio.run(scenario())


def test_latency_delays_the_calls_in_scope(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(latency=0.2, scope="read")) as sim, client(sim) as http:
            took = []
            for _ in range(5):
                start = time.monotonic()
                await http.post("/events/complete", json={"event_ids": []})
                took.append(time.monotonic() - start)
            assert min(took) < 0.2
            start = time.monotonic()
            await http.get("/health")
            assert time.monotonic() - start >= 0.2

    asyncio.run(scenario())


def test_a_completion_counts_although_the_client_left_before_the_answer(client: Client) -> None:
    async def scenario() -> None:
        processed = asyncio.Event()

        def watch(stage: Stage, seen: Seen) -> None:
            if stage == "processed":
                processed.set()

        faults = Faults(latency=0.5, scope="write")
        async with Simulator.start(faults=faults, on_request=watch) as sim, client(sim) as http:
            event_id = sim.upstream.add_sample()
            patience = httpx.Timeout(5, read=0.1)
            with pytest.raises(httpx.ReadTimeout):
                await http.post("/events/complete", json={"event_ids": [int(event_id)]}, timeout=patience)
            await http.aclose()
            assert sim.upstream.completed == {}
            await asyncio.wait_for(processed.wait(), 5)
            assert sim.upstream.completed == {event_id: 1}

    asyncio.run(scenario())


def test_half_a_request_has_no_effect_but_is_in_the_ledger() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            event_id = sim.upstream.add_sample()
            host, _, port = sim.api_url.removeprefix("http://").removesuffix("/v2").partition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"POST /v2/events/complete HTTP/1.1\r\nHost: x\r\nAuthorization: Token {sim.token}\r\n"
            writer.write(f'{head}Content-Length: 99\r\n\r\n{{"event_ids":[{event_id}]'.encode())
            await writer.drain()
            writer.close()
            await sim.until(lambda: bool(sim.upstream.calls))
            assert (sim.upstream.calls[0].status, sim.upstream.completed) == (0, {})

    asyncio.run(scenario())


def test_hooks_are_called_at_each_stage_of_each_call_and_may_wait(client: Client) -> None:
    async def scenario() -> None:
        stages: list[tuple[Stage, str, str, int]] = []

        async def watch(stage: Stage, seen: Seen) -> None:
            await asyncio.sleep(0)
            stages.append((stage, seen.side, seen.name, len(sim.upstream.completions)))

        async with Simulator.start(on_request=watch) as sim, client(sim) as http:
            event_id = sim.upstream.add_sample()
            await http.post("/events/complete", json={"event_ids": [int(event_id)]})
            await http.post(sim.webhook_url("shop"), content=b"{}")
            await sim.until(lambda: len(stages) == 6)
        assert stages == [
            ("received", "api", "", 0),
            ("processed", "api", "", 1),
            ("answered", "api", "", 1),
            ("received", "webhook", "shop", 1),
            ("processed", "webhook", "shop", 1),
            ("answered", "webhook", "shop", 1),
        ]

    asyncio.run(scenario())


def test_leaving_ends_every_call_at_once_and_without_a_word(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> float:
        async with Simulator.start(faults=Faults(latency=60)) as sim, client(sim) as http:
            sim.inbox.behave("stuck", Behaviour(hang=True))
            sim.inbox.behave("slow", Behaviour(answer="drip"))
            calls = [
                asyncio.create_task(http.get("/health")),
                asyncio.create_task(http.post(sim.webhook_url("stuck"))),
                asyncio.create_task(http.post(sim.webhook_url("slow"))),
            ]
            await sim.until(lambda: {call.name for call in sim.inbox.calls} == {"stuck", "slow"})
            leaving = time.monotonic()
        assert all(isinstance(end, httpx.HTTPError) for end in await asyncio.gather(*calls, return_exceptions=True))
        return time.monotonic() - leaving

    assert asyncio.run(scenario()) < 2
    assert caplog.text == ""
