"""A disk that fails or is slow: after an error nothing more is done, and slowness holds nobody up (F11, F12, I14)."""

import asyncio
import time
from collections import Counter

import pytest

from daemon.simulator.faults import Behaviour
from tests.acceptance.disk import (
    DATABASE,
    begun,
    command,
    completed,
    ended,
    from_the_start,
    logged,
    make_database,
    needs_strace,
    ping,
    spoiled,
)

pytestmark = needs_strace


@pytest.mark.parametrize(
    ("call", "fault", "name"),
    [
        ("fdatasync", "error=EIO:when=1", "SQLITE_IOERR_FSYNC"),
        ("pwrite64", "error=EIO", "SQLITE_IOERR_WRITE"),
        ("pread64", "error=EIO", "SQLITE_CORRUPT"),
    ],
)
def test_a_disk_that_fails_ends_the_daemon_with_74_and_the_next_start_goes_on(world, call, fault, name):
    """F11, M4, I14: SQLite itself would go on after a failed flush as if nothing had happened.

    What a read reports as EIO, SQLite calls corrupt.
    """

    async def story():
        async with world() as w:
            w.configure()
            first = w.sim.upstream.add_sample()
            await begun(w)
            await w.until(lambda: completed(w, first))
            async with spoiled(w, {call: fault}):
                second = w.sim.upstream.add_sample()
                assert await ended(w) == 74
            assert not completed(w, second)
            (said,) = logged(w, "store.broken")
            assert said["reason"].startswith(f"{w.folder / DATABASE}: {name}")
            assert "look for errors of the disk (dmesg), " in said["reason"]
            assert "Traceback" not in w.log()
            assert len(w.sim.inbox.calls) <= 2
            await begun(w)
            await w.until(lambda: completed(w, first, second))
            assert await w.stop() == 0
            assert len(w.accepted("hook")) <= 3

    asyncio.run(story())


def test_what_was_sent_as_the_disk_failed_is_not_completed_and_is_repeated_once_with_the_same_id(world):
    """F11, I2, I5: at the flush of the verdict."""

    async def story():
        async with world() as w:
            w.configure()
            w.sim.inbox.behave("hook", Behaviour(latency=1.0))
            event_id = w.sim.upstream.add_sample()
            await begun(w)
            await w.until(lambda: w.rows("SELECT 1 FROM deliveries WHERE claimed_at IS NOT NULL"))
            async with spoiled(w, {"fdatasync": "error=EIO"}):
                assert await ended(w) == 74
            assert w.sim.upstream.completed == {}
            w.sim.inbox.behave("hook", Behaviour())
            await begun(w)
            await w.until(lambda: completed(w, event_id))
            assert await w.stop() == 0
            assert set(w.accepted("hook")) == {f"builtbybit-{event_id}-hook"}
            assert len(w.accepted("hook")) <= 2

    asyncio.run(story())


def test_a_disk_that_cannot_be_read_at_the_start_is_said_so_in_one_line(world):
    """F11: at the check before anything else."""

    async def story():
        async with world() as w:
            w.configure()
            await make_database(w)
            await w.start(under=from_the_start(w.folder, {"pread64": "error=EIO"}))
            assert await ended(w) == 74
            *_, line = w.log().splitlines()
            assert line.startswith(
                f"eventferry: {w.folder / DATABASE}: cannot be used (disk I/O error); look for errors"
            )
            assert "Traceback" not in w.log()

    asyncio.run(story())


def test_a_flush_of_two_seconds_holds_up_only_what_waits_for_it(world):
    """F12: the event loop goes on, commands are answered, and nothing is lost or repeated."""

    async def story():
        async with world() as w:
            w.configure()
            await begun(w)
            lags = []
            async with spoiled(w, {"fdatasync": "delay_exit=2000000"}):
                ids = [w.sim.upstream.add_sample() for _ in range(6)]
                end = time.monotonic() + 7
                while time.monotonic() < end:
                    before = time.monotonic()
                    await ping(w)
                    lags.append(time.monotonic() - before)
                    await asyncio.sleep(0.02)
                assert (await command(w, "status"))[0] == 0
            assert max(lags) < 1.0, "the loop itself waited for the disk"
            assert sorted(lags)[len(lags) // 2] < 0.1
            await w.until(lambda: completed(w, *ids))
            assert await w.stop() == 0
            assert Counter(w.accepted("hook")) == Counter(f"builtbybit-{each}-hook" for each in ids)

    asyncio.run(story())
