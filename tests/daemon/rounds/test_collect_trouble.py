"""What a source's trouble does to its polling: how long it waits, what it says, and what it does not ask."""

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.rounds.line import TOKEN_LOOK
from daemon.secrets import Secret
from daemon.simulator import Faults, Simulator
from tests.daemon.rounds.world import Hand, Shop, look, running, settle

TROUBLES = {
    "500": Faults(error_status=500),
    "502": Faults(error_status=502),
    "404": Faults(error_status=404),
    "302": Faults(error_status=302),
    "error in a 200": Faults(answer="error_in_200"),
    "portal": Faults(answer="html"),
    "truncated": Faults(answer="truncated"),
    "empty": Faults(answer="empty"),
    "null": Faults(answer="data_null"),
    "compressed": Faults(answer="gzip"),
    "reset": Faults(drop="before"),
    "reset midway": Faults(drop="midway"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_is_waited_out_ever_longer_and_is_over_with_the_first_good_sweep(tmp_path: Path, name: str) -> None:
    """F27, F36: refused, broken off, nonsense from a portal; from 2 s to 5 min, and over at once."""

    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=TROUBLES[name]) as sim, running(sim, tmp_path, clock) as shop:
            event_id = sim.upstream.add_sample()
            for seconds in (2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
                wait = await shop.collect()
                assert timedelta(seconds=seconds) <= wait <= timedelta(seconds=min(300, 1.1 * seconds))
                clock.advance(seconds=wait.total_seconds())
            assert shop.line.health["read"].health == "failing"
            assert shop.line.troubles() == [shop.line.health["read"].reason]
            ((stored,),) = look(tmp_path, "SELECT health FROM sources")
            assert json.loads(stored)["read"]["health"] == "failing"
            assert shop.requests("GET") == 10
            sim.upstream.faults = Faults()
            await shop.collect()
            assert shop.stored() == [event_id]
            assert shop.line.troubles() == []
            assert shop.told() == []

    asyncio.run(scenario())


def test_however_often_it_is_hastened_a_source_in_trouble_is_not_asked_before_its_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        for number, faults in enumerate(
            (Faults(error_status=500), Faults(read_limit=0, limit_window=60), Faults(error_status=401))
        ):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with Simulator.start(faults=faults) as sim, running(sim, folder, clock) as shop:
                first = await shop.collect()
                slowness = shop.line.health["read"].slowness
                for _ in range(5):
                    clock.advance(seconds=first.total_seconds() / 10)
                    assert timedelta() < await shop.collect() <= first
                assert shop.requests("GET") == 1
                assert shop.line.health["read"].slowness == slowness

    asyncio.run(scenario())


def test_setting_the_wall_clock_neither_shortens_nor_lengthens_the_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=Faults(error_status=500)) as sim, running(sim, tmp_path, clock) as shop:
            wait = await shop.collect()
            for step in (timedelta(hours=3), timedelta(hours=-5)):
                clock.advance(seconds=step.total_seconds())
                shop.line.shift(step)
                assert await shop.collect() == wait
            assert shop.requests("GET") == 1

    asyncio.run(scenario())


async def minutes_of_requests(shop: Shop, clock: Hand, minutes: float) -> list[float]:
    """Run the round as the schedule would, for so long; at which minutes the API was asked."""
    began, asked = clock.now, []
    while clock.now - began < timedelta(minutes=minutes):
        before = shop.requests("GET")
        wait = await shop.collect()
        if shop.requests("GET") > before:
            asked.append((clock.now - began) / timedelta(minutes=1))
        clock.advance(seconds=wait.total_seconds())
    return asked


@pytest.mark.parametrize(("status", "code"), [(401, "TokenInvalidError"), (403, "UpgradeMissing")])
def test_a_refused_token_is_asked_again_after_1_and_5_then_every_15_minutes_and_told_once(
    tmp_path: Path, status: int, code: str
) -> None:
    async def scenario() -> None:
        clock = Hand()
        faults = Faults(error_status=status, error_code=code)
        async with (
            Simulator.start(faults=faults) as sim,
            running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop,
        ):
            event_id = sim.upstream.add_sample()
            assert await minutes_of_requests(shop, clock, 60) == [0, 1, 6, 21, 36, 51]
            assert shop.told() == [
                f"shop: BuiltByBit refuses the token ({status} {code}): Ultimate ended, token deleted, Events scope "
                "missing, or account restricted. Sales wait there, and the listener may be switched off. "
                "See: eventferry status"
            ]
            assert look(tmp_path, "SELECT sink FROM deliveries") == [("mail",)]
            assert await settle(shop.store, "mail") == 1
            sim.upstream.faults = Faults()
            assert len(await minutes_of_requests(shop, clock, 15)) > 1
            assert shop.stored() == [event_id]
            assert shop.told()[1:] == ["shop answers again."]

    asyncio.run(scenario())


def test_a_restart_asks_a_refusing_source_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=Faults(error_status=401)) as sim:
            for starts in range(1, 4):
                async with running(sim, tmp_path, clock) as shop:
                    assert await shop.collect() == TOKEN_LOOK
                    assert shop.requests("GET") == starts
                    assert len(shop.told()) == 1

    asyncio.run(scenario())


def test_a_changed_token_file_is_noticed_within_half_a_minute_and_tried_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        file = tmp_path / "token"
        file.write_text("an-old-token")
        async with (
            Simulator.start() as sim,
            running(sim, tmp_path, clock, token=Secret(f"file:{file}")) as shop,
        ):
            sim.upstream.add_sample()
            assert await minutes_of_requests(shop, clock, 10) == [0, 1, 6]
            file.write_text("another-old-token")
            assert await minutes_of_requests(shop, clock, 10) == [0]
            file.write_text("two words\n")
            assert await minutes_of_requests(shop, clock, 10) == []
            assert "the token cannot be used" in shop.line.health["read"].reason
            file.write_text(f"Token {sim.token}\n")
            assert await shop.collect() < timedelta(seconds=17)
            assert len(shop.stored()) == 1

    asyncio.run(scenario())


def test_a_sweep_that_is_cut_off_leaves_everything_usable(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(answer="drip")) as sim, running(sim, tmp_path, Hand()) as shop:
            sim.upstream.add_sample()
            sweep = asyncio.create_task(shop.collect())
            async with asyncio.timeout(5):
                while not sim.upstream.calls:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.01)
            began = time.monotonic()
            sweep.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sweep
            assert time.monotonic() - began < 1
            assert not shop.line.lock.locked()
            sim.upstream.faults = Faults()
            await shop.collect()
            assert len(shop.stored()) == 1

    asyncio.run(scenario())
