"""What is due to a sink goes out at once, beside all other lanes, and what came of it is recorded."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from daemon.app.operator import Operator
from daemon.clock import SteadyClock
from daemon.contract import Delivery, Rejected, Report, TryLater
from tests.daemon.rounds.lanes import STATES, Answer, Scripted, accept, always, hang, running, until
from tests.daemon.rounds.world import Hand, arrive, look, opened


def test_a_new_delivery_starts_within_milliseconds_of_its_commit(tmp_path: Path) -> None:
    async def scenario() -> list[float]:
        sink = Scripted()
        delays = []
        async with running(tmp_path, SteadyClock(), hook=sink) as lanes:
            for number in range(1, 21):
                await lanes.arrive(1, "hook", first=number)
                committed = time.monotonic()
                await until(lambda number=number: len(sink.got) == number)  # type: ignore[misc] # a lambda's default
                delays.append(time.monotonic() - committed)
        return delays

    delays = asyncio.run(scenario())
    assert sorted(delays)[len(delays) // 2] < 0.1
    assert max(delays) < 1


def test_what_was_sent_and_answered_is_on_record(tmp_path: Path) -> None:
    async def scenario() -> None:
        sink = Scripted()
        async with running(tmp_path, Hand(), hook=sink) as lanes:
            await lanes.arrive(3, "hook")
            await until(lambda: lanes.settled == 3)
            assert look(tmp_path, STATES) == [("delivered", 3)]
            assert (
                look(tmp_path, "SELECT outcome, reason, answer, body_size FROM attempts")
                == [("delivered", "HTTP 200", "thanks", 6)] * 3
            )
            assert [delivery.id for delivery in sink.got] == ["shop-1-hook", "shop-2-hook", "shop-3-hook"]

    asyncio.run(scenario())


def test_a_hung_sink_delays_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        hung, fast = Scripted(hang), Scripted()
        async with running(tmp_path, SteadyClock(), hung=hung, fast=fast) as lanes:
            await lanes.arrive(50, "hung", "fast")
            began = time.monotonic()
            await until(lambda: lanes.settled == 50)
            assert time.monotonic() - began < 5
            assert hung.under_way == 4
            assert len(fast.got) == 50

    asyncio.run(scenario())


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_is_under_way_than_the_lane_allows_and_no_less(tmp_path: Path, concurrency: int) -> None:
    async def scenario() -> None:
        gate = asyncio.Semaphore(0)

        async def wait_for_it(delivery: Delivery) -> Report:
            await gate.acquire()
            return await accept(delivery)

        sink = Scripted(wait_for_it, concurrency=concurrency)
        async with running(tmp_path, Hand(), hook=sink) as lanes:
            await lanes.arrive(20, "hook")
            for done in range(20):
                await until(lambda done=done: len(sink.got) == min(20, done + concurrency))  # type: ignore[misc] # a lambda's default
                gate.release()
            await until(lambda: lanes.settled == 20)
            assert sink.most_under_way == concurrency
            assert sorted(sink.ids(), key=int) == [str(number) for number in range(1, 21)]

    asyncio.run(scenario())


def test_a_sink_that_takes_several_gets_them_together_and_each_has_its_own_verdict(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def odd_ones_fail(delivery: Delivery) -> Report:
            number = int(delivery.event.external_id)
            return Report(Rejected("HTTP 400")) if number % 10 == 3 else await accept(delivery)

        sink = Scripted(odd_ones_fail, concurrency=1, batch_limit=10)
        async with running(tmp_path, Hand(), hook=sink) as lanes:
            await lanes.arrive(25, "hook")
            await until(lambda: sum(map(len, sink.batches)) == 25 and not sink.under_way)
            await lanes.of["hook"].drained()
            assert [len(batch) for batch in sink.batches] == [10, 10, 5]
            assert look(tmp_path, STATES) == [("delivered", 22), ("rejected", 3)]
            assert look(tmp_path, "SELECT count(*) FROM attempts") == [(25,)]

    asyncio.run(scenario())


def test_the_operator_stops_and_resumes_a_sink(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        release = asyncio.Event()

        async def slow(delivery: Delivery) -> Report:
            await release.wait()
            return await accept(delivery)

        sink = Scripted(slow, concurrency=1)
        async with running(tmp_path, clock, hook=sink) as lanes:
            operator = Operator(lanes.store, lanes.of)
            await lanes.arrive(3, "hook")
            await until(lambda: len(sink.got) == 1)
            await operator.stop_sink({"name": "hook"})
            release.set()
            await until(lambda: lanes.settled == 1)
            await lanes.pass_time(clock, days=3)
            assert look(tmp_path, STATES) == [("delivered", 1), ("waiting", 2)]
            assert lanes.of["hook"].lane.stopped_by == "operator"
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.pass_time(clock, days=3)
            assert len(sink.got) == 1
            await Operator(lanes.store, lanes.of).resume_sink({"name": "hook"})
            await until(lambda: lanes.settled == 2)

    asyncio.run(scenario())


def test_while_everything_is_paused_nothing_goes_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted()
        async with running(tmp_path, clock, hook=sink) as lanes:
            operator = Operator(lanes.store, lanes.of)
            await operator.pause({})
            await lanes.arrive(3, "hook")
            await lanes.pass_time(clock, days=1)
            assert sink.got == []
            await operator.resume({})
            await until(lambda: lanes.settled == 3)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("damage", "fate"),
    [
        ("UPDATE deliveries SET progress = 'no JSON' WHERE id = 1", "delivered"),
        ("UPDATE deliveries SET progress = x'ff' WHERE id = 1", "delivered"),
        ("UPDATE events SET occurred_at = 'noon' WHERE id = 1", "gave_up"),
        ("UPDATE events SET occurred_at = 7 WHERE id = 1", "gave_up"),
        ("UPDATE events SET data = substr(data, 2) WHERE id = 1", "gave_up"),
        ("UPDATE deliveries SET tried_at = x'00ff' WHERE id = 1", "delivered"),
        ("UPDATE deliveries SET due_at = 'soon' WHERE id = 1", "delivered"),
    ],
)
def test_f14_a_damaged_row_costs_no_other_its_delivery(tmp_path: Path, damage: str, fate: str) -> None:
    """Whatever cannot be read of it; a delivery whose time cannot be read is due at the next start."""

    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook"]) as store:
            await arrive(store, 3, "hook")
        with closing(sqlite3.connect(tmp_path / "eventferry.db")) as connection:
            connection.execute(damage)
            connection.commit()
        sink = Scripted()
        async with running(tmp_path, clock, hook=sink) as lanes:
            await until(lambda: lanes.settled == 2 + (fate == "delivered"))
        assert look(tmp_path, "SELECT state FROM deliveries ORDER BY id") == [(fate,), ("delivered",), ("delivered",)]

    asyncio.run(scenario())


def test_each_sink_keeps_its_own_answer(tmp_path: Path) -> None:
    """One event, three sinks, three fates."""

    async def scenario() -> None:
        answers: dict[str, Answer] = {
            "one": accept,
            "two": always(Rejected("HTTP 400")),
            "three": always(TryLater("HTTP 500")),
        }
        sinks = {name: Scripted(answer) for name, answer in answers.items()}
        async with running(tmp_path, Hand(), **sinks) as lanes:
            await lanes.arrive(1, "one", "two", "three")
            await until(lambda: look(tmp_path, "SELECT count(*) FROM attempts") == [(3,)])
            assert look(tmp_path, "SELECT sink, state FROM deliveries ORDER BY id") == [
                ("one", "delivered"),
                ("two", "rejected"),
                ("three", "waiting"),
            ]

    asyncio.run(scenario())
