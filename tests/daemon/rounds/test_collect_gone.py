"""Events that vanish upstream, and sweeps from which that must not be concluded."""

import asyncio
from pathlib import Path

import pytest

from daemon.simulator import Faults, Simulator
from tests.daemon.rounds.world import Hand, differing, running, settle


def test_what_vanishes_was_completed_elsewhere_is_delivered_all_the_same_and_asked_about_when_it_repeats(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            for sweep in range(1, 5):
                gone, stays = sim.upstream.add_sample(), sim.upstream.add_sample()
                await shop.collect()
                clock.advance(seconds=30)
                sim.upstream.withdraw(gone)
                await shop.collect()
                clock.advance(seconds=30)
                assert gone in shop.completed(by="elsewhere")
                assert stays not in shop.completed(by="elsewhere")
                assert len(shop.told("alert.completed_elsewhere")) == (sweep >= 3)
            assert shop.told()[0].endswith("is an old server still running?")
            assert await settle(shop.store, "hook") == 8
            await shop.acknowledge()
            assert len(sim.upstream.completions) == 4

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(ignore_paging=True, cap_per_page=3),
        Faults(stats="stale"),
        Faults(answer="data_list"),
        Faults(answer="data_null"),
        Faults(answer="html"),
        Faults(error_status=500),
        Faults(drop="midway"),
    ],
    ids=differing,
)
def test_nothing_counts_as_vanished_unless_the_whole_list_was_seen(tmp_path: Path, faults: Faults) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            sim.upstream.complete([sim.upstream.add_sample()])
            gone, *_ = [sim.upstream.add_sample() for _ in range(8)]
            await shop.collect()
            clock.advance(seconds=30)
            sim.upstream.withdraw(gone)
            sim.upstream.faults = faults
            await shop.collect()
            assert shop.completed(by="elsewhere") == set()
            sim.upstream.faults = Faults()
            clock.advance(minutes=10)
            await shop.collect()
            assert shop.completed(by="elsewhere") == {gone}

    asyncio.run(scenario())
