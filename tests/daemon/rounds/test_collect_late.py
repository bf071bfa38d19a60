"""What waited at a source before it was first asked: people are told of all that is old in one message."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.gathering import Gathering
from daemon.simulator import Faults, Simulator
from daemon.store import Enrolled
from tests.daemon.rounds.together import gathers
from tests.daemon.rounds.world import Hand, Shop, look, running

CAUSES = "SELECT sink, gathered, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2"


async def people(shop: Shop, gathering: Gathering) -> None:
    await shop.store.sinks.enroll({"chat": Enrolled("chat", "discord", "", gathering)})


def happened(sim: Simulator, clock: Hand, number: int, **ago: float) -> None:
    moment = (clock.now - timedelta(**ago)).timestamp()
    for _ in range(number):
        sim.upstream.add("purchase", {}, created_at=int(moment))


def test_at_the_first_sweep_sinks_of_people_are_woken_when_all_that_is_old_is_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock, sinks=("hook", "chat")) as shop:
            await people(shop, gathers(burst="20/1m"))
            happened(sim, clock, 250, hours=2)
            await shop.collect()
            assert shop.woken == ["hook", "hook", "hook", "chat"]
            assert look(tmp_path, CAUSES) == [("chat", "late", 250), ("hook", None, 250)]
            happened(sim, clock, 1, hours=2)
            await shop.collect()
            assert look(tmp_path, CAUSES) == [("chat", None, 1), ("chat", "late", 250), ("hook", None, 251)]
            assert shop.woken[4:] in (["hook", "chat"], ["chat", "hook"])

    asyncio.run(scenario())


def test_what_is_old_is_told_even_if_the_first_sweep_fails_midway(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, world = Hand(), list[Simulator]()

        def fail_from_now_on(stage: str, _: object) -> None:
            if stage == "answered":
                world[0].upstream.faults = Faults(drop="before", scope="read")

        async with (
            Simulator.start(on_request=fail_from_now_on) as sim,
            running(sim, tmp_path, clock, sinks=("chat",)) as shop,
        ):
            world.append(sim)
            await people(shop, gathers(burst="20/1m"))
            happened(sim, clock, 150, hours=2)
            await shop.collect()
            assert look(tmp_path, CAUSES) == [("chat", "late", 100)]
            assert shop.woken == ["chat"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("gathering", "cause"),
    [(gathers(digest="09:00"), "digest"), (gathers(quiet="05:00-06:00", burst="1/1m"), "quiet"), (gathers(), None)],
)
def test_a_digest_and_quiet_hours_hold_back_what_is_old_too(
    tmp_path: Path, gathering: Gathering, cause: str | None
) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock, sinks=("chat",)) as shop:
            await people(shop, gathering)
            happened(sim, clock, 2, hours=2)
            await shop.collect()
            assert look(tmp_path, CAUSES) == [("chat", cause, 2)]

    asyncio.run(scenario())


def test_what_is_only_recorded_at_the_first_start_waits_for_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(
            sim, tmp_path, clock, sinks=("chat",), first_start="record"
        ) as shop:  # fmt: skip
            await people(shop, gathers(digest="09:00"))
            happened(sim, clock, 2, hours=2)
            await shop.collect()
            assert look(tmp_path, "SELECT state, gathered, due_at FROM deliveries") == [("skipped", None, None)] * 2
            assert shop.woken == []

    asyncio.run(scenario())
