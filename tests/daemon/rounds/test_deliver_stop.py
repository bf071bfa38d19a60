"""A stop starts nothing new, lets what runs end, and takes nothing it had to cut off for a failure."""

import asyncio
import random
import time
from datetime import timedelta
from pathlib import Path

from daemon.clock import SteadyClock
from daemon.contract import Delivery, Report
from tests.daemon.rounds.lanes import Scripted, accept, hang, running, until
from tests.daemon.rounds.world import Hand, arrive, look, opened

LEFT = "SELECT state, failures, deaths, claimed_at IS NULL, count(*) FROM deliveries GROUP BY 1, 2, 3, 4 ORDER BY 1"


def test_what_is_under_way_may_end_and_nothing_more_is_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        released = asyncio.Event()

        async def slow(delivery: Delivery) -> Report:
            await released.wait()
            return await accept(delivery)

        sink = Scripted(slow, concurrency=2)
        async with running(tmp_path, Hand(), hook=sink) as lanes:
            await lanes.arrive(5, "hook")
            await until(lambda: len(sink.got) == 2)
            stopping = asyncio.create_task(lanes.of["hook"].stop(timedelta(seconds=10)))
            lanes.wake()
            await asyncio.sleep(0)
            released.set()
            assert await stopping == 0
            assert look(tmp_path, LEFT) == [("delivered", 0, 0, 1, 2), ("waiting", 0, 0, 1, 3)]
            assert len(sink.got) == 2

    asyncio.run(scenario())


def test_what_takes_too_long_is_cut_off_falls_due_at_once_and_counts_as_no_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        hung = Scripted(hang)
        async with running(tmp_path, clock, hook=hung) as lanes:
            await lanes.arrive(2, "hook")
            await until(lambda: len(hung.got) == 2)
            began = time.monotonic()
            assert await lanes.of["hook"].stop(timedelta(seconds=0.1)) == 2
            assert time.monotonic() - began < 3
        assert look(tmp_path, LEFT) == [("waiting", 0, 0, 1, 2)]
        assert look(tmp_path, "SELECT DISTINCT outcome, reason FROM attempts") == [
            ("try_later", "the daemon was stopped while this was under way; the receiver may have it")
        ]
        sink = Scripted()
        async with running(tmp_path, clock, hook=sink) as lanes:
            assert lanes.of["hook"].lane.health == "ok"
            await until(lambda: lanes.settled == 2)
            assert [delivery.attempt for delivery in sink.got] == [2, 2]

    asyncio.run(scenario())


def test_a_lane_with_nothing_to_do_stops_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, Hand(), hook=Scripted()) as lanes:
            await lanes.of["hook"].drained()
            began = time.monotonic()
            assert await lanes.of["hook"].stop(timedelta(seconds=10)) == 0
            assert time.monotonic() - began < 1

    asyncio.run(scenario())


def test_at_whatever_moment_a_stop_comes_nothing_looks_as_if_the_daemon_had_died_over_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        chance = random.Random(5)
        sink = Scripted(concurrency=2)
        async with opened(tmp_path, SteadyClock(), ["hook"]) as store:
            await arrive(store, 400, "hook")
        for _ in range(25):
            async with running(tmp_path, SteadyClock(), hook=sink) as lanes:
                await asyncio.sleep(chance.random() * (0.02 if sink.got else 0.2))  # a busy machine is slower
                await lanes.of["hook"].stop(timedelta(seconds=5))
            for state, failures, deaths, given_back, _ in look(tmp_path, LEFT):
                assert (state in ("waiting", "delivered"), failures, deaths, given_back) == (True, 0, 0, 1)
            assert look(tmp_path, "SELECT count(*) FROM attempts WHERE outcome = 'cut_off'") == [(0,)]
        assert len(sink.got) > 0
        assert len(set(sink.ids())) == len(sink.got)

    asyncio.run(scenario())
