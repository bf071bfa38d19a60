"""What the operator hears of a source in trouble, and of what nobody in the config owns any more."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.rounds.alerts import Alerts
from daemon.rounds.troubles import Troubles
from daemon.simulator import Faults, Simulator
from tests.daemon.rounds.world import Hand, Shop, arrive, opened, running, settle

STEP = 120
"""Seconds between two looks here; the daemon looks each minute."""


class Quiet:
    """Stands for a lane of which there is nothing to tell."""

    lane = None

    @property
    def news(self) -> "Quiet":
        return self

    async def review(self, lane: None) -> None:
        pass


LANES: Any = {"hook": Quiet(), "mail": Quiet()}


async def pass_by(shop: Shop, clock: Hand, minutes: int, ask: Callable[[], Awaitable[Any]]) -> None:
    """Let time pass in which the source is asked, and somebody looks."""
    troubles = Troubles(LANES, [shop.line], Alerts(shop.store, ["mail"], lambda _: None))
    for _ in range(minutes * 60 // STEP):
        await ask()
        await troubles()
        clock.advance(seconds=STEP)
    await troubles()


def test_a_source_that_fails_is_told_after_ten_minutes_then_daily_until_it_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with (
            Simulator.start(faults=Faults(error_status=500)) as sim,
            running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop,
        ):
            await pass_by(shop, clock, 8, shop.collect)
            assert shop.told() == []
            await pass_by(shop, clock, 60, shop.collect)
            (text,) = shop.told("alert.source")
            assert text.startswith("shop has not answered as it should for 10 minutes: BuiltByBit answers ")
            assert text.endswith("nothing is lost; it is asked again by itself. See: eventferry status")
            await pass_by(shop, clock, 24 * 60, shop.collect)
            assert [text.split(":")[0] for text in shop.told()] == [
                "shop has not answered as it should for 10 minutes",
                "shop has not answered as it should for 24 hours",
            ]
            sim.upstream.faults = Faults()
            await pass_by(shop, clock, 30, shop.collect)
            assert shop.told()[2:] == ["shop answers again."]

    asyncio.run(scenario())


def test_the_ten_minutes_outlive_restarts_and_so_does_what_was_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=Faults(error_status=500)) as sim:
            for restarts in range(12):
                async with running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop:
                    await pass_by(shop, clock, 2, shop.collect)
                    assert len(shop.told()) == (restarts >= 4), restarts

    asyncio.run(scenario())


def test_completions_that_fail_for_long_are_told_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with (
            Simulator.start(faults=Faults(scope="write", error_status=500)) as sim,
            running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop,
        ):
            await shop.brought(1)
            await pass_by(shop, clock, 30, shop.acknowledge)
            (text,) = shop.told("alert.completion")
            assert text.startswith("shop has taken no completions for 10 minutes: ")
            sim.upstream.faults = Faults()
            await pass_by(shop, clock, 10, shop.acknowledge)
            assert shop.told()[1:] == ["shop takes completions again."]

    asyncio.run(scenario())


def test_a_rate_limit_is_no_trouble(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with (
            Simulator.start(faults=Faults(read_limit=0, limit_window=60)) as sim,
            running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop,
        ):
            await pass_by(shop, clock, 60, shop.collect)
            assert shop.line.health["read"].health == "throttled"
            assert shop.told() == []

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [1, 3])
def test_what_is_owed_to_a_sink_that_left_the_config_is_told_daily_until_it_is_settled(
    tmp_path: Path, number: int
) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock, sinks=("hook", "old")) as shop:
            await arrive(shop.store, number, "old", "hook")
            await shop.store.sources.enroll("away")
            hook = Alerts(shop.store, ["mail"], lambda _: None)
            for day in range(2):
                for _ in range(5):
                    await Troubles(LANES, [shop.line], hook)()
                    clock.advance(hours=1)
                assert len(shop.told()) == day + 1
                clock.advance(hours=20)
            what = "1 delivery waits" if number == 1 else "3 deliveries wait"
            assert shop.told()[0].startswith(f"{what} for old, but no sink of this name is in the config. ")
            assert shop.told()[0].endswith("nobody wants them any more: eventferry sinks discard old")
            await shop.store.orphans.discard("old", sink=True, source=False)
            clock.advance(days=2)
            await Troubles(LANES, [shop.line], hook)()
            assert len(shop.told()) == 2

    asyncio.run(scenario())


def test_events_of_a_removed_source_that_are_not_completed_are_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook", "mail"]) as store:
            await store.sources.enroll("shop")
            await arrive(store, 2, "hook")
            await settle(store, "hook")
            await Troubles(LANES, [], Alerts(store, ["mail"], lambda _: None))()
            (claim,) = (await store.deliveries.claim("mail", limit=9, lease=timedelta(minutes=1))).claims
            text = claim.delivery.event.data["text"]
            assert text.startswith("2 events of shop are not completed upstream, but no source of this name ")
            assert 'renamed_from = "shop"' in text

    asyncio.run(scenario())
