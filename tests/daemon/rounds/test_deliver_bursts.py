"""What is told together since there is too much of it, or since it is late."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.contract import TryLater
from daemon.lane import resumed, stopped_by_operator
from daemon.store import Enrolled, Planned
from tests.daemon.rounds.lanes import Scripted, accept, always, running, until
from tests.daemon.rounds.together import gathers, old, people, rest, waits
from tests.daemon.rounds.world import LEASE, Hand, arrive, opened

# Bursts


def test_what_is_more_than_a_burst_comes_as_one_message_at_the_end_of_the_window(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(burst="20/1m"), batch_limit=8)
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(25, "chat")
            await rest(lanes)
            assert chat.ids() == [str(number) for number in range(1, 21)]
            assert waits(tmp_path) == [("burst", "05:07")]
            await lanes.pass_time(clock, seconds=30)
            await lanes.arrive(1, "chat", first=26)
            await rest(lanes)
            assert (len(chat.got), chat.summaries) == (20, [])
            await lanes.pass_time(clock, seconds=30)
            assert chat.told() == ["burst: 21 22 23 24 25 26"]
            await lanes.arrive(20, "chat", first=27)
            await rest(lanes)
            assert len(chat.got) == 39  # the summary counts as one of twenty
            await lanes.pass_time(clock, minutes=1)
            assert (len(chat.got), len(chat.summaries)) == (40, 1)  # one alone is no summary

    asyncio.run(scenario())


def test_a_restart_does_not_begin_a_window_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, gathering = Hand(), gathers(burst="3/1m")
        async with running(tmp_path, clock, chat=people(gathering)) as lanes:
            await lanes.arrive(3, "chat")
            await until(lambda: lanes.settled == 3)
        clock.advance(seconds=20)
        chat = people(gathering)
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(3, "chat", first=4)
            await rest(lanes)
            assert chat.got == []
            await lanes.pass_time(clock, seconds=40)
            assert chat.told() == ["burst: 4 5 6"]

    asyncio.run(scenario())


def test_what_is_given_back_unsent_does_not_count_against_the_burst(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, gathering = Hand(), gathers(burst="3/1m")
        async with opened(tmp_path, clock) as store:
            await store.sinks.enroll({"chat": Enrolled("chat", "discord", "", gathering)})
            await arrive(store, 3, "chat")
            for _ in range(5):
                claimed = await store.deliveries.claim("chat", limit=3, lease=LEASE, gathering=gathering)
                assert len(claimed.claims) == 3
                await store.deliveries.unclaim("chat", claimed.claims, claimed.cause)

    asyncio.run(scenario())


# What is late


def test_what_is_old_at_the_first_sweep_is_told_together_and_the_rest_as_it_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat, hook = Hand(), people(gathers(burst="20/1m")), Scripted()
        async with running(tmp_path, clock, chat=chat, hook=hook) as lanes:
            ages = [timedelta(days=2), timedelta(hours=2), timedelta(minutes=59)]
            planned = [
                Planned(old(number, clock, seconds=age.total_seconds()), ("chat", "hook"), first=True)
                for number, age in enumerate(ages, 1)
            ]
            added = await lanes.store.events.add("shop", planned)
            assert (added.woken, added.late) == ({"chat", "hook"}, {"chat"})
            lanes.wake()
            await rest(lanes)
            assert (chat.told(), chat.ids(), hook.ids()) == (["late: 1 2"], ["3"], ["1", "2", "3"])

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["stopped by the operator", "failing"])
def test_what_waited_for_over_an_hour_for_a_sink_that_works_again_is_told_together(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(burst="20/1m"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            lane = lanes.of["chat"]
            if how == "failing":
                chat.answer = always(TryLater("HTTP 500"))
                await lanes.arrive(8, "chat")
                await until(lambda: lane.lane.health == "failing")
                chat.answer = accept
                clock.advance(hours=2)
                await lanes.arrive(1, "chat", first=9)
            else:
                lane.lane = stopped_by_operator(lane.lane, clock.now)
                await lanes.arrive(8, "chat")
                clock.advance(hours=2)
                await lanes.arrive(1, "chat", first=9)
                lane.lane = resumed(clock.now)
                await lanes.store.sinks.set_lane("chat", lane.lane, release=True)
            sent = len(chat.got)
            lanes.wake()
            await until(lambda: lanes.settled == 9)
            (summary,) = chat.summaries
            singly = [delivery.event.external_id for delivery in chat.got[sent:]]
            assert summary.cause == "late"
            assert len(summary.deliveries) + len(singly) == 9
            assert len(singly) == (2 if how == "failing" else 1)  # the probe, and the one that is new
            assert "9" in singly

    asyncio.run(scenario())
