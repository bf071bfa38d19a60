"""Sinks that misbehave or fail: what is tried again, when, and when it is given up."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import Delivered, Delivery, Report, TryLater
from tests.daemon.rounds.lanes import STATES, Scripted, accept, always, hang, running, until
from tests.daemon.rounds.world import Hand, look


def waits(folder: Path, clock: Hand) -> list[float]:
    """Seconds until each waiting delivery falls due."""
    rows = look(folder, "SELECT due_at FROM deliveries WHERE state = 'waiting' ORDER BY id")
    return [
        (datetime.fromisoformat(due).replace(tzinfo=clock.now.tzinfo) - clock.now).total_seconds() for (due,) in rows
    ]


async def raises(delivery: Delivery) -> Report:
    raise ValueError("https://secret.example/token")


async def is_cancelled(delivery: Delivery) -> Report:
    raise asyncio.CancelledError


async def answers_nothing(delivery: Delivery) -> Any:
    return None


async def answers_an_outcome(delivery: Delivery) -> Any:
    return Delivered("HTTP 200")


async def ends_the_process(delivery: Delivery) -> Report:
    raise SystemExit("https://secret.example/token")


def reporting(outcome: Any = None, **parts: Any) -> Scripted:
    async def answer(delivery: Delivery) -> Report:
        return Report(outcome or Delivered("HTTP 200"), **parts)

    return Scripted(answer)


class WrongCount(Scripted):
    async def deliver_batch(self, deliveries: Any) -> Any:
        return (*await super().deliver_batch(deliveries), *await super().deliver_batch(deliveries))


class NoSequence(Scripted):
    async def deliver_batch(self, deliveries: Any) -> Any:
        await super().deliver_batch(deliveries)


NONSENSE = {
    "no outcome": reporting("HTTP 200"),
    "no reason": reporting(TryLater(None)),  # type: ignore[arg-type] # on purpose
    "odd wait": reporting(TryLater("busy", 5)),  # type: ignore[arg-type] # on purpose
    "odd body": reporting(body="text"),
    "odd answer": reporting(answer=b"bytes"),
    "odd progress": reporting(progress={"served": {1}}),
    "odd holds": reporting(holds={"pace": 5}),
}
MISBEHAVED: dict[str, tuple[Scripted, str]] = {
    "raises": (Scripted(raises), "the sink itself failed (ValueError)"),
    "cancels": (Scripted(is_cancelled), "the sink itself failed (CancelledError)"),
    "hangs": (Scripted(hang, seconds=0.1), "no answer within 0.1 s; the receiver may have it"),
    "nothing": (Scripted(answers_nothing), "the sink did not answer with one report for each delivery it was given"),
    "outcome": (Scripted(answers_an_outcome), "the sink did not answer with one report for each delivery it was given"),
    "count": (WrongCount(), "the sink did not answer with one report for each delivery it was given"),
    "no list": (NoSequence(), "the sink itself failed (TypeError)"),
    "exits": (Scripted(ends_the_process), "the sink itself failed (SystemExit)"),
    **{name: (sink, "the sink reported what makes no sense") for name, sink in NONSENSE.items()},
}


@pytest.mark.parametrize("name", MISBEHAVED)
def test_a_sink_that_misbehaves_counts_as_try_later(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink, reason = MISBEHAVED[name]
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(1, "hook")
            await until(lambda: look(tmp_path, "SELECT count(*) FROM attempts") == [(1,)])
            await lanes.of["hook"].drained()
            assert look(tmp_path, "SELECT state, failures, reason FROM deliveries") == [("waiting", 1, reason)]
            assert 5 <= waits(tmp_path, clock)[0] <= 5.5
            sink.answer = accept
            if isinstance(sink, WrongCount | NoSequence):
                return
            await lanes.pass_time(clock, seconds=6)
            assert look(tmp_path, STATES) == [("delivered", 1)]
            assert [delivery.attempt for delivery in sink.got] == [1, 2]

    asyncio.run(scenario())


def test_retries_follow_their_waits_until_the_delivery_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        failing = Scripted(always(TryLater("HTTP 500")))
        async with running(tmp_path, clock, hook=failing, alert_sinks=("mail",), mail=Scripted()) as lanes:
            await lanes.arrive(1, "hook")
            for attempt, seconds in enumerate(
                (5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000, 86400), start=1
            ):
                await until(lambda attempt=attempt: len(failing.got) == attempt)  # type: ignore[misc] # a lambda's default
                await lanes.of["hook"].drained()
                (wait,) = waits(tmp_path, clock)
                assert seconds <= wait <= 1.1 * seconds + 0.01
                await lanes.pass_time(clock, seconds=wait - 0.01)
                assert len(failing.got) == attempt
                clock.advance(seconds=0.02)
                lanes.wake()
            telling = "SELECT data FROM events WHERE kind = 'alert.dead_letter'"
            await until(lambda: look(tmp_path, telling))
            assert look(tmp_path, "SELECT state FROM deliveries WHERE sink = 'hook'") == [("gave_up",)]
            assert len(failing.got) == 12
            ((told,),) = look(tmp_path, telling)
            assert "hook: a delivery was given up: HTTP 500 (attempt 12 was the last)" in told

    asyncio.run(scenario())


def test_a_receivers_own_wait_holds_the_lane_and_counts_as_no_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        throttled = always(TryLater("HTTP 429", timedelta(seconds=40), throttled=True))
        sink = Scripted(throttled, concurrency=1)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(5, "hook")
            await until(lambda: len(sink.got) == 1)
            sink.answer = accept
            await lanes.pass_time(clock, seconds=39)
            assert len(sink.got) == 1
            await lanes.pass_time(clock, seconds=2)
            assert look(tmp_path, STATES) == [("delivered", 5)]
            assert look(tmp_path, "SELECT max(failures) FROM deliveries") == [(0,)]

    asyncio.run(scenario())


def test_setting_the_wall_clock_moves_what_holds_a_lane(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(always(TryLater("HTTP 429", timedelta(seconds=40), throttled=True)), concurrency=1)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(2, "hook")
            await until(lambda: len(sink.got) == 1)
            await lanes.of["hook"].drained()
            sink.answer = accept
            for step in (timedelta(hours=2), timedelta(days=-3)):
                clock.now += step
                await lanes.store.shift(step)
                lanes.of["hook"].shift(step)
                await lanes.pass_time(clock, seconds=1)
                assert len(sink.got) == 1
            await lanes.pass_time(clock, seconds=40)
            assert look(tmp_path, STATES) == [("delivered", 2)]

    asyncio.run(scenario())
