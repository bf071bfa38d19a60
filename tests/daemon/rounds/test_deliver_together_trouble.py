"""What is told together, when the process dies over it, the clock is set, or the config changes meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from daemon.contract import Delivered, Delivery, Report
from daemon.retry import Verdict
from daemon.store import Attempted, Claim, Enrolled, Store
from tests.daemon.rounds.lanes import Scripted, accept, running, until
from tests.daemon.rounds.together import WAITING, gathers, people, rest, waits
from tests.daemon.rounds.world import LEASE, Hand, arrive, look, opened

DIGEST = gathers(digest="09:00")
CHAT = {"chat": Enrolled("chat", "discord", "settings", DIGEST)}
DEATHS = "SELECT DISTINCT state, deaths FROM deliveries ORDER BY 1, 2"


async def die_over_a_summary(folder: Path, clock: Hand) -> list[str]:
    """A process that takes a whole digest, as it does when it is killed right after it was sent; its ids, in order."""
    async with opened(folder, clock) as store:
        suspects = await store.deliveries.void_claims()
        await store.sinks.enroll(CHAT)
        if suspects:
            claimed = await store.deliveries.claim_suspect("chat", suspects[0].row_id, lease=LEASE)
        else:
            claimed = await store.deliveries.claim("chat", limit=1, lease=LEASE, gathering=DIGEST)
        return [claim.delivery.id for claim in claimed.claims]


async def deliver(store: Store, claims: Sequence[Claim]) -> None:
    report, verdict = Report(Delivered("HTTP 200")), Verdict("delivered", "HTTP 200", 0)
    attempted = [Attempted(claim, report, "delivered", verdict, timedelta()) for claim in claims]
    await store.deliveries.record("chat", attempted, None, release=False)


async def begin(folder: Path, clock: Hand, number: int) -> None:
    async with opened(folder, clock) as store:
        await store.sinks.enroll(CHAT)
        await arrive(store, number, "chat")
    clock.advance(hours=4)


def test_a_kill_between_sending_and_recording_repeats_the_same_summary(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        await begin(tmp_path, clock, 5)
        taken = await die_over_a_summary(tmp_path, clock)
        assert len(taken) == 5
        chat = people(DIGEST)
        async with running(tmp_path, clock, chat=chat) as lanes:
            assert lanes.suspects is not None
            lanes.suspects.hurry()
            lanes.wake()
            await lanes.arrive(1, "chat", first=6)
            await until(lambda: lanes.settled == 5)
            assert chat.told() == ["digest: 1 2 3 4 5"]  # and not the sixth, which is for tomorrow
            assert [each.id for each in chat.summaries[0].deliveries] == taken
            assert {each.attempt for each in chat.summaries[0].deliveries} == {2}
            await rest(lanes)
            assert chat.got == []
        assert look(tmp_path, DEATHS) == [("delivered", 0), ("waiting", 0)]

    asyncio.run(scenario())


def test_a_summary_that_fails_after_a_crash_is_not_sent_again_for_each_of_its_suspects(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        await begin(tmp_path, clock, 5)
        await die_over_a_summary(tmp_path, clock)

        async def fail(_: Delivery) -> Report:
            raise RuntimeError

        chat = people(DIGEST, fail)
        async with running(tmp_path, clock, chat=chat) as lanes:
            assert lanes.suspects is not None
            lanes.suspects.hurry()
            lanes.wake()
            await until(lambda: chat.summaries)
            await rest(lanes)
            assert (len(chat.summaries), chat.got) == (1, [])
            chat.answer = accept
            await lanes.pass_time(clock, minutes=1)
            await until(lambda: lanes.settled == 5)
        assert chat.told() == ["digest: 1 2 3 4 5"] * 2

    asyncio.run(scenario())


def test_i8_a_poison_in_a_summary_kills_three_times_and_takes_nobody_with_it(tmp_path: Path) -> None:
    """The summary dies, then dies alone; then each of its deliveries goes out by itself."""

    async def scenario() -> None:
        clock = Hand()
        await begin(tmp_path, clock, 4)
        deaths = 0
        for _ in range(2):
            assert len(await die_over_a_summary(tmp_path, clock)) == 4
            deaths += 1
        assert look(tmp_path, "SELECT DISTINCT deaths FROM events") == [(1,)]
        while True:
            async with opened(tmp_path, clock) as store:
                suspects = await store.deliveries.void_claims()
                await store.sinks.enroll(CHAT)
                outcome = "all innocent"
                for suspect in sorted(suspects, key=lambda each: each.event_deaths):
                    claimed = await store.deliveries.claim_suspect("chat", suspect.row_id, lease=LEASE)
                    ids = [claim.delivery.event.external_id for claim in claimed.claims]
                    assert len(ids) <= 1
                    if ids == ["2"]:
                        outcome = "died"
                        deaths += 1
                        break
                    await deliver(store, claimed.claims)
                if outcome == "all innocent":
                    break
        assert deaths == 3
        states = look(tmp_path, "SELECT state, reason FROM deliveries ORDER BY id")
        assert [state for state, _ in states] == ["delivered", "gave_up", "delivered", "delivered"]
        assert states[1][1] == "the daemon died 3 times while sending it; not sent"

    asyncio.run(scenario())


def test_suspects_wait_until_quiet_hours_are_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, quiet = Hand(), gathers(quiet="05:10-07:00")
        async with opened(tmp_path, clock) as store:
            await store.sinks.enroll({"chat": Enrolled("chat", "discord", "settings", quiet)})
            await arrive(store, 1, "chat")
            await store.deliveries.claim("chat", limit=1, lease=LEASE, gathering=quiet)
        clock.advance(minutes=30)
        chat = people(quiet)
        async with running(tmp_path, clock, chat=chat) as lanes:
            assert lanes.suspects is not None
            lanes.suspects.hurry()
            await lanes.pass_time(clock, minutes=1)
            assert chat.got == []
            await lanes.pass_time(clock, hours=2)
            await until(lambda: lanes.settled == 1)
            assert chat.ids() == ["1"]

    asyncio.run(scenario())


# The clock


def test_f46_after_the_clock_was_set_a_digest_is_due_when_the_new_clock_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, chat = Hand(), people(DIGEST)
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(2, "chat")
            await rest(lanes)
            for step, due in ((timedelta(hours=2), "04 09:00"), (timedelta(days=-3), "01 09:00")):
                clock.advance(seconds=step.total_seconds())
                await lanes.store.shift(step)
                assert [(cause, due_at[8:16]) for cause, due_at, _ in look(tmp_path, WAITING)] == [("digest", due)]
            await lanes.pass_time(clock, hours=2)
            assert chat.told() == ["digest: 1 2"]

    asyncio.run(scenario())


def test_i12_what_a_wrong_clock_planned_is_planned_anew_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        clock.advance(days=2000)
        async with running(tmp_path, clock, chat=people(DIGEST)) as lanes:
            await lanes.arrive(2, "chat")
            await rest(lanes)
        clock.advance(days=-2000)
        chat = people(DIGEST)
        async with running(tmp_path, clock, chat=chat) as lanes:
            await rest(lanes)
            assert [(cause, due_at[:16]) for cause, due_at, _ in look(tmp_path, WAITING)] == [
                ("digest", "2026-03-04 09:00")
            ]
            await lanes.pass_time(clock, hours=4)
            assert chat.told() == ["digest: 1 2"]

    asyncio.run(scenario())


# The config


def test_other_settings_go_for_what_waits_already(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with running(tmp_path, clock, chat=people(DIGEST)) as lanes:
            await lanes.arrive(2, "chat")
            await rest(lanes)
        async with running(tmp_path, clock, chat=people(gathers(digest="mon 10:00"))) as lanes:
            await rest(lanes)
            assert [(cause, due_at[8:16]) for cause, due_at, _ in look(tmp_path, WAITING)] == [("digest", "09 10:00")]
        async with running(tmp_path, clock, chat=people(gathers(quiet="05:00-06:00"))) as lanes:
            await rest(lanes)
            assert waits(tmp_path) == [("quiet", "06:00")]
        chat = people(gathers(burst="20/1m"))
        async with running(tmp_path, clock, chat=chat) as lanes:
            await until(lambda: lanes.settled == 2)
        assert (chat.ids(), chat.summaries) == (["1", "2"], [])

    asyncio.run(scenario())


def test_a_sink_of_machines_in_place_of_one_of_people_gets_everything_singly(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        burst = gathers(burst="1/1m")
        async with running(tmp_path, clock, chat=people(burst)) as lanes:
            await lanes.arrive(3, "chat")
            await rest(lanes)
            assert waits(tmp_path) == [("burst", "05:07")]
        chat = people(DIGEST)
        async with running(tmp_path, clock, chat=chat) as lanes:
            await lanes.arrive(2, "chat", first=4)
            await rest(lanes)
            assert chat.told() == ["burst: 2 3"]
            assert waits(tmp_path) == [("digest", "09:00")]
        clock.advance(minutes=2)
        plain = Scripted()
        async with running(tmp_path, clock, chat=plain) as lanes:
            await until(lambda: lanes.settled == 2)
        assert (plain.ids(), plain.summaries) == (["4", "5"], [])

    asyncio.run(scenario())
