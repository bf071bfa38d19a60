"""Signals that nobody sends on purpose, at moments when nobody expects them: an exit code, and nothing lost."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

from daemon.simulator.faults import Behaviour
from tests.acceptance import conftest
from tests.acceptance.conftest import World

Worlds = Callable[..., Any]

world = conftest.world


async def _ended(w: World, within: float = 60.0) -> int:
    assert w.process is not None
    async with asyncio.timeout(within):
        return await w.process.wait()


def _messages(w: World) -> list[str]:
    """The names of what was logged; each line is JSON, so none is a traceback."""
    return [json.loads(line)["event"] for line in w.log().splitlines()]


def _told(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_what_says_nothing_to_us_changes_nothing_and_a_closed_terminal_is_a_stop(world: Worlds) -> None:
    """SIGPIPE, SIGCHLD, SIGWINCH, SIGURG, SIGCONT; then SIGHUP twice, as kernel and shell both send one."""

    async def story() -> None:
        async with world() as w:
            w.configure()
            w.sim.inbox.behave("hook", Behaviour(latency=1.0))
            process = await w.start()
            await w.until(lambda: "daemon.started" in w.log())
            for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT):
                process.send_signal(number)
            event_id = w.sim.upstream.add_sample()
            await w.until(lambda: w.sim.inbox.received("hook"))
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGHUP)
            assert await _ended(w) == 0
            assert w.accepted("hook") == [f"builtbybit-{event_id}-hook"], "what was under way was waited for"
            assert w.sim.upstream.completed == {event_id: 1}
            assert {"daemon.stopping", "daemon.stopped"} <= {*_messages(w)}

    _told(story)


def test_whoever_started_it_under_nohup_meant_it(world: Worlds) -> None:
    async def story() -> None:
        async with world() as w:
            w.configure()
            process = await w.start(under=("nohup",))
            await w.until(lambda: "daemon.started" in w.log())
            process.send_signal(signal.SIGHUP)
            event_id = w.sim.upstream.add_sample()
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1})
            assert await w.stop() == 0

    _told(story)


def test_a_signal_that_ends_a_process_loses_nothing(world: Worlds) -> None:
    """SIGUSR1 and SIGUSR2 are not ours: they end the process as the kernel does, and the next one goes on (I5)."""

    async def story() -> None:
        async with world() as w:
            w.configure()
            w.sim.inbox.behave("hook", Behaviour(hang=True, times=1))
            event_id = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: w.sim.inbox.received("hook"))
            assert await w.stop(signal.SIGUSR1) == -signal.SIGUSR1
            await w.start()
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1})
            assert await w.stop(signal.SIGUSR2) == -signal.SIGUSR2
            assert {*w.accepted("hook")} == {f"builtbybit-{event_id}-hook"}
            _messages(w)

    _told(story)


def test_a_stop_while_the_database_is_made_leaves_one_that_the_next_start_takes(world: Worlds) -> None:
    """SIGTERM and SIGINT at moments of the first start: killed, told to stop or done, but never broken (W6)."""

    async def story() -> None:
        async with world() as w:
            w.configure()
            event_id = w.sim.upstream.add_sample()
            for number, moment in (
                (signal.SIGTERM, "eventferry.db"),
                (signal.SIGINT, "eventferry.db-wal"),
            ):
                await w.start()
                await w.until((w.folder / moment).exists)
                assert await w.stop(number) in (0, 130, -number)
            await w.start()
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1})
            assert await w.stop() == 0
            with closing(sqlite3.connect(w.folder / "eventferry.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            _messages(w)

    _told(story)
