"""Rate limits as the rounds keep them: not one request while a gate is shut."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import SteadyClock
from daemon.simulator import Faults, Simulator
from tests.daemon.rounds.world import Hand, look, opened, running, settle, shop_of


async def obeying(seconds: float, *rounds: Callable[[], Awaitable[timedelta | None]]) -> None:
    """Run rounds as a schedule would, each when it wants to run, for so long."""

    async def one(round_: Callable[[], Awaitable[timedelta | None]]) -> None:
        while True:
            wait = await round_()
            await asyncio.sleep(0.02 if wait is None else min(wait.total_seconds(), 0.02 if wait.seconds > 5 else 5))

    tasks = [asyncio.create_task(one(round_)) for round_ in rounds]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result


@pytest.mark.parametrize("retry_after", ["ms", "fraction", "edge", "missing"])
def test_not_one_request_goes_out_while_its_gate_is_shut(tmp_path: Path, retry_after: Any) -> None:
    """The rounds poll fifty times a second here, so that only the gates keep them back."""

    async def scenario() -> None:
        window = 1.0 if retry_after.startswith("edge") else 0.3
        faults = Faults(read_limit=2, write_limit=1, limit_window=window, retry_after=retry_after)
        async with Simulator.start(faults=faults) as sim, running(sim, tmp_path, SteadyClock(), sinks=()) as shop:
            for _ in range(3):
                sim.upstream.add_sample()
            await obeying(2.5 * window + 0.5, shop.collect, shop.acknowledge)
            calls = sim.upstream.calls
            assert [call for call in calls if call.too_early] == []
            assert any(call.status == 429 for call in calls)
            assert sum(call.status == 200 for call in calls) > 2

    asyncio.run(scenario())


def test_a_shut_gate_holds_every_source_of_the_host_and_holds_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=Faults(read_limit=1, limit_window=90)) as sim:
            sim.upstream.add_sample()
            async with (
                opened(tmp_path, clock, ["hook"]) as store,
                shop_of(sim, tmp_path, store) as one,
                shop_of(sim, tmp_path, store, name="other") as other,
            ):
                await one.collect()
                throttled = await one.collect()
                assert timedelta(seconds=85) < throttled <= timedelta(seconds=90.5)
                assert timedelta(seconds=85) < await other.collect() <= timedelta(seconds=90.5)
                assert other.line.health["read"].health == "throttled"
                assert sim.upstream.calls[-1].status == 429
                assert len(sim.upstream.calls) == 2
                await settle(store, "hook")
                await one.acknowledge()
                assert sim.upstream.pending == []
            clock.advance(seconds=30)
            async with running(sim, tmp_path, clock) as shop:
                assert timedelta(seconds=55) < await shop.collect() <= timedelta(seconds=60.5)
                assert shop.requests("GET") == 2
            clock.advance(seconds=61)
            sim.upstream.faults = Faults()
            async with running(sim, tmp_path, clock) as shop:
                await shop.collect()
                assert shop.requests("GET") == 3
                assert shop.line.health["read"].health == "ok"
            assert look(tmp_path, "SELECT count(*) FROM gates") == [(0,)]

    asyncio.run(scenario())


def test_two_sources_at_once_on_one_host_do_not_open_each_others_gate(tmp_path: Path) -> None:
    async def scenario() -> None:
        faults = Faults(read_limit=3, limit_window=0.4, latency=0.03)
        async with Simulator.start(faults=faults) as sim, opened(tmp_path, SteadyClock()) as store:
            async with (
                shop_of(sim, tmp_path, store, sinks=()) as one,
                shop_of(sim, tmp_path, store, sinks=(), name="other") as other,
            ):
                await obeying(1.5, one.collect, other.collect)
            calls = sim.upstream.calls
            # Who was on the way already when the other was told to wait is no offender.
            told_at = [call.at for call in calls if call.status == 429]
            offenders = [
                call for call in calls if call.too_early and all(call.at - at > 0.1 for at in told_at if at < call.at)
            ]
            assert offenders == []
            assert sum(call.too_early for call in calls) <= len(told_at)
            assert sum(call.status == 200 for call in calls) > 4

    asyncio.run(scenario())


def test_each_rate_limit_slows_the_pace_for_a_while(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            await shop.collect()
            sim.upstream.faults = Faults(read_limit=0, limit_window=1)
            clock.advance(seconds=(await shop.collect()).total_seconds())
            sim.upstream.faults = Faults()
            slowed = await shop.collect()
            assert timedelta(seconds=0.9 * 57) <= slowed <= timedelta(seconds=1.1 * 57)
            for _ in range(20):
                recovered = await shop.collect()
            assert recovered <= timedelta(seconds=33)

    asyncio.run(scenario())
