"""A disk that fails as a test tells it to: strace spoils the system calls of a daemon."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import wall_now
from daemon.control import ask, socket_path
from daemon.store.database import Database
from tests.acceptance.conftest import PATIENCE, World

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace")
DATABASE, LOG = "eventferry.db", "eventferry.db-wal"
NO_SPACE = dict.fromkeys(("pwrite64", "ftruncate", "fallocate"), "error=ENOSPC")


def spoiling(folder: Path, faults: dict[str, str], *names: str) -> list[str]:
    """Arguments of strace: calls upon these files (those of the database) end as told.

    The faults are in strace's words: https://man7.org/linux/man-pages/man1/strace.1.html
    """
    paths = [argument for name in names or (DATABASE, LOG) for argument in ("-P", str(folder / name))]
    injected = [argument for call, fault in faults.items() for argument in ("-e", f"inject={call}:{fault}")]
    return ["-f", *paths, "-o", str(folder / "trace"), "-e", f"trace={','.join(faults)}", *injected]


def from_the_start(folder: Path, faults: dict[str, str], *names: str) -> list[str]:
    """A command line to run a program under whose disk is spoiled all along; `-D` leaves it the process we started."""
    return ["strace", "-D", "-qq", *spoiling(folder, faults, *names)]


def completed(world: World, *ids: str) -> bool:
    """Whether the upstream heard of each of these once."""
    return all(world.sim.upstream.completed.get(each) == 1 for each in ids)


@asynccontextmanager
async def spoiled(world: World, faults: dict[str, str], *names: str) -> AsyncIterator[None]:
    """While this lasts, the running daemon's disk fails."""
    assert world.process is not None
    strace = await asyncio.create_subprocess_exec(
        "strace",
        *spoiling(world.folder, faults, *names),
        "-p",
        str(world.process.pid),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert strace.stderr is not None
        async with asyncio.timeout(PATIENCE):
            said = await strace.stderr.readline()
        assert b"attached" in said, said
        yield
    finally:
        if strace.returncode is None:
            strace.terminate()
        async with asyncio.timeout(PATIENCE):
            await strace.communicate()


def spoiled_threads(world: World) -> set[str]:
    """The threads of which a call met its fault."""
    lines = (world.folder / "trace").read_text("utf-8", "replace").splitlines()
    return {line.split()[0] for line in lines if line.endswith("(INJECTED)")}


async def make_database(world: World) -> None:
    """As a first start leaves it, at a fraction of the time."""
    database = Database(world.folder / DATABASE, wall_now)
    await database.open()
    await database.close()


async def begun(world: World) -> None:
    """Start the daemon and wait until it has."""
    before = world.log().count("daemon.started")
    await world.start()
    await world.until(lambda: world.log().count("daemon.started") > before)


async def ping(world: World) -> Any:
    """What the daemon says of itself."""
    return await asyncio.to_thread(ask, socket_path(world.folder / DATABASE), "ping", {})


async def command(world: World, *arguments: str, within: Sequence[str] = ()) -> tuple[int, str, str]:
    """Carry out another `eventferry` command beside the daemon: its exit code and what it printed."""
    assert world.process is not None
    program = (*within, sys.executable, "-m", "daemon.cli", *arguments, "--config", str(world.folder / "config.toml"))
    process = await asyncio.create_subprocess_exec(
        *program, cwd=world.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE * 2):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def until_full(world: World, *, full: bool = True, patience: float = PATIENCE) -> None:
    """Wait until the daemon says that the disk is full, or that it has room again."""
    async with asyncio.timeout(patience):
        while (await ping(world))["disk_full"] != full:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)


async def ended(world: World) -> int:
    """Wait until the daemon ends by itself; its exit code."""
    assert world.process is not None
    async with asyncio.timeout(PATIENCE * 2):
        return await world.process.wait()


def logged(world: World, name: str) -> list[dict[str, Any]]:
    """What was logged under a name."""
    lines = [json.loads(line) for line in world.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def traffic(world: World) -> tuple[int, int]:
    """How many calls the source and the receivers have seen."""
    return len(world.sim.upstream.calls), len(world.sim.inbox.calls)


async def quiet(world: World, seconds: float = 2.2) -> None:
    """Nobody hears of the daemon for longer than it takes it to poll, once what was under way is over."""
    await asyncio.sleep(0.3)
    before = traffic(world)
    await asyncio.sleep(seconds)
    assert traffic(world) == before, "it went on polling, sending or completing"
