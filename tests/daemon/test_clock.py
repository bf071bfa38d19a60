"""Time that runs evenly, whoever sets the wall clock."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.clock import FOLLOWED, STEP, SteadyClock, as_of_now, wall_now

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Machine:
    """A wall clock that somebody sets, and an even one."""

    def __init__(self) -> None:
        self.wall = NOON
        self.even = 1000.0

    def run(self, seconds: float, *, drift: float = 0.0) -> None:
        self.even += seconds
        self.wall += timedelta(seconds=seconds + drift)

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.even)


def test_the_wall_clock_is_aware_and_in_utc() -> None:
    assert wall_now().tzinfo is UTC
    assert SteadyClock()().tzinfo is UTC


def test_i12_setting_the_wall_clock_moves_nothing_until_it_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(10)
    machine.wall += timedelta(hours=5)
    assert clock() == NOON + timedelta(seconds=10)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(days=2), timedelta(seconds=2.5)])
def test_i12_a_step_is_followed_and_its_size_told_once(step: timedelta) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(10)
    machine.wall += step
    assert clock.resync() == step
    assert clock() == machine.wall
    assert clock.resync() is None


@pytest.mark.parametrize("drift", [0.0, 0.4, -0.4, STEP.total_seconds()])
def test_slow_drift_is_followed_slowly_and_without_a_word(drift: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(60, drift=drift)
    for _ in range(int(STEP / FOLLOWED) + 1):
        before = clock()
        assert clock.resync() is None
        assert abs(clock() - before) <= FOLLOWED
    assert clock() == machine.wall


def test_i12_many_small_steps_add_up_to_one_that_is_told() -> None:
    machine = Machine()
    clock = machine.clock()
    told = []
    for _ in range(10):
        machine.run(1, drift=0.3)
        told.append(clock.resync())
    moved = sum((step for step in told if step is not None), start=timedelta())
    assert abs(timedelta(seconds=3) - moved) <= STEP
    assert told[0] is None


def test_a_process_that_was_stopped_while_it_looked_takes_that_for_no_step() -> None:
    machine = Machine()
    stops = iter((0, 90))

    def wall() -> datetime:
        moment = machine.wall
        machine.run(next(stops, 0))
        return moment

    clock = SteadyClock(wall, lambda: machine.even)
    assert clock.resync() is None
    assert clock() == machine.wall


def test_i12_what_was_asked_for_before_a_step_is_done_in_the_time_before_it() -> None:
    machine = Machine()
    clock = machine.clock()
    before = as_of_now(clock)
    machine.wall += timedelta(days=2)
    clock.resync()
    machine.run(5)
    assert before() == NOON + timedelta(seconds=5)
    assert as_of_now(clock)() == NOON + timedelta(days=2, seconds=5)
    assert as_of_now(wall_now) is wall_now


def test_a_machine_that_slept_is_no_step_since_both_clocks_went_on() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(8 * 3600)
    assert clock.resync() is None
    assert clock() == NOON + timedelta(hours=8)


def test_whoever_reads_the_clock_while_another_thread_follows_a_step_mixes_no_old_with_new() -> None:
    machine = Machine()
    another_thread_comes_in = False

    def even() -> float:
        nonlocal another_thread_comes_in
        if another_thread_comes_in:
            another_thread_comes_in = False
            machine.run(1000)
            clock.resync()
        return machine.even

    clock = SteadyClock(lambda: machine.wall, even)
    another_thread_comes_in = True
    assert clock() == NOON + timedelta(seconds=1000)
