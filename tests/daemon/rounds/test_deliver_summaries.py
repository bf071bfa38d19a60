"""One message for many deliveries: tried again, settled and given back as one."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import Closed, Rejected, Report, TryLater
from daemon.store import Store
from tests.daemon.rounds.lanes import accept, always, running, until
from tests.daemon.rounds.together import gathers, people, waits
from tests.daemon.rounds.world import Hand, look


def test_a_summary_that_fails_is_tried_again_as_the_same_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="09:00"), always(TryLater("HTTP 500")))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(30, "chat")
            await lanes.pass_time(clock, hours=4)
            assert len(chat.summaries) == 1
            assert lanes.of["chat"].lane.strikes == 1  # one message failed, not thirty
            ((due,),) = look(tmp_path, "SELECT DISTINCT due_at FROM deliveries")
            assert datetime.fromisoformat(due) > clock.now.replace(tzinfo=None)
            chat.answer = accept
            await lanes.pass_time(clock, seconds=6)
            first, second = chat.summaries
            assert first.id == second.id
            assert [each.id for each in first.deliveries] == [each.id for each in second.deliveries]
            assert {each.attempt for each in second.deliveries} == {2}
            query = "SELECT count(*), count(body), count(DISTINCT reason) FROM deliveries WHERE state = 'delivered'"
            assert look(tmp_path, query) == [(30, 1, 1)]  # what was sent is kept once

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("outcome", "state", "health"),
    [(Rejected("HTTP 400"), "rejected", "ok"), (Closed("gone", probe=False), "waiting", "stopped")],
)
def test_the_outcome_of_a_summary_is_that_of_all_in_it(tmp_path: Path, outcome: Any, state: str, health: str) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="09:00"), always(outcome))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(3, "chat")
            await lanes.pass_time(clock, hours=4)
            assert look(tmp_path, "SELECT state, attempt FROM deliveries") == [(state, 1)] * 3
            assert lanes.of["chat"].lane.health == health

    asyncio.run(scenario())


def test_deliveries_that_got_differently_far_are_told_in_messages_of_their_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="09:00"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(3, "chat")
            await set_progress(lanes.store, 2)
            await lanes.pass_time(clock, hours=4)
            assert sorted(chat.told()) == ["digest: 1 3", "digest: 2"]
            assert [one.progress for one in chat.summaries] == [{}, {"done": ["a"]}]

    asyncio.run(scenario())


async def set_progress(store: Store, row_id: int) -> None:
    query = f"""UPDATE deliveries SET progress = '{{"done": ["a"]}}' WHERE id = {row_id}"""
    await store.database.write(lambda connection, _: connection.exec_driver_sql(query))


def test_a_group_is_at_most_so_large_and_the_rest_comes_right_after(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="09:00"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(2003, "chat")
            clock.advance(hours=4)
            lanes.wake()
            await until(lambda: lanes.settled == 2003, 30)
            assert [len(one.deliveries) for one in chat.summaries] == [2000, 3]

    asyncio.run(scenario())


def test_a_sink_that_only_gets_digests_is_probed_with_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="09:00"), always(Closed("HTTP 410")))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(3, "chat")
            await lanes.pass_time(clock, hours=4)
            await lanes.arrive(1, "chat", first=4)
            await lanes.pass_time(clock, minutes=14)
            assert len(chat.summaries) == 1
            chat.answer = accept
            await lanes.pass_time(clock, minutes=4)
            assert chat.told() == ["digest: 1 2 3"] * 2
            assert lanes.of["chat"].lane.health == "ok"
            assert (chat.got, waits(tmp_path)) == ([], [("digest", "09:00")])

    asyncio.run(scenario())


def test_a_stop_gives_a_summary_back_and_the_next_start_sends_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, gathering, begun = Hand(), gathers(digest="09:00"), asyncio.Event()

        async def slow(_: object) -> Report:
            begun.set()
            return await asyncio.Event().wait() or Report(Rejected("never"))

        first = people(gathering, slow)
        async with running(tmp_path, clock, chat=first) as lanes:
            await lanes.arrive(3, "chat")
            clock.advance(hours=4)
            lanes.wake()
            await begun.wait()
        second = people(gathering)
        async with running(tmp_path, clock, chat=second) as lanes:
            await until(lambda: lanes.settled == 3)
        assert [one.id for one in first.summaries] == [one.id for one in second.summaries]
        assert look(tmp_path, "SELECT DISTINCT failures, deaths FROM deliveries") == [(0, 0)]

    asyncio.run(scenario())
