"""How long events are held for a sink that is down, and when they are not, lest they hide newer ones."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.simulator import Faults, Simulator
from tests.daemon.rounds.world import HOLD, Hand, look, running, settle


def test_what_cannot_be_delivered_is_completed_after_it_was_held_for_long_enough(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            first = await shop.brought(2, delivered=False)
            clock.advance(minutes=2)
            later = await shop.brought(1, delivered=False)
            assert await shop.acknowledge() == timedelta(minutes=3)
            clock.advance(minutes=3)
            assert await shop.acknowledge() == timedelta(minutes=2)
            assert shop.completed() == set(first)
            clock.advance(minutes=2)
            await shop.acknowledge()
            assert shop.completed() == {*first, *later}
            assert look(tmp_path, "SELECT DISTINCT state FROM deliveries") == [("waiting",)]

    asyncio.run(scenario())


def test_completing_when_stored_waits_for_no_delivery(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand(), hold=timedelta()) as shop:
            ids = await shop.brought(120, delivered=False)
            assert sim.upstream.completions == []
            await shop.acknowledge()
            assert shop.completed() == set(ids)

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [404, None])
def test_an_event_that_came_back_undelivered_keeps_the_round_from_running_in_circles(
    tmp_path: Path, status: Any
) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with (
            Simulator.start(faults=Faults(relist=1, ignore_paging=True, cap_per_page=5)) as sim,
            running(sim, tmp_path, clock) as shop,
        ):
            for _ in range(9):
                sim.upstream.add_sample()
            for _ in range(40):
                await shop.collect()
                wait = await shop.acknowledge()
                assert wait is None or wait >= timedelta(seconds=1)
                clock.advance(seconds=1)
            clock.advance(minutes=6)
            await shop.acknowledge()
            assert sim.upstream.pending == []

    asyncio.run(scenario())


def test_i20_a_dead_sink_hides_no_newer_events_where_the_server_shows_but_one_page(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=Faults(ignore_paging=True)) as sim, running(sim, tmp_path, clock) as shop:
            ids = [sim.upstream.add_sample() for _ in range(90)]
            rounds = 0
            while len(shop.stored()) < 90:
                await shop.collect()
                await shop.acknowledge()
                rounds += 1
                clock.advance(seconds=1)
                assert rounds < 10
            assert shop.stored() == ids
            assert shop.progress >= 3
            assert look(tmp_path, "SELECT count(*) FROM deliveries WHERE state = 'waiting'") == [(90,)]
            # The last page was not full: what is on it is held as usual.
            assert len(sim.upstream.pending) == 90 - 75

    asyncio.run(scenario())


@pytest.mark.parametrize(("held", "at_once"), [(14, False), (15, True)])
def test_sixty_percent_of_a_full_page_is_the_mark(tmp_path: Path, held: int, at_once: bool) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(ignore_paging=True)) as sim, running(sim, tmp_path, Hand()) as shop:
            await shop.brought(30, delivered=False)
            await settle(shop.store, "hook", 25 - held)
            await shop.acknowledge()
            await shop.acknowledge()
            assert len(shop.completed()) == (25 if at_once else 25 - held)

    asyncio.run(scenario())


def test_where_the_whole_list_is_seen_a_dead_sink_is_given_its_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand()) as shop:
            await shop.brought(250, delivered=False)
            assert await shop.acknowledge() == HOLD
            assert sim.upstream.completions == []

    asyncio.run(scenario())
