"""The wall clock was set: all that waits, stored or asked for, moves in one transaction (F46, I12)."""

import asyncio
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daemon.clock import SteadyClock
from daemon.lane import Lane, shifted
from daemon.store import Enrolled
from tests.ledger import LEASE, NOON, Stores, add, opened, planned, rows, story

HOOK = {"hook": Enrolled("hook", "webhook", "settings")}


@story
async def test_a_hold_that_moved_with_the_clock_outlives_a_kill_right_after(make_store: Stores) -> None:
    held = Lane(since=NOON, health="slowed", held_until=NOON + timedelta(seconds=30))
    async with make_store() as store:
        await store.sinks.enroll(HOOK)
        await store.sinks.set_lane("hook", held)
        step = timedelta(hours=-1)
        await store.shift(step, {"hook": shifted(held, step)})
        assert (await store.sinks.enroll(HOOK))["hook"].held_until == NOON + timedelta(seconds=30) + step


@pytest.mark.parametrize("step", [timedelta(days=2), timedelta(hours=-1)])
def test_what_was_asked_for_before_a_step_claims_nothing_early_and_leases_nothing_for_ever(
    tmp_path: Path, step: timedelta
) -> None:
    """I12: a claim may still be queued as the clock is set; it must not be made in the time after."""

    async def scenario() -> None:
        wall, even = [NOON], [0.0]
        clock = SteadyClock(lambda: wall[0], lambda: even[0])
        async with opened(tmp_path / "eventferry.db", clock) as store:
            await store.sinks.enroll(HOOK)
            await add(store, planned(1, "hook"))
            (claim,) = (await store.deliveries.claim("hook", limit=1, lease=LEASE)).claims
            assert claim.claimed_at == NOON
            go_on = threading.Event()
            busy = asyncio.create_task(store.database.write(lambda _, __: go_on.wait(20)))
            asked = asyncio.create_task(store.deliveries.claim("hook", limit=1, lease=LEASE))
            await asyncio.sleep(0)
            wall[0] += step
            assert clock.resync() == step
            shifting = asyncio.create_task(store.shift(step))
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.gather(busy, shifting)
            assert (await asked).claims == ()
            (due_at,) = await rows(store, "SELECT due_at FROM deliveries")
            assert datetime.fromisoformat(due_at).replace(tzinfo=NOON.tzinfo) == NOON + LEASE + step

    asyncio.run(scenario())


@story
async def test_completions_that_wait_go_on_waiting_for_as_long(make_store: Stores) -> None:
    """F46: of an event that the source refused, and of a pruned one that it lists again."""
    async with make_store() as store:
        await add(store, planned(1), planned(2))
        await store.acknowledgements.refused("builtbybit", "1", "HTTP 422")
        await store.acknowledgements.done("builtbybit", ["2"])
        await store.pruning.step(keep=timedelta(days=-1), from_id=0, limit=10)
        await add(store, planned(2))
        moments = (
            "SELECT ack_due_at FROM events WHERE ack_due_at IS NOT NULL UNION ALL SELECT ack_due_at FROM tombstones"
        )
        before = [datetime.fromisoformat(moment) for moment in await rows(store, moments)]
        assert len(before) == 2
        await store.shift(timedelta(hours=-1))
        after = [datetime.fromisoformat(moment) for moment in await rows(store, moments)]
        assert after == [moment - timedelta(hours=1) for moment in before]
