"""A full disk: nothing is taken in, sent or completed, it says so, and goes on by itself (F9, F10)."""

import asyncio
import json
from collections import Counter

import pytest

from daemon.simulator.faults import Behaviour
from tests.acceptance.conftest import PATIENCE
from tests.acceptance.disk import (
    DATABASE,
    NO_SPACE,
    begun,
    command,
    completed,
    ended,
    from_the_start,
    logged,
    make_database,
    needs_strace,
    ping,
    quiet,
    spoiled,
    spoiled_threads,
    until_full,
)

pytestmark = needs_strace


def states(w):
    return dict(w.rows("SELECT external_id, state FROM deliveries JOIN events ON events.id = event_id"))


def test_a_disk_that_is_full_when_something_is_to_be_stored_stops_everything_until_there_is_room(world):
    """F9, T1: what cannot be stored is neither sent nor completed, and no storm is in the log."""

    async def story():
        async with world() as w:
            w.configure()
            (first, *rest) = [w.sim.upstream.add_sample()]
            await w.start()
            await w.until(lambda: completed(w, first))
            async with spoiled(w, NO_SPACE):
                rest = [w.sim.upstream.add_sample() for _ in range(5)]
                await until_full(w)
                await quiet(w)
                code, out, _ = await command(w, "status", "--json")
                seen = json.loads(out)
                assert (code, seen["daemon"]["disk_full"]) == (1, True)
                assert seen["troubles"] == ["the disk is full: nothing can be stored"]
                code, out, _ = await command(w, "status")
                assert code == 1
                assert "The disk is full. Make room: work goes on by itself, nothing is lost." in out
                assert states(w) == {first: "delivered"}
                assert len(w.accepted("hook")) == 1
                assert len(logged(w, "store.disk_full")) == 1
                assert len(spoiled_threads(w)) == 1, "there is one writer"
            await w.until(lambda: completed(w, *rest))
            await until_full(w, full=False)
            await w.until(lambda: logged(w, "store.disk_has_room"))
            assert await w.stop() == 0
            assert Counter(w.accepted("hook")) == Counter(f"builtbybit-{each}-hook" for each in (first, *rest))
            assert len(logged(w, "store.disk_full")) == 1
            assert "Traceback" not in w.log()

    asyncio.run(story())


def test_a_disk_that_is_full_when_an_attempt_is_to_be_counted_sends_nothing(world):
    """F9, T2: a delivery that is due waits with the disk, and goes out once."""

    async def story():
        async with world() as w:
            w.configure(sinks=w.webhook("hook", 'retries = ["2s"]'))
            w.sim.inbox.behave("hook", Behaviour(statuses=(503,)))
            event_id = w.sim.upstream.add_sample()
            await begun(w)
            claimable = "SELECT 1 FROM deliveries WHERE state = 'waiting' AND failures = 1 AND claimed_at IS NULL"
            await w.until(lambda: w.rows(claimable))
            async with spoiled(w, NO_SPACE):
                await until_full(w)
                await quiet(w, 2.5)
                assert len(w.sim.inbox.calls) == 1
            await w.until(lambda: completed(w, event_id))
            assert len(w.sim.inbox.calls) == 2
            assert await w.stop() == 0

    asyncio.run(story())


def test_a_disk_that_is_full_when_a_verdict_is_to_be_recorded_completes_nothing_and_repeats_nothing(world):
    """F9, T3: verdicts that cannot be stored yet are kept; no lane begins anything new."""
    full, held = asyncio.Event(), Counter()

    async def hold(stage, seen):
        if stage == "received" and seen.side == "webhook":
            held[seen.name] += 1
            async with asyncio.timeout(PATIENCE):
                await full.wait()

    async def story():
        async with world(on_request=hold) as w:
            w.configure(sinks=w.webhook("hook") + w.webhook("other"))
            ids = [w.sim.upstream.add_sample() for _ in range(2)]
            await begun(w)
            await w.until(lambda: held == Counter(hook=2, other=2))
            async with spoiled(w, NO_SPACE):
                full.set()
                await until_full(w)
                await quiet(w)
                assert len(w.accepted("hook")) == 2
                assert len(w.accepted("other")) == 2
                assert "POST" not in [call.method for call in w.sim.upstream.calls]
                assert set(states(w).values()) == {"waiting"}
            await w.until(lambda: completed(w, *ids))
            assert await w.stop() == 0
            for name in ("hook", "other"):
                assert Counter(w.accepted(name)) == Counter(f"builtbybit-{each}-{name}" for each in ids)

    asyncio.run(story())


def test_a_daemon_that_waits_for_room_can_be_stopped_and_what_it_sent_is_repeated_with_the_same_id(world):
    """F9, I5: an order to stop is obeyed although nothing can be recorded any more."""

    async def story():
        async with world() as w:
            w.configure(daemon='stop_timeout = "1s"')
            w.sim.inbox.behave("hook", Behaviour(latency=1.0))
            event_id = w.sim.upstream.add_sample()
            await begun(w)
            await w.until(lambda: w.rows("SELECT 1 FROM deliveries WHERE claimed_at IS NOT NULL"))
            async with spoiled(w, NO_SPACE):
                await w.until(lambda: w.accepted("hook"))
                await until_full(w)
                assert await w.stop() == 0
            assert w.sim.upstream.completed == {}
            await w.start()
            await w.until(lambda: completed(w, event_id))
            assert await w.stop() == 0
            assert w.accepted("hook") == [f"builtbybit-{event_id}-hook"] * 2

    asyncio.run(story())


def test_a_disk_on_which_the_log_has_no_room_to_be_copied_from_loses_nothing(world):
    """F9 at a checkpoint, which is all done again after an error: the log grows, until there is room."""
    large = {"note": "x" * 100_000}

    async def story():
        async with world() as w:
            w.configure()
            await begun(w)
            async with spoiled(w, {"pwrite64": "error=ENOSPC"}, DATABASE):
                ids = [w.sim.upstream.add("purchase", large) for _ in range(30)]
                await w.until(lambda: completed(w, *ids), 60)
                await w.until(lambda: spoiled_threads(w))
                assert not (await ping(w))["disk_full"]
                assert len(spoiled_threads(w)) == 1, "there is one checkpointer"
            grown = (w.folder / "eventferry.db-wal").stat().st_size
            more = [w.sim.upstream.add("purchase", large) for _ in range(30)]
            await w.until(lambda: completed(w, *more), 60)
            assert (w.folder / "eventferry.db-wal").stat().st_size < grown * 1.5, "it was begun anew"
            assert await w.stop() == 0
            assert Counter(w.accepted("hook")) == Counter(f"builtbybit-{each}-hook" for each in ids + more)

    asyncio.run(story())


@pytest.mark.parametrize("first", [True, False], ids=["the first start", "a later start"])
def test_a_start_on_a_full_disk_is_refused_and_harms_nothing(world, first):
    """F10."""

    async def story():
        async with world() as w:
            w.configure()
            event_id = w.sim.upstream.add_sample()
            if not first:
                await make_database(w)
            await w.start("run" if first else "once", under=from_the_start(w.folder, NO_SPACE))
            assert await ended(w) == 74
            *_, line = w.log().splitlines()
            assert line.startswith(f"eventferry: {w.folder / DATABASE}: ")
            assert "full" in line
            assert "make room" in line
            assert w.sim.inbox.calls == []
            assert "Traceback" not in w.log()
            await w.start("once")
            assert await ended(w) == 0
            assert completed(w, event_id)
            assert w.sim.upstream.pending == []

    asyncio.run(story())


@pytest.mark.parametrize("redirection", [">/dev/full 2>&1", "<&- >&- 2>&-"])
def test_a_daemon_whose_log_nobody_takes_works_all_the_same(world, redirection):
    """F10: the log's disk is full, or its streams are closed."""

    async def story():
        async with world() as w:
            w.configure()
            ids = [w.sim.upstream.add_sample() for _ in range(3)]
            await w.start(under=("sh", "-c", f'exec "$@" {redirection}', "sh"))
            await w.until(lambda: completed(w, *ids))
            assert await w.stop() == 0
            assert w.log() == ""

    asyncio.run(story())
