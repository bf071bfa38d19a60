"""Completions that are refused: whole, in part, for a while, or for want of a right."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.secrets import Secret
from daemon.simulator import Faults, Simulator
from tests.daemon.rounds.world import Hand, look, running


@pytest.mark.parametrize(
    ("status", "blamed"), [(400, [0]), (404, [99]), (409, [57]), (422, [0, 1, 2]), (404, [10, 40, 70, 99])]
)
def test_a_refused_batch_is_halved_down_to_the_ids_to_blame(tmp_path: Path, status: int, blamed: list[int]) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            ids = await shop.brought(100)
            bad = {ids[position] for position in blamed}
            sim.upstream.faults = Faults(unknown_id=status, bad_ids=tuple(bad))
            wait = await shop.acknowledge()
            assert wait == timedelta(minutes=15)
            assert shop.completed() == set(ids) - bad
            assert len(shop.batches()) <= 1 + 14 * len(bad)
            why = look(tmp_path, "SELECT DISTINCT ack_reason FROM events WHERE acknowledged_at IS NULL")
            assert why == [(f"HTTP {status} EventNotFoundError",)]
            assert shop.line.troubles() == []

            sim.upstream.calls.clear()
            more = await shop.brought(3)
            await shop.acknowledge()
            assert shop.completed() == {*ids, *more} - bad
            assert shop.batches() == [3]

            clock.advance(minutes=15)
            assert await shop.acknowledge() == timedelta(minutes=30)
            clock.advance(minutes=30)
            sim.upstream.faults = Faults()
            await shop.acknowledge()
            assert shop.completed() == {*ids, *more}
            assert sim.upstream.pending == []

    asyncio.run(scenario())


def test_a_batch_that_is_too_large_is_halved_and_the_size_remembered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(batch_limit=30)) as sim, running(sim, tmp_path, Hand()) as shop:
            ids = await shop.brought(100)
            await shop.acknowledge()
            assert shop.completed() == set(ids)
            assert shop.batches() == [100, 50, 25, 25, 50, 25, 25]
            ids += await shop.brought(60)
            sim.upstream.calls.clear()
            await shop.acknowledge()
            assert shop.completed() == set(ids)
            assert shop.batches() == [25, 25, 10]

    asyncio.run(scenario())


def test_a_single_id_that_is_too_large_is_nonsense_and_waited_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        faults = Faults(scope="write", error_status=413)
        async with Simulator.start(faults=faults) as sim, running(sim, tmp_path, Hand()) as shop:
            await shop.brought(8)
            assert await shop.acknowledge() is not None
            assert shop.batches() == [8, 4, 2, 1]
            assert "refuses every completion (HTTP 413 ServerError)" in shop.line.health["write"].reason
            assert look(tmp_path, "SELECT count(*) FROM events WHERE ack_due_at IS NOT NULL") == [(0,)]

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [400, 404, 422])
def test_where_everything_is_refused_no_storm_of_requests_follows(tmp_path: Path, status: int) -> None:
    async def scenario() -> None:
        clock = Hand()
        faults = Faults(scope="write", error_status=status)
        async with Simulator.start(faults=faults) as sim, running(sim, tmp_path, clock) as shop:
            ids = await shop.brought(100)
            began, waits = clock.now, []
            while clock.now - began < timedelta(minutes=20):
                before = len(shop.batches())
                wait = await shop.acknowledge()
                assert len(shop.batches()) - before <= 25
                assert wait is not None
                waits.append(wait)
                clock.advance(seconds=wait.total_seconds())
            assert len(shop.batches()) < 250
            assert len(waits) < 13
            assert max(waits) >= timedelta(minutes=4)
            sim.upstream.faults = Faults()
            while sim.upstream.pending:
                clock.advance(hours=1)
                await shop.acknowledge()
            assert shop.completed() == set(ids)

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_may_not_complete_is_told_and_polling_goes_on(tmp_path: Path, code: int) -> None:
    async def scenario() -> None:
        clock = Hand()
        faults = Faults(scope="write", error_status=code, error_code="ScopeMissing")
        async with (
            Simulator.start(faults=faults) as sim,
            running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop,
        ):
            ids = await shop.brought(2)
            began, asked = clock.now, []
            while clock.now - began < timedelta(minutes=22):
                before = len(shop.batches())
                wait = await shop.acknowledge()
                assert wait is not None
                if len(shop.batches()) > before:
                    asked.append((clock.now - began) / timedelta(minutes=1))
                # Deliveries go on meanwhile, and hasten the round.
                clock.advance(seconds=wait.total_seconds() / 2)
                ids += await shop.brought(1)
                wait = await shop.acknowledge()
                assert wait is not None
                clock.advance(seconds=wait.total_seconds())
            assert asked == [0, 1, 6, 21]
            assert shop.told() == [
                f"shop: cannot complete: the token lacks the right ({code} ScopeMissing). Polling and delivery go on. "
                "See: eventferry status"
            ]
            assert shop.stored() == ids
            assert look(tmp_path, "SELECT count(*) FROM events WHERE ack_due_at IS NOT NULL OR ack_tries > 0") == [(0,)]
            assert shop.line.health["read"].health == "ok"
            sim.upstream.faults = Faults()
            clock.advance(minutes=15)
            await shop.acknowledge()
            assert shop.completed() == set(ids)
            assert shop.told()[1:] == ["shop takes completions again."]
            assert shop.line.troubles() == []

    asyncio.run(scenario())


def test_where_reading_is_refused_too_only_that_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand()) as shop:
            await shop.brought(2)
            sim.upstream.faults = Faults(error_status=401)
            await shop.collect()
            await shop.acknowledge()
            assert len(shop.told("alert.source")) == len(shop.told()) == 1

    asyncio.run(scenario())


def test_a_rate_limit_on_writes_holds_no_reads(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        faults = Faults(write_limit=1, limit_window=60)
        async with Simulator.start(faults=faults) as sim, running(sim, tmp_path, clock) as shop:
            ids = await shop.brought(150)
            wait = await shop.acknowledge()
            assert wait is not None
            assert timedelta(seconds=55) < wait < timedelta(seconds=61)
            assert len(shop.completed()) == 100
            for _ in range(3):
                clock.advance(seconds=15)
                ids += await shop.brought(1)
                await shop.acknowledge()
            assert shop.stored() == ids
            assert shop.batches() == [100, 50]
            assert shop.line.health["write"].health == "throttled"
            sim.upstream.faults = Faults()
            clock.advance(seconds=30)
            await shop.acknowledge()
            assert shop.completed() == set(ids)

    asyncio.run(scenario())


def test_a_changed_token_ends_the_wait_of_both_rounds(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        file = tmp_path / "token"
        async with Simulator.start() as sim:
            file.write_text(sim.token)
            async with running(sim, tmp_path, clock, token=Secret(f"file:{file}")) as shop:
                ids = await shop.brought(2)
                sim.upstream.faults = Faults(error_status=401)
                await shop.collect()
                await shop.acknowledge()
                sim.upstream.faults = Faults()
                clock.advance(seconds=30)
                await shop.acknowledge()
                assert shop.completed() == set()
                file.write_text(f"Token {sim.token}")
                await shop.collect()
                await shop.acknowledge()
                assert shop.completed() == set(ids)

    asyncio.run(scenario())
