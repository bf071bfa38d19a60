import asyncio
import threading

import pytest

from sinks import _thread
from sinks._thread import Hanging, OneByOne, start


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_thread, "_PATIENCE", 0.05)


class Call:
    """A call that hangs until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.times = 0
        self._error = error

    def __call__(self) -> int:
        self.times += 1
        assert self.go.wait(60)
        if self._error is not None:
            raise self._error
        return self.times


async def given_up(calls: OneByOne, what: str, call: Call) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await calls.call(what, call)


def test_a_call_is_made_in_a_thread_that_the_end_of_the_process_does_not_wait_for() -> None:
    assert start(lambda: threading.current_thread().daemon).result(10)


def test_while_one_hangs_no_other_is_begun_however_many_ask() -> None:
    async def run() -> None:
        calls, hung, other = OneByOne(), Call(), Call()
        await given_up(calls, "one", hung)
        before = threading.active_count()
        for _ in range(5):
            with pytest.raises(Hanging):
                await calls.call("two", other)
        assert (other.times, threading.active_count()) == (0, before)
        hung.go.set()
        other.go.set()
        assert await calls.call("two", other) == 1

    asyncio.run(run())


def test_what_was_given_up_and_is_asked_for_again_is_not_done_twice() -> None:
    async def run() -> None:
        calls, hung = OneByOne(), Call()
        await given_up(calls, "one", hung)
        await given_up(calls, "one", hung)
        hung.go.set()
        assert await calls.call("one", hung) == 1
        assert await calls.call("one", hung) == 2

    asyncio.run(run())


def test_what_failed_after_it_was_given_up_says_so_once() -> None:
    async def run() -> None:
        calls, hung = OneByOne(), Call(OSError("late"))
        await given_up(calls, "one", hung)
        hung.go.set()
        for times in (1, 2):
            with pytest.raises(OSError, match="late"):
                await calls.call("one", hung)
            assert hung.times == times

    asyncio.run(run())


def test_calls_side_by_side_wait_for_each_other() -> None:
    async def run() -> None:
        calls, under_way, most = OneByOne(), 0, 0

        def one() -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            threading.Event().wait(0.002)
            under_way -= 1

        await asyncio.gather(*(calls.call(number, one) for number in range(10)))
        assert most == 1

    asyncio.run(run())
