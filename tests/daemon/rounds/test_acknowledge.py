"""Events are completed upstream when they may be, in batches, and never before they are on disk here."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.simulator import Faults, Seen, Simulator
from tests.daemon.rounds.world import HOLD, Hand, differing, look, running, settle


def test_events_are_completed_once_all_their_deliveries_are_settled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand(), sinks=("hook", "chat")) as shop:
            ids = await shop.brought(3, delivered=False)
            assert await shop.acknowledge() == HOLD
            await settle(shop.store, "chat")
            await shop.acknowledge()
            assert shop.batches() == []
            await settle(shop.store, "hook", 2)
            assert await shop.acknowledge() == HOLD
            assert sim.upstream.pending == ids[2:]
            await settle(shop.store, "hook")
            await shop.acknowledge()
            assert shop.completed() == set(ids)
            assert await shop.acknowledge() is None
            assert shop.batches() == [2, 1]

    asyncio.run(scenario())


def test_a_backlog_is_completed_in_batches_of_a_hundred(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand()) as shop:
            ids = await shop.brought(250)
            await shop.acknowledge()
            assert shop.batches() == [100, 100, 50]
            assert shop.completed() == set(ids)
            assert sim.upstream.pending == []
            assert set(sim.upstream.completed.values()) == {1}

    asyncio.run(scenario())


@pytest.mark.parametrize("hold", [timedelta(), HOLD])
def test_i2_nothing_is_completed_before_it_is_committed_here(tmp_path: Path, hold: timedelta) -> None:
    """Another connection sees the event and its deliveries at the moment the completion arrives upstream."""
    seen_by_others: list[tuple[int, int, int]] = []

    def on_request(stage: str, seen: Seen) -> None:
        if stage == "received" and seen.path.endswith("/complete"):
            ids = [str(event_id) for event_id in json.loads(seen.body)["event_ids"]]
            marks = ",".join("?" * len(ids))
            stored = look(tmp_path, f"SELECT count(*) FROM events WHERE external_id IN ({marks})", *ids)
            planned = look(tmp_path, f"SELECT count(*) FROM deliveries JOIN events ON events.id = event_id "
                                     f"WHERE external_id IN ({marks})", *ids)  # fmt: skip
            seen_by_others.append((len(ids), stored[0][0], planned[0][0]))

    async def scenario() -> None:
        async with (
            Simulator.start(on_request=on_request) as sim,
            running(sim, tmp_path, Hand(), hold=hold) as shop,
        ):
            for number in (1, 7, 130):
                ids = [sim.upstream.add_sample() for _ in range(number)]
                # The rounds run side by side, as in the daemon.
                await asyncio.gather(shop.collect(), shop.acknowledge())
                await settle(shop.store, "hook")
                await shop.acknowledge()
                assert not set(ids) & set(sim.upstream.pending)
            assert sum(asked for asked, _, _ in seen_by_others) == 138
            assert all(asked == stored == planned for asked, stored, planned in seen_by_others)

    asyncio.run(scenario())


def test_what_an_earlier_process_left_settled_is_completed_without_a_sweep(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim:
            async with running(sim, tmp_path, clock) as shop:
                ids = await shop.brought(5)
            async with running(sim, tmp_path, clock) as shop:
                sim.upstream.calls.clear()
                await shop.acknowledge()
                assert [call.method for call in sim.upstream.calls] == ["POST"]
                assert shop.completed() == set(ids)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(scope="write", drop="after"),
        Faults(scope="write", drop="midway"),
        Faults(scope="write", error_status=502, error_done=True),
        Faults(scope="write", error_status=504, error_done=True),
        Faults(scope="write", answer="html"),
        Faults(scope="write", answer="truncated"),
        Faults(scope="write", answer="gzip"),
    ],
    ids=differing,
)
def test_an_unclear_completion_that_did_arrive_shows_in_the_next_sweep(tmp_path: Path, faults: Faults) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            ids = await shop.brought(3)
            sim.upstream.faults = faults
            wait = await shop.acknowledge()
            assert wait is not None
            assert timedelta(seconds=2) <= wait <= timedelta(seconds=2.2)
            assert shop.completed() == set()
            assert sim.upstream.pending == []
            assert shop.line.health["write"].health == "failing"
            clock.advance(seconds=30)
            await shop.collect()
            assert shop.completed() == set(ids)
            assert shop.told() == []
            assert await shop.acknowledge() is None
            assert shop.batches() == [3]
            assert shop.line.troubles() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(scope="write", drop="before", times=2),
        Faults(scope="write", error_status=500, times=2),
        Faults(scope="write", error_status=503, retry_after="missing", times=2),
        Faults(scope="write", error_status=504, error_done=True, times=2),
        Faults(scope="write", answer="error_in_200", times=2),
    ],
    ids=differing,
)
def test_a_completion_that_failed_is_repeated_until_it_is_agreed_to(tmp_path: Path, faults: Faults) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            ids = await shop.brought(3)
            sim.upstream.faults = faults
            for _ in range(3):
                clock.advance(seconds=((await shop.acknowledge()) or timedelta()).total_seconds())
            assert shop.completed() == set(ids)
            assert sim.upstream.pending == []
            assert shop.batches() == [3, 3, 3]
            assert shop.line.troubles() == []

    asyncio.run(scenario())


def test_an_event_that_comes_back_is_completed_again_and_not_sent_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with (
            Simulator.start(faults=Faults(relist=4)) as sim,
            running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop,
        ):
            (event_id,) = await shop.brought(1)
            await shop.acknowledge()
            for _ in range(6):
                clock.advance(hours=7)
                await shop.collect()
                await shop.acknowledge()
            assert sim.upstream.completed[event_id] >= 3
            assert shop.completed() == {event_id}
            assert look(tmp_path, "SELECT count(*) FROM attempts") == [(1,)]
            assert shop.woken.count("hook") == 1
            (told,) = shop.told("alert.returned")
            assert event_id in told

    asyncio.run(scenario())


def test_an_event_set_aside_or_vanished_leaves_no_trouble_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim:
            async with running(sim, tmp_path, clock) as shop:
                (event_id,) = await shop.brought(1)
                sim.upstream.faults = Faults(scope="write", error_status=500)
                await shop.acknowledge()
                assert shop.line.troubles() != []
            sim.upstream.faults = Faults()
            sim.upstream.withdraw(event_id)
            clock.advance(minutes=1)
            async with running(sim, tmp_path, clock) as shop:
                await shop.collect()
                assert await shop.acknowledge() is None
                assert shop.line.troubles() == []
            async with running(sim, tmp_path, clock) as shop:
                assert shop.line.troubles() == []

    asyncio.run(scenario())
