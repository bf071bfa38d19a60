"""F45: a plug-in of Apprise may fail, raise or never return; it does no harm, and nobody is told twice."""

import asyncio
import io
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import log
from daemon.contract import Delivered, Report, TryLater
from tests.events import delivery, event
from tests.notifiers import Stub, sink_of, stubbed
from tests.receivers import http_receiver, reply

UNTOLD = TryLater("the service did not take it, or could not be reached; Apprise tells no more")


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as stub:
        yield stub


@pytest.mark.parametrize("answer", [False, None, 0])
def test_a_service_that_does_not_take_it_is_tried_later_without_detail(stub: Stub, answer: Any) -> None:
    """F45: Apprise tells that it failed, and hides why."""
    stub.answer = lambda: answer
    report = asyncio.run(sink_of("stub://x").deliver(delivery()))
    assert isinstance(report.outcome, Delivered if answer is None else TryLater)
    assert isinstance(report.outcome, Delivered) or report.outcome == UNTOLD


@pytest.mark.parametrize("error", [ValueError("canary-secret"), SystemExit(3), KeyboardInterrupt()])
def test_a_plugin_that_raises_is_tried_later_and_its_words_are_not_shown(stub: Stub, error: BaseException) -> None:
    """F45."""

    def fail() -> bool:
        raise error

    stub.answer = fail
    outcome = asyncio.run(sink_of("stub://x").deliver(delivery())).outcome
    assert isinstance(outcome, TryLater)
    assert "canary" not in outcome.reason


def test_a_plugin_that_blocks_is_left_behind_and_told_to_nobody_twice(stub: Stub) -> None:
    """F45: a call that came through after its time counts, and is not made again."""

    async def run() -> None:
        sink = sink_of("stub://x", timeout="200ms")
        stub.answer = stub.block
        started = time.monotonic()
        first = await sink.deliver(delivery(attempt=1))
        assert first.outcome == TryLater("no answer within 0.2 s; the service may have it")
        assert time.monotonic() - started < 5
        stub.freed.set()
        stub.ended.acquire(timeout=10)
        second = await sink.deliver(delivery(attempt=2))
        assert isinstance(second.outcome, Delivered)
        assert len(stub.calls) == 1
        assert second.body == first.body

    asyncio.run(run())


def test_what_a_person_wants_told_again_is_told_again(stub: Stub) -> None:
    async def run() -> None:
        sink = sink_of("stub://x", timeout="200ms")
        stub.answer = stub.block
        await sink.deliver(delivery())
        stub.freed.set()
        stub.ended.acquire(timeout=10)
        assert isinstance((await sink.deliver(delivery(replays=1))).outcome, Delivered)
        assert len(stub.calls) == 2

    asyncio.run(run())


def test_others_go_out_beside_a_call_that_blocks_until_too_many_do(stub: Stub) -> None:
    async def run() -> None:
        sink = sink_of("stub://x", timeout="200ms")
        stub.answer = stub.block
        await sink.deliver(delivery(number=1))
        assert sink._service is None, "two threads would share what Apprise keeps in it"
        stub.answer = lambda: True
        assert isinstance((await sink.deliver(delivery(number=2))).outcome, Delivered)
        stub.answer = stub.block
        reports = [await sink.deliver(delivery(number=number)) for number in (3, 4, 5)]
        assert len(stub.calls) == 4
        assert reports[-1].outcome == TryLater("3 earlier calls of this service hang to this moment")
        stub.freed.set()
        for _ in range(4):
            assert stub.ended.acquire(timeout=10)
        assert isinstance((await sink.deliver(delivery(number=5))).outcome, Delivered)

    asyncio.run(run())


def test_a_call_that_never_ends_is_made_again_after_a_second_wait(stub: Stub) -> None:
    async def run() -> None:
        sink = sink_of("stub://x", timeout="100ms")
        stub.answer = stub.block
        for attempt in (1, 2):
            assert isinstance((await sink.deliver(delivery(attempt=attempt))).outcome, TryLater)
        assert len(stub.calls) == 1
        stub.answer = lambda: True
        assert isinstance((await sink.deliver(delivery(attempt=3))).outcome, Delivered)

    asyncio.run(run())


def test_a_call_that_fails_late_is_made_again(stub: Stub) -> None:
    async def run() -> None:
        sink = sink_of("stub://x", timeout="200ms")
        stub.answer = lambda: not stub.block()
        await sink.deliver(delivery(attempt=1))
        stub.freed.set()
        stub.ended.acquire(timeout=10)
        stub.answer = lambda: True
        assert (await sink.deliver(delivery(attempt=2))).outcome == UNTOLD
        assert isinstance((await sink.deliver(delivery(attempt=3))).outcome, Delivered)

    asyncio.run(run())


def test_one_object_serves_all_deliveries_of_a_sink(stub: Stub) -> None:
    """Apprise keeps a service's own pace in it."""

    async def run() -> list[Report]:
        sink = sink_of("stub://x")
        reports = [await sink.deliver(delivery(number=number)) for number in range(3)]
        assert sink._service is not None
        first = sink._service
        await sink.deliver(delivery())
        assert sink._service is first
        return reports

    assert len(asyncio.run(run())) == 3


def test_apprise_writes_into_nobodys_log() -> None:
    """It logs URLs, and what services answer."""
    stream = io.StringIO()
    log.configure("debug", "json", stream)
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    try:

        async def run() -> None:
            async with http_receiver(reply(500)) as receiver:
                await sink_of(f"json://127.0.0.1:{receiver.port}/canary-token-0123456789").deliver(delivery())
                assert len(receiver.requests) == 1

        asyncio.run(run())
    finally:
        log.shutdown()
        logging.getLogger("apprise").setLevel(logging.NOTSET)
    assert stream.getvalue() == ""


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import asyncio, os, time
from apprise.decorators import notify
from tests.events import delivery, event
from tests.notifiers import sink_of
sink = sink_of("stub://x", timeout="100ms")
notify(on="stub")(lambda *_, **__: time.sleep(300))
print((asyncio.run(sink.deliver(delivery()))).outcome.reason)
"""
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "no answer within 0.1 s; the service may have it\n"
    assert result.stderr == ""


def test_what_takes_apprise_long_to_escape_keeps_nobody_else_waiting() -> None:
    """A buyer wrote it, and everything else runs on the same loop."""
    review = delivery(event({"review": "[" * 20_000}, kind="review"))

    async def run() -> None:
        async with http_receiver(reply()) as receiver:
            url = f"json://127.0.0.1:{receiver.port}/?format=html"
            sink = sink_of(url, markdown="**Review**\n\n{{ review }}", timeout="60s")
            await sink.deliver(delivery())
            began = last = time.monotonic()
            longest, delivering = 0.0, asyncio.create_task(sink.deliver(review))
            while not delivering.done():
                await asyncio.sleep(0.005)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert isinstance(delivering.result().outcome, Delivered)
            assert longest < (time.monotonic() - began) / 2

    asyncio.run(run())
