"""A fast sink does not wait for the disk: claims go ahead, verdicts are recorded together; that costs no promise."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.contract import Closed, Delivery, Report, TryLater
from daemon.rounds.deliver import MOST_UNRECORDED
from daemon.rounds.ready import MOST_AHEAD
from tests.daemon.rounds.lanes import STATES, Scripted, accept, hang, running, until
from tests.daemon.rounds.world import Hand, look

CLAIMED = "SELECT count(*) FROM deliveries WHERE claimed_at IS NOT NULL"
TRANSACTIONS = "SELECT count(DISTINCT settled_at) FROM deliveries"


class Running(Hand):
    """A clock that goes on a little with each look."""

    def __call__(self):  # type: ignore[no-untyped-def] # any shape
        self.advance(microseconds=1)
        return super().__call__()


def test_many_deliveries_share_the_transactions_that_claim_and_record_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        sink = Scripted()
        async with running(tmp_path, Running(), hook=sink) as lanes:
            await lanes.arrive(600, "hook")
            await until(lambda: lanes.settled == 600)
            assert look(tmp_path, TRANSACTIONS)[0][0] < 200
            assert look(tmp_path, "SELECT count(DISTINCT started_at) FROM attempts")[0][0] < 50
            assert len(sink.got) == len(set(sink.ids())) == 600

    asyncio.run(scenario())


def test_what_was_claimed_ahead_of_a_sink_that_fails_is_given_back_as_if_it_had_not_been(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def then_gone(delivery: Delivery) -> Report:
            return await accept(delivery) if len(sink.got) < 300 else Report(Closed("HTTP 410"))

        sink = Scripted(then_gone)
        async with running(tmp_path, Running(), hook=sink) as lanes:
            await lanes.arrive(600, "hook")
            await until(lambda: lanes.of["hook"].lane.health == "stopped")
            await lanes.of["hook"].drained()
            assert look(tmp_path, CLAIMED) == [(0,)]
            made = "SELECT sum(attempt) FROM deliveries"
            assert look(tmp_path, made) == look(tmp_path, "SELECT count(*) FROM attempts") == [(len(sink.got),)]

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["pause", "stop"])
def test_a_pause_or_a_stop_gives_back_what_was_claimed_ahead(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        async def then_hang(delivery: Delivery) -> Report:
            return await accept(delivery) if len(sink.got) < 300 else await hang(delivery)

        sink = Scripted(then_hang)
        async with running(tmp_path, Running(), hook=sink) as lanes:
            await lanes.arrive(600, "hook")
            await until(lambda: sink.under_way == 4 and len(sink.got) > 300)
            if how == "pause":
                lanes.of["hook"].paused = True
                lanes.wake()
                await until(lambda: look(tmp_path, CLAIMED) == [(4,)])
        assert look(tmp_path, CLAIMED) == [(0,)]
        assert look(tmp_path, "SELECT max(attempt), max(failures), max(deaths) FROM deliveries") == [(1, 0, 0)]

    asyncio.run(scenario())


def test_a_slow_sink_has_nothing_claimed_ahead_for_long(tmp_path: Path) -> None:
    """Its lease would end before it was sent, and somebody else would send it again."""

    async def scenario() -> None:
        clock = Running()
        sent = {}

        async def slow_from_300_on(delivery: Delivery) -> Report:
            sent[delivery.event.external_id] = clock()
            if len(sink.got) > 300:
                clock.advance(seconds=1)  # so that no lease ends while a slow disk records 64 verdicts
            return await accept(delivery)

        sink = Scripted(slow_from_300_on, seconds=60)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(600, "hook")
            await until(lambda: lanes.settled == 600, 60)
            assert len(sink.got) == len(set(sink.ids())) == 600
            assert look(tmp_path, "SELECT max(attempt), count(*) FROM deliveries") == [(1, 600)]
            claimed = "SELECT external_id, started_at FROM attempts a JOIN deliveries d ON d.id = a.delivery_id"
            for event_id, started_at in look(tmp_path, f"{claimed} JOIN events e ON e.id = d.event_id"):
                moment = datetime.fromisoformat(started_at).replace(tzinfo=UTC)
                assert sent[event_id] - moment <= timedelta(seconds=60 + 1)

    asyncio.run(scenario())


def test_i5_no_more_than_a_few_answers_wait_to_be_recorded(tmp_path: Path) -> None:
    """F12: while the disk stands still a fast receiver is not sent everything there is."""

    async def scenario() -> None:
        sink = Scripted()
        async with running(tmp_path, Running(), hook=sink) as lanes:
            await lanes.arrive(600, "hook")
            await until(lambda: lanes.settled > 150)
            with closing(sqlite3.connect(tmp_path / "eventferry.db", timeout=10)) as other:
                other.execute("BEGIN IMMEDIATE")
                unrecorded = -1
                while unrecorded != len(sink.got) - lanes.settled:
                    unrecorded = len(sink.got) - lanes.settled
                    await asyncio.sleep(0.3)
                assert 0 < unrecorded <= MOST_UNRECORDED + 4 + MOST_AHEAD // 2
                assert lanes.of["hook"]._recorder.unrecorded <= MOST_UNRECORDED + 4
                other.rollback()
            await until(lambda: lanes.settled == 600)
        assert look(tmp_path, STATES) == [("delivered", 600)]

    asyncio.run(scenario())


class Undecodable(bytes):
    def decode(self, *_: object, **__: object) -> str:
        raise ValueError("not to be read")


def test_a_verdict_that_cannot_be_stored_costs_the_others_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async def one_is_odd(delivery: Delivery) -> Report:
            report = await accept(delivery)
            odd = delivery.event.external_id == "7"
            return Report(report.outcome, Undecodable(report.body) if odd else report.body, report.answer)

        sink = Scripted(one_is_odd)
        async with running(tmp_path, Running(), hook=sink) as lanes:
            await lanes.arrive(20, "hook")
            await until(lambda: lanes.settled == 19)
            assert caplog.text.count("record.crashed") == 1
            assert look(tmp_path, STATES) == [("delivered", 19), ("waiting", 1)]

    asyncio.run(scenario())


def test_a_hold_that_begins_while_many_are_ready_holds_them_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def throttle_at_300(delivery: Delivery) -> Report:
            if len(sink.got) == 300:
                return Report(TryLater("HTTP 429", timedelta(seconds=30), throttled=True))
            return await accept(delivery)

        clock = Running()
        sink = Scripted(throttle_at_300)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(600, "hook")
            await until(lambda: lanes.of["hook"].lane.held_until is not None)
            await lanes.of["hook"].drained()
            assert len(sink.got) <= 304
            await lanes.pass_time(clock, seconds=31)
            await until(lambda: lanes.settled >= 599)

    asyncio.run(scenario())
