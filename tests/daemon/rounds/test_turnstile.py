"""Limits that sinks share: no message goes out too early, none uses up attempts, and nobody else waits."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.clock import SteadyClock
from daemon.contract import Delivered, Delivery, Pace, Report, TryLater
from tests.daemon.rounds.lanes import STATES, Scripted, running, until
from tests.daemon.rounds.world import Hand, look

ALL = Pace("discord")
SECOND = timedelta(seconds=1)


def limited(pace: Pace = ALL, seconds: float = 60) -> Report:
    wait = timedelta(seconds=seconds)
    return Report(TryLater("slow down", wait, throttled=True), b"body", holds={pace.name: wait})


async def together(delivery: Delivery) -> Report:
    return Report(Delivered(), b"one message for all")


class Paced(Scripted):
    """Remembers when each of its calls began and ended."""

    def __init__(self, *paces: Pace, seconds: float = 0.0, **options: int) -> None:
        super().__init__(together, **{"concurrency": 1, "batch_limit": 10} | options)  # type: ignore[arg-type] # mixed options
        self.paces = paces
        self.spans: list[tuple[float, float]] = []
        self.seconds = seconds

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(self.seconds)
        reports = await super().deliver_batch(deliveries)
        self.spans.append((began, asyncio.get_running_loop().time()))
        return reports


def url(messages: int = 1000, per: float = 1.0, name: str = "discord/one") -> Pace:
    return Pace(name, messages, timedelta(seconds=per))


def test_i11_a_hold_shuts_every_sink_that_shares_it_and_no_other_and_survives_a_restart(tmp_path: Path) -> None:
    async def once(delivery: Delivery) -> Report:
        return limited()

    async def scenario() -> None:
        clock = Hand()
        one, two, free = Paced(ALL, url()), Paced(ALL, url(name="discord/two")), Scripted()
        one.answer = once
        async with running(tmp_path, clock, one=one, two=two, free=free) as lanes:
            await lanes.arrive(1, "one")
            await until(lambda: look(tmp_path, "SELECT reason FROM deliveries") == [("slow down",)])
            one.answer = together
            await lanes.arrive(3, "one", "two", "free", first=2)
            await until(lambda: len(free.got) == 3)
            clock.advance(seconds=59)
            lanes.wake()
            await asyncio.sleep(0.05)
            assert (len(one.got), len(two.got)) == (1, 0)
        async with running(tmp_path, clock, one=one, two=two, free=free) as lanes:
            await asyncio.sleep(0.05)
            assert (len(one.got), len(two.got)) == (1, 0)
            clock.advance(seconds=1.2)
            lanes.wake()
            await until(lambda: len(two.got) == 3)
            clock.advance(seconds=10)
            lanes.wake()
            await until(lambda: len(one.got) == 5)
            await until(lambda: look(tmp_path, STATES) == [("delivered", 10)])
        assert look(tmp_path, "SELECT max(failures) FROM deliveries") == [(0,)]

    asyncio.run(scenario())


def test_a_lane_that_is_claiming_while_another_is_told_to_hold_goes_on_when_the_hold_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, two = Paced(ALL, url()), Paced(ALL, url(name="discord/two"))
        async with running(tmp_path, SteadyClock(), one=one, two=two) as lanes:

            async def hold_once(delivery: Delivery) -> Report:
                if len(two.got) > 1:
                    return await together(delivery)
                while not lanes.of["one"]._looking.under_way:  # noqa: ASYNC110 - for this very moment
                    await asyncio.sleep(0)
                return limited(seconds=0.3)

            two.answer = hold_once
            await lanes.arrive(1, "two")
            await until(lambda: two.got)
            await lanes.arrive(10, "one", first=10)
            await until(lambda: len(one.got) == 10 and len(two.got) == 2)

    asyncio.run(scenario())


def test_i11_the_hold_is_on_disk_before_anything_else_goes_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[int] = []
        answers = iter([limited(url(), 0.05)])

        async def answer(delivery: Delivery) -> Report:
            seen.append(look(tmp_path, "SELECT count(*) FROM paces WHERE opens_at > '2020-01-01'")[0][0])
            return next(answers, Report(Delivered()))

        one, two = Paced(url()), Paced(url())
        one.answer = two.answer = answer
        async with running(tmp_path, SteadyClock(), one=one, two=two) as lanes:
            await lanes.arrive(1, "one", "two")
            await until(lambda: len(seen) == 2)
        assert seen == [0, 1]

    asyncio.run(scenario())


def test_one_message_at_a_time_goes_through_a_webhook_whichever_sinks_use_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, two = (Paced(url(), seconds=0.02, concurrency=4, batch_limit=1) for _ in range(2))
        async with running(tmp_path, SteadyClock(), one=one, two=two) as lanes:
            await lanes.arrive(8, "one", "two")
            await until(lambda: look(tmp_path, STATES) == [("delivered", 16)])
        spans = sorted([*one.spans, *two.spans])
        assert all(ended <= began for (_, ended), (began, _) in pairwise(spans))

    asyncio.run(scenario())


def test_those_that_share_a_webhook_take_turns(tmp_path: Path) -> None:
    async def scenario() -> None:
        busy, quiet = Paced(url(5, 2.0), batch_limit=1), Paced(url(5, 2.0), batch_limit=1)
        async with running(tmp_path, SteadyClock(), busy=busy, quiet=quiet) as lanes:
            await lanes.arrive(4, "busy")
            await until(lambda: busy.got)
            await lanes.arrive(1, "quiet", first=20)
            await until(lambda: quiet.got)
            assert len(busy.got) <= 2, "it does not wait until the other's backlog is through"

    asyncio.run(scenario())


def test_a_backlog_goes_in_full_messages_and_never_faster_than_the_rate(tmp_path: Path) -> None:
    async def scenario() -> None:
        sink = Paced(ALL, url(6, 0.6))
        async with running(tmp_path, SteadyClock(), chat=sink) as lanes:
            await lanes.arrive(100, "chat")
            assert await lanes.of["chat"].drained(), "a single round waits for such pauses"
            assert look(tmp_path, STATES) == [("delivered", 100)]
        assert [len(batch) for batch in sink.batches] == [10] * 10
        began = [each for each, _ in sink.spans]
        assert all(later - earlier >= 0.6 for earlier, later in zip(began, began[6:], strict=False))

    asyncio.run(scenario())


def test_messages_sent_beside_the_first_are_counted_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Paced(url(12, 60))

        async def answer(delivery: Delivery) -> Report:
            return Report(Delivered(), body=b"message %d" % (int(delivery.event.external_id) % 3))

        sink.answer = answer
        async with running(tmp_path, clock, chat=sink) as lanes:
            await lanes.arrive(10, "chat")
            await until(lambda: look(tmp_path, STATES) == [("delivered", 10)])
            held = lanes.of["chat"].turn.held()
            assert held is not None, "three messages went out; two may at once"
            assert (held - clock()).total_seconds() == pytest.approx(2 * 60 / 11, abs=0.1)

    asyncio.run(scenario())


def test_several_in_one_message_are_one_failure_of_the_sink(tmp_path: Path) -> None:
    async def scenario() -> None:
        sink = Paced(url())

        async def unreachable(deliveries: Sequence[Delivery]) -> Sequence[Report]:
            sink.batches.append([])
            return [Report(TryLater("no connection"))] * len(deliveries)

        sink.deliver_batch = unreachable  # type: ignore[method-assign] # on purpose
        async with running(tmp_path, Hand(), chat=sink) as lanes:
            await lanes.arrive(10, "chat")
            await until(lambda: sink.batches and lanes.of["chat"].lane.strikes)
            assert (lanes.of["chat"].lane.strikes, lanes.of["chat"].lane.health) == (1, "ok")

    asyncio.run(scenario())


def test_a_sink_without_paces_writes_nothing_for_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, SteadyClock(), hook=Scripted()) as lanes:
            await lanes.arrive(20, "hook")
            await until(lambda: look(tmp_path, STATES) == [("delivered", 20)])
        assert look(tmp_path, "SELECT count(*) FROM paces") == [(0,)]

    asyncio.run(scenario())
