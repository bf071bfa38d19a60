"""How a process may end, and what the next one finds."""

import asyncio
import json
import os
import signal
import time
from collections import Counter

from daemon.simulator.faults import Behaviour, Faults


def test_deliveries_under_way_are_waited_for_at_sigterm(world):
    """F5."""

    async def story():
        async with world() as w:
            w.configure()
            w.sim.inbox.behave("hook", Behaviour(latency=2.0))
            event_id = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: w.log().count("events.stored"))
            await asyncio.sleep(0.3)
            assert await w.stop() == 0
            assert w.accepted("hook") == [f"builtbybit-{event_id}-hook"]
            assert w.sim.upstream.completed == {event_id: 1}, "the verdict and the completion were flushed"

    asyncio.run(story())


def test_a_hung_delivery_is_cut_off_after_stop_timeout_and_sent_again_at_the_next_start(world):
    """F5, with a sink that never answers."""

    async def story():
        async with world() as w:
            w.configure(daemon='stop_timeout = "1s"')
            w.sim.inbox.behave("hook", Behaviour(hang=True, times=1))
            event_id = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: w.sim.inbox.received("hook"))
            began = time.monotonic()
            assert await w.stop() == 0
            assert time.monotonic() - began < 10
            await w.start()
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1})
            assert await w.stop() == 0
            assert w.accepted("hook") == [f"builtbybit-{event_id}-hook"] * 2, "the same id, so that it can be dropped"
            assert w.rows("SELECT state, failures FROM deliveries") == [("delivered", 0)]

    asyncio.run(story())


def test_a_second_signal_ends_the_process_at_once(world):
    """F5."""

    async def story():
        async with world() as w:
            w.configure()
            w.sim.inbox.behave("hook", Behaviour(hang=True))
            w.sim.upstream.add_sample()
            process = await w.start()
            await w.until(lambda: w.sim.inbox.received("hook"))
            process.send_signal(signal.SIGTERM)
            await w.until(lambda: "daemon.stopping" in w.log())
            began = time.monotonic()
            assert await w.stop(signal.SIGINT) == 1
            assert time.monotonic() - began < 10

    asyncio.run(story())


def test_a_kill_between_send_and_record_costs_one_repeat_with_the_same_id(world):
    """W4, I5, I6: the receiver has it, the daemon never learned so."""
    armed = {"pid": None}

    def kill(stage, seen):
        if stage == "processed" and seen.side == "webhook" and armed["pid"] is not None:
            os.kill(armed["pid"], signal.SIGKILL)
            armed["pid"] = None

    async def story():
        async with world(on_request=kill) as w:
            w.configure()
            process = await w.start()
            armed["pid"] = process.pid
            ids = [w.sim.upstream.add_sample() for _ in range(5)]
            await process.wait()
            assert process.returncode == -signal.SIGKILL
            assert w.sim.upstream.completed == {}, "nothing was completed early"
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 5)
            assert await w.stop() == 0
            counts = Counter(w.accepted("hook"))
            assert set(counts) == {f"builtbybit-{each}-hook" for each in ids}
            assert 5 <= sum(counts.values()) <= 5 + 4, "no more repeats than deliveries that were under way"
            assert w.sim.upstream.completed == dict.fromkeys(ids, 1)
            assert w.rows("SELECT count(*) FROM attempts WHERE outcome = 'cut_off'")[0][0] >= 1

    asyncio.run(story())


def test_a_kill_while_completing_completes_again_and_sends_nothing_twice(world):
    """W6: the completion arrived, its answer did not."""
    armed = {"pid": None}

    def kill(stage, seen):
        if stage == "processed" and seen.path.endswith("/complete") and armed["pid"] is not None:
            os.kill(armed["pid"], signal.SIGKILL)
            armed["pid"] = None

    async def story():
        async with world(on_request=kill) as w:
            w.configure()
            process = await w.start()
            armed["pid"] = process.pid
            ids = [w.sim.upstream.add_sample() for _ in range(5)]
            await process.wait()
            await w.start()
            await w.until(lambda: not w.rows("SELECT 1 FROM events WHERE acknowledged_at IS NULL"))
            assert await w.stop() == 0
            assert Counter(w.accepted("hook")) == Counter(f"builtbybit-{each}-hook" for each in ids)
            assert set(w.sim.upstream.completed) == set(ids)

    asyncio.run(story())


def test_what_was_delivered_but_not_completed_is_completed_first_at_the_next_start(world):
    async def story():
        async with world(faults=Faults(scope="write", error_status=500)) as w:
            w.configure()
            event_id = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: any(call.method == "POST" for call in w.sim.upstream.calls))
            w.kill()
            await w.process.wait()
            w.sim.upstream.faults = Faults()
            before = len(w.sim.upstream.calls)
            await w.start()
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1})
            assert await w.stop() == 0
            assert w.sim.upstream.calls[before].method == "POST", "before the first sweep"
            assert len(w.accepted("hook")) == 1

    asyncio.run(story())


def test_a_second_process_on_the_same_database_is_refused_and_harms_nothing(world):
    """I18, F19."""

    async def story():
        async with world() as w:
            w.configure()
            event_id = w.sim.upstream.add_sample()
            first = await w.start()
            await w.until(lambda: "daemon.started" in w.log())
            second = await w.start()
            async with asyncio.timeout(20):
                assert await second.wait() == 75
            assert f"in use by the process {first.pid}" in w.log()
            assert "Traceback" not in w.log()
            w.process = first
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1})
            assert await w.stop() == 0

    asyncio.run(story())


def test_one_round_for_cron_delivers_completes_and_ends(world):
    async def story():
        async with world() as w:
            w.configure(sinks=w.everything())
            ids = [w.sim.upstream.add_sample() for _ in range(7)]
            process = await w.start("once")
            async with asyncio.timeout(30):
                assert await process.wait() == 0
            assert w.sim.upstream.completed == dict.fromkeys(ids, 1)
            assert len(w.accepted("hook")) == 7

    asyncio.run(story())


def test_a_dry_run_sends_and_completes_nothing(world):
    async def story():
        async with world() as w:
            w.configure(sinks=w.everything())
            event_id = w.sim.upstream.add_sample()
            process = await w.start("run", "--dry-run")
            await w.until(lambda: len([call for call in w.sim.upstream.calls if call.method == "GET"]) >= 3)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await process.wait() == 0
            assert w.sim.upstream.pending == [event_id]
            assert not any(call.method == "POST" for call in w.sim.upstream.calls)
            assert w.sim.inbox.calls == []
            assert w.sim.mail.received == []
            assert not (w.folder / "eventferry.db").exists()

    asyncio.run(story())


def test_five_planted_mistakes_are_all_named_with_their_lines(world):
    async def story():
        async with world() as w:
            config = w.folder / "config.toml"
            config.write_text(
                "\n".join(
                    [
                        "[daemon]",
                        'kep = "180d"',
                        "[sources.builtbybit]",
                        'type = "builtbybit"',
                        'token = "env:NO_SUCH_VARIABLE"',
                        'poll = "30"',
                        "[sinks.sales]",
                        'type = "webhook"',
                        'urll = "https://example.org/hook"',
                        "[sinks.other]",
                        'type = "pigeon"',
                    ]
                )
            )
            process = await w.start("check")
            async with asyncio.timeout(20):
                assert await process.wait() == 78
            for line, what in (
                (2, 'daemon.kep: unknown key; did you mean "keep"?'),
                (5, "sources.builtbybit.token:"),
                (6, "sources.builtbybit.poll:"),
                (9, 'sinks.sales.urll: unknown key; did you mean "url"?'),
                (11, "sinks.other.type:"),
            ):
                assert f"config.toml:{line}: {what}" in w.log()
            assert "Traceback" not in w.log()

    asyncio.run(story())


def test_the_log_holds_one_json_object_a_line(world):
    async def story():
        async with world() as w:
            w.configure()
            w.sim.upstream.add("purchase\nfake line", {"username": "a\r\nb"})
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 1)
            assert await w.stop() == 0
            lines = [json.loads(line) for line in w.log().splitlines()]
            assert {"daemon.started", "events.stored", "daemon.stopped"} <= {line["event"] for line in lines}

    asyncio.run(story())
