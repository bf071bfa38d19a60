"""A receiver that turns us away: what waits is kept, and goes out when it takes events again (F40)."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import TryLater
from tests.daemon.rounds.lanes import STATES, Lanes, Scripted, always, running
from tests.daemon.rounds.world import Hand, look
from tests.receivers import HttpReceiver, http_receiver, reply
from tests.rigs import build

EVENTS = 200


@asynccontextmanager
async def webhook_lane(folder: Path, clock: Hand, receiver: HttpReceiver) -> Any:
    """A lane to a real webhook sink."""
    sink = build("webhook", url=receiver.url)
    try:
        async with running(folder, clock, hook=Scripted(sink.deliver)) as lanes:
            yield lanes
    finally:
        await sink.close()


def stands(folder: Path) -> dict[str, int]:
    return dict(look(folder, STATES))


async def pass_minutes(lanes: Lanes, clock: Hand, minutes: float) -> None:
    for _ in range(int(minutes * 12)):
        await lanes.pass_time(clock, seconds=5)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 302])
def test_a_deploy_of_a_minute_that_turns_200_events_away_loses_none(tmp_path: Path, status: int) -> None:
    async def story() -> None:
        clock = Hand()
        async with http_receiver(reply(status, b"<html>", Location="/maintenance")) as receiver:
            async with webhook_lane(tmp_path, clock, receiver) as lanes:
                await lanes.arrive(EVENTS, "hook")
                await pass_minutes(lanes, clock, 1)
                assert stands(tmp_path) == {"waiting": EVENTS}
                assert lanes.of["hook"].lane.health == "stopped"
                assert len(receiver.requests) <= 5 + 3 + 2, "five, what was under way beside the fifth, and two probes"
                receiver.answer = reply(200)
                receiver.requests.clear()
                await pass_minutes(lanes, clock, 2)
                assert stands(tmp_path) == {"delivered": EVENTS}
                assert lanes.of["hook"].lane.health == "ok"
            ids = Counter(request.headers["webhook-id"] for request in receiver.requests)
            assert len(ids) == EVENTS
            assert set(ids.values()) == {1}

    asyncio.run(story())


def test_a_receiver_that_turns_everything_away_for_weeks_gets_it_all_at_last(tmp_path: Path) -> None:
    """Stopped, it costs no delivery any of its attempts."""

    async def story() -> None:
        clock = Hand()
        async with http_receiver(reply(401)) as receiver, webhook_lane(tmp_path, clock, receiver) as lanes:
            await lanes.arrive(20, "hook")
            for _ in range(20 * 4):
                await lanes.pass_time(clock, hours=6, minutes=5)
            assert stands(tmp_path) == {"waiting": 20}
            assert len(receiver.requests) < 120
            receiver.answer = reply(200)
            for _ in range(3):
                await lanes.pass_time(clock, hours=6, minutes=5)
            assert stands(tmp_path) == {"delivered": 20}

    asyncio.run(story())


def test_the_count_of_those_turned_away_goes_on_after_a_restart(tmp_path: Path) -> None:
    refusing = always(TryLater("HTTP 403 Forbidden", refused=True))

    async def story() -> None:
        clock = Hand()
        async with running(tmp_path, clock, hook=Scripted(refusing)) as lanes:
            await lanes.arrive(4, "hook")
            await lanes.of["hook"].drained()
            assert lanes.of["hook"].lane.health == "ok"
        async with running(tmp_path, clock, hook=Scripted(refusing)) as lanes:
            assert len(lanes.of["hook"].lane.refused) == 4
            await lanes.arrive(1, "hook", first=5)
            await lanes.of["hook"].drained()
            assert lanes.of["hook"].lane.health == "stopped"
        async with running(tmp_path, clock, hook=Scripted()) as lanes:
            assert lanes.of["hook"].lane.health == "stopped"
            await lanes.pass_time(clock, seconds=35)
            assert stands(tmp_path) == {"delivered": 5}
            assert lanes.of["hook"].lane.refused == ()

    asyncio.run(story())


def test_one_event_that_is_turned_away_while_others_are_taken_does_not_stop_the_sink(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Hand()
        taking, refusing = Scripted().answer, always(TryLater("HTTP 404", refused=True))
        sink = Scripted(lambda one: (refusing if one.event.external_id == "1" else taking)(one))
        async with running(tmp_path, clock, hook=sink) as lanes:
            for number in range(1, 8):
                await lanes.arrive(1, "hook", first=number)
                await lanes.pass_time(clock, hours=1)
            assert lanes.of["hook"].lane.health == "ok"
            assert stands(tmp_path) == {"delivered": 6, "waiting": 1}

    asyncio.run(story())
