"""What people are told together: digests and quiet hours; and that nothing else waits for it."""

import asyncio
from pathlib import Path

from daemon.contract import TryLater
from daemon.store import Planned, Selection
from tests.daemon.rounds.lanes import Scripted, accept, always, running, until
from tests.daemon.rounds.together import WAITING, gathers, old, people, rest, say, waits
from tests.daemon.rounds.world import Hand, look

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
