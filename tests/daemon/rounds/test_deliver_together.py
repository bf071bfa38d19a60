"""What people are told together: digests, quiet hours, bursts and what is late; and that nothing else waits for it."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.contract import Closed, Event, Incoming, Rejected, Report, TryLater
from daemon.gathering import Gathering
from daemon.lane import resumed, stopped_by_operator
from daemon.store import Enrolled, Planned, Selection, Store
from daemon.timing import parse_burst, parse_digest, parse_quiet_hours
from tests.daemon.rounds.lanes import Lanes, Scripted, accept, always, running, until
from tests.daemon.rounds.world import LEASE, Hand, arrive, look, opened

UTC = ZoneInfo("UTC")
WAITING = "SELECT DISTINCT gathered, due_at, reason FROM deliveries WHERE state = 'waiting' ORDER BY 2"


def gathers(digest: str = "", burst: str = "", quiet: str = "") -> Gathering:
    return Gathering(
        parse_digest(digest) if digest else None,
        parse_burst(burst) or None if burst else None,
        parse_quiet_hours(quiet) if quiet else None,
        UTC,
    )


def people(gathering: Gathering, answer: Any = accept, **more: Any) -> Scripted:
    return Scripted(answer, gathering=gathering, concurrency=more.pop("concurrency", 1), **more)


def waits(folder: Path) -> list[tuple[str | None, str]]:
    """Why and until when, to the minute."""
    return [(cause, due_at[11:16]) for cause, due_at, _ in look(folder, WAITING)]


async def rest(lanes: Lanes) -> None:
    async with asyncio.timeout(10):
        for lane in lanes.of.values():
            await lane.drained()


async def say(lanes: Lanes, kind: str, sink: str = "chat") -> None:
    """What the daemon itself has to say."""
    await lanes.store.events.add_own(kind, f"{kind}-{lanes.store.database.clock():%f%H%M}", {"text": "x"}, [sink])
    lanes.wake()
    await rest(lanes)


# Digests


def test_a_digest_waits_for_its_time_visibly_and_comes_as_one_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat, hook = Hand(), people(gathers(digest="09:00")), Scripted()
        async with running(tmp_path, clock, chat=chat, hook=hook) as lanes:
            await lanes.arrive(2, "chat", "hook")
            await lanes.pass_time(clock, hours=1)
            await lanes.arrive(1, "chat", "hook", first=3)
            await rest(lanes)
            assert (chat.told(), chat.ids(), hook.ids()) == ([], [], ["1", "2", "3"])
            assert look(tmp_path, WAITING) == [("digest", "2026-03-04 09:00:00.000000", "waits for the digest")]
            await lanes.pass_time(clock, hours=3)
            assert (chat.told(), chat.ids()) == (["digest: 1 2 3"], [])
            assert (
                look(tmp_path, "SELECT state, attempt, failures FROM deliveries WHERE sink = 'chat'")
                == [("delivered", 1, 0)] * 3
            )
            await lanes.pass_time(clock, days=1)
            assert len(chat.summaries) == 1

    asyncio.run(scenario())


def test_a_digest_of_one_event_is_a_digest_and_of_none_is_no_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="09:00"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.pass_time(clock, hours=4)
            assert chat.summaries == []
            await lanes.arrive(1, "chat")
            await lanes.pass_time(clock, days=1)
            assert (chat.told(), chat.ids()) == (["digest: 1"], [])

    asyncio.run(scenario())


def test_a_digest_that_was_due_while_nobody_ran_comes_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, gathering = Hand(), gathers(digest="09:00")
        async with running(tmp_path, clock, chat=people(gathering)) as lanes:
            await lanes.arrive(2, "chat")
        clock.advance(hours=20)
        chat = people(gathering)
        async with running(tmp_path, clock, chat=chat) as lanes:
            await until(lambda: lanes.settled == 2)
        assert chat.told() == ["digest: 1 2"]

    asyncio.run(scenario())


def test_what_waits_for_its_time_still_waits_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        for gathering, cause in ((gathers(digest="09:00"), "digest"), (gathers(quiet="04:00-09:00"), "quiet")):
            folder = tmp_path / cause
            folder.mkdir()
            async with running(folder, clock, chat=people(gathering)) as lanes:
                await lanes.arrive(2, "chat")
                await rest(lanes)
            clock.advance(minutes=30)
            chat = people(gathering)
            async with running(folder, clock, chat=chat) as lanes:
                await rest(lanes)
                assert waits(folder) == [(cause, "09:00")]
                assert (chat.got, chat.summaries) == ([], [])

    asyncio.run(scenario())


def test_what_the_daemon_has_to_say_tests_and_replays_wait_for_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        for number, gathering in enumerate((gathers(digest="09:00"), gathers(quiet="04:00-09:00", burst="1/1h"))):
            folder = tmp_path / str(number)
            folder.mkdir()
            chat = people(gathering)
            async with running(folder, clock, chat=chat) as lanes:
                await lanes.arrive(1, "chat")
                skipped = [Planned(old(number, clock), ("chat",), skip=True) for number in (2, 3)]
                await lanes.store.events.add("shop", skipped)
                for kind in ("alert.sink", "alert.source", "test.purchase"):
                    await say(lanes, kind)
                await lanes.store.replays.replay(Selection(keys=["2", "3"]))
                lanes.wake()
                await rest(lanes)
                said = [one.event.kind for one in chat.got]
                assert said == ["alert.sink", "alert.source", "test.purchase", "purchase", "purchase"]
                assert chat.ids()[-2:] == ["2", "3"]
                assert waits(folder) == [("digest" if number == 0 else "quiet", "09:00")]

    asyncio.run(scenario())


# Quiet hours


def test_quiet_hours_hold_back_what_comes_and_what_falls_due_and_then_it_comes_as_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(quiet="05:10-07:00"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            chat.answer = always(TryLater("HTTP 500"))
            await lanes.arrive(1, "chat")
            await rest(lanes)
            assert chat.ids() == ["1"]
            clock.advance(minutes=10)
            await lanes.arrive(2, "chat", first=2)
            chat.answer = accept
            await rest(lanes)
            assert waits(tmp_path) == [("quiet", "07:00")]
            await lanes.pass_time(clock, hours=1)
            assert (chat.ids(), chat.told()) == (["1"], [])
            await lanes.pass_time(clock, hours=1)
            assert chat.told() == ["quiet: 1 2 3"]
            assert look(tmp_path, "SELECT DISTINCT state FROM deliveries") == [("delivered",)]

    asyncio.run(scenario())


def test_a_digest_that_falls_into_quiet_hours_comes_when_they_are_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(digest="06:00", quiet="05:30-07:00"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(2, "chat")
            await rest(lanes)
            assert waits(tmp_path) == [("digest", "07:00")]
            await lanes.pass_time(clock, hours=1)
            assert chat.summaries == []
            await lanes.pass_time(clock, hours=1)
            assert chat.told() == ["digest: 1 2"]

    asyncio.run(scenario())


def test_a_failing_sink_is_not_probed_with_events_in_quiet_hours(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(gathers(quiet="05:30-07:00"), always(TryLater("HTTP 500")))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(6, "chat")
            await until(lambda: lanes.of["chat"].lane.health == "failing")
            clock.advance(minutes=30)
            tried = len(chat.got)
            for _ in range(8):
                await lanes.pass_time(clock, minutes=10)
            assert (len(chat.got), chat.summaries) == (tried, [])
            chat.answer = accept
            await lanes.pass_time(clock, minutes=20)
            await until(lambda: lanes.settled == 6)
            assert chat.told() == ["quiet: 1 2 3 4 5 6"]

    asyncio.run(scenario())


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


def old(number: int, clock: Hand, **ago: float) -> Incoming:
    return Incoming(Event("shop", str(number), "1", "purchase", clock.now - timedelta(**ago), {"n": number}))


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


# One message, many deliveries


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
