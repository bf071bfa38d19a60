"""When rounds run: as they wish, hastened, never twice at a time, after a crash, after the clock was set."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.clock import SteadyClock
from daemon.schedule import Schedule, watch_clock
from daemon.store import StoreBroken, StoreClosed

NOW, LATER = timedelta(), timedelta(hours=1)


@asynccontextmanager
async def started() -> AsyncIterator[Schedule]:
    schedule = Schedule()
    schedule.start()
    try:
        yield schedule
    finally:
        await schedule.stop(timedelta(seconds=5))


class Round:
    """Counts its runs; each takes as long as it is held, and wishes as it is told."""

    def __init__(self, wish: timedelta | None = LATER) -> None:
        self.wish = wish
        self.runs = 0
        self.at: list[float] = []
        self.running = 0
        self.most = 0
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None

    async def __call__(self) -> timedelta | None:
        self.runs += 1
        self.at.append(time.monotonic())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.free.wait()
            if self.error is not None:
                raise self.error
            return self.wish
        finally:
            self.running -= 1


async def until(what: Callable[[], Any], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)


async def stays(what: Callable[[], Any], seconds: float = 0.15) -> None:
    """It is the case, and so it is after a while."""
    assert what()
    await asyncio.sleep(seconds)
    assert what()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))  # type: ignore[arg-type]


def test_a_round_runs_when_it_wants_to() -> None:
    async def scenario() -> None:
        async with started() as schedule:
            often, once, later = Round(timedelta(seconds=0.05)), Round(None), Round()
            began = time.monotonic()
            schedule.add("often", often)
            schedule.add("once", once)
            schedule.add("later", later, first=timedelta(seconds=0.2))
            await until(lambda: often.runs == 6)
            assert 0.24 < time.monotonic() - began < 2
            await until(lambda: later.runs == 1)
            assert later.at[0] - began >= 0.19
            await stays(lambda: once.runs == later.runs == 1)

    run(scenario)


def test_a_round_that_wants_to_run_again_at_once_does() -> None:
    async def scenario() -> None:
        async with started() as schedule:
            eager = Round(NOW)
            schedule.add("eager", eager)
            await until(lambda: eager.runs >= 50)
            assert eager.most == 1

    run(scenario)


@pytest.mark.parametrize("wish", [None, LATER])
def test_a_round_can_be_hastened(wish: timedelta | None) -> None:
    async def scenario() -> None:
        async with started() as schedule:
            round_ = Round(wish)
            schedule.add("round", round_)
            await until(lambda: round_.runs == 1)
            await stays(lambda: round_.runs == 1, 0.05)
            schedule.hasten("round")
            await until(lambda: round_.runs == 2)
            schedule.hasten("round", timedelta(seconds=0.1))
            schedule.hasten("round", timedelta(seconds=5))
            asked = time.monotonic()
            await until(lambda: round_.runs == 3)
            assert time.monotonic() - asked >= 0.09
            await stays(lambda: round_.runs == 3)

    run(scenario)


@pytest.mark.parametrize("wish", [None, LATER, timedelta(seconds=0.02)])
def test_what_is_hastened_while_it_runs_runs_again_afterwards_and_never_twice_at_a_time(wish: timedelta | None) -> None:
    async def scenario() -> None:
        async with started() as schedule:
            round_ = Round(wish)
            schedule.add("round", round_)
            for _ in range(20):
                round_.free.clear()
                schedule.hasten("round")
                await until(lambda: round_.running)
                before = round_.runs
                for _again in range(3):
                    schedule.hasten("round", timedelta(seconds=30))
                    schedule.hasten("round")
                await asyncio.sleep(0)
                round_.free.set()
                await until(lambda before=before: round_.runs > before)  # type: ignore[misc]
            assert round_.most == 1

    run(scenario)


def test_a_round_nobody_added_is_nobodys_to_hasten() -> None:
    async def scenario() -> None:
        async with started() as schedule:
            schedule.hasten("nothing")
        Schedule().hasten("nothing")

    run(scenario)


def test_a_crash_is_logged_and_waited_out_and_ends_neither_itself_nor_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with started() as schedule:
            crashing, other = Round(timedelta(seconds=0.02)), Round(timedelta(seconds=0.02))
            crashing.error = ZeroDivisionError("oops")
            schedule.add("crashing", crashing)
            schedule.add("other", other)
            await until(lambda: "round.crashed" in caplog.text)
            for _ in range(5):
                schedule.hasten("crashing")
            await until(lambda: other.runs > 5)
            await stays(lambda: crashing.runs == 1)
            crashing.error = None
            await until(lambda: crashing.runs >= 3, 8)
            assert 4.9 < crashing.at[1] - crashing.at[0] < 7
            schedule.hasten("crashing")

    run(scenario)


def test_hastening_a_round_while_it_crashes_does_not_cut_its_back_off_short(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with started() as schedule:
            round_ = Round()
            round_.error = ZeroDivisionError("oops")
            round_.free.clear()
            schedule.add("round", round_)
            await until(lambda: round_.running)
            schedule.hasten("round")
            round_.free.set()
            await until(lambda: "round.crashed" in caplog.text)
            await stays(lambda: round_.runs == 1)

    run(scenario)


@pytest.mark.parametrize("error", [StoreClosed("closed"), StoreBroken("broken")])
def test_a_round_that_meets_the_end_of_the_store_rests_without_a_word(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with started() as schedule:
            round_ = Round(timedelta(seconds=0.01))
            round_.error = error
            schedule.add("round", round_)
            await until(lambda: round_.runs == 1)
            await stays(lambda: round_.runs == 1)
            assert caplog.text == ""

    run(scenario)


def test_a_stop_waits_for_running_rounds_and_starts_no_more() -> None:
    async def scenario() -> None:
        schedule = Schedule()
        schedule.start()
        running, waiting = Round(NOW), Round()
        running.free.clear()
        schedule.add("running", running)
        schedule.add("waiting", waiting, first=timedelta(seconds=0.1))
        await until(lambda: running.running)
        stopping = asyncio.create_task(schedule.stop(timedelta(seconds=10)))
        await asyncio.sleep(0.2)
        assert not stopping.done()
        schedule.hasten("waiting")
        schedule.hasten("running")
        running.free.set()
        await stopping
        await stays(lambda: (running.runs, waiting.runs, running.running) == (1, 0, 0))

    run(scenario)


def test_a_round_that_takes_too_long_to_stop_is_cut_off_and_has_ended_when_the_stop_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        schedule = Schedule()
        schedule.start()
        hung, tidy = Round(), False

        async def tidying_up() -> timedelta | None:
            nonlocal tidy
            try:
                return await hung()
            finally:
                await asyncio.sleep(0.05)
                tidy = True

        hung.free.clear()
        schedule.add("hung", tidying_up)
        await until(lambda: hung.running)
        began = time.monotonic()
        await schedule.stop(timedelta(seconds=0.1))
        assert tidy
        assert time.monotonic() - began < 2

    run(scenario)
    assert caplog.text == ""


def test_a_schedule_that_was_never_started_can_be_stopped() -> None:
    run(lambda: Schedule().stop(timedelta()))


class Wall:
    """A wall clock that can be set, and an even clock that cannot."""

    def __init__(self) -> None:
        self.off = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.off


def test_a_step_of_the_wall_clock_is_noticed_within_two_seconds_and_told_once() -> None:
    async def scenario() -> None:
        wall = Wall()
        clock = SteadyClock(wall)
        steps: list[timedelta] = []

        async def on_step(step: timedelta) -> None:
            steps.append(step)

        watching = asyncio.create_task(watch_clock(clock, on_step))
        wall.off = timedelta(hours=-1)
        await until(lambda: steps, 2.5)
        assert abs(steps[0] + timedelta(hours=1)) < timedelta(seconds=1)
        await asyncio.sleep(1.1)
        assert len(steps) == 1
        watching.cancel()

    run(scenario)


def test_rearming_changes_nothing_about_when_rounds_run() -> None:
    async def scenario() -> None:
        async with started() as schedule:
            soon, later, never = Round(), Round(), Round(None)
            schedule.add("soon", soon, first=timedelta(seconds=0.2))
            schedule.add("later", later, first=timedelta(hours=2))
            schedule.add("never", never)
            began = time.monotonic()
            await until(lambda: never.runs == 1)
            for _ in range(20):
                schedule.rearm()
            await until(lambda: soon.runs == 1)
            assert 0.18 < time.monotonic() - began < 2
            await stays(lambda: (soon.runs, later.runs, never.runs) == (1, 0, 1))

    run(scenario)
