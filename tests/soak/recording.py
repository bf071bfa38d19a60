"""Writes down what a real daemon does to its database, and when it tells the source that events are complete.

strace prints each call as it is entered; one that another thread interrupts is continued in a later line.
https://man7.org/linux/man-pages/man1/strace.1.html
"""

import asyncio
import json
import re
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from daemon.simulator.faults import Behaviour
from daemon.simulator.server import Simulator
from tests.acceptance.conftest import World

SINKS = ("hook", "picky")
"""The sinks of the daemon that is recorded; the second one refuses some events for good."""
DATABASE = "eventferry.db"
_OURS = re.compile(rf"{re.escape(DATABASE)}(-wal|-journal|\.key|\.key\.part)?")
_TRACED = "openat,write,pwrite64,ftruncate,fdatasync,fsync,unlink,rename,sendto"
_PAUSE = 0.03
PATIENCE = 60.0
"""Seconds within which all that was recorded must be completed."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for a file; which of them are on the disk, nobody knows before the file was flushed."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Create:
    name: str


@dataclass(frozen=True, slots=True)
class Unlink:
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Flush:
    """A file, or with no name the folder, was flushed."""

    name: str


@dataclass(frozen=True, slots=True)
class Told:
    """The source is being told that these are complete."""

    events: tuple[str, ...]


Step = Write | Truncate | Create | Unlink | Rename | Flush | Told


async def record(folder: Path, *, events: int) -> list[Step]:
    """What two daemons did, one after the other: the first is killed, the second stopped as it should be."""
    steps: list[Step] = []
    async with Simulator.start() as sim:
        world = World(sim, folder)
        world.configure(sinks="".join(world.webhook(name) for name in SINKS))
        sim.inbox.behave("picky", Behaviour(statuses=(200, 400, 200) * events, limit=10 * events))
        for end in (signal.SIGKILL, signal.SIGTERM):
            trace = folder / f"{end.name}.strace"
            await _live(world, trace, events)
            await world.stop(end)
            await sim.until(partial(_is_whole, trace))
            steps += parse(trace.read_text().splitlines(), folder)
    return steps


async def _live(world: World, trace: Path, events: int) -> None:
    options = ("-D", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000", "-e", f"trace={_TRACED}", "-o", str(trace))
    process = await world.start(under=("strace", *options))
    try:
        for _ in range(events):
            world.sim.upstream.add_sample()
            await asyncio.sleep(_PAUSE)
        await world.until(lambda: not world.sim.upstream.pending, PATIENCE)
    except BaseException:
        process.kill()
        await process.wait()
        raise


def _is_whole(trace: Path) -> bool:
    """It ends a moment after what it watched."""
    return "+++" in trace.read_text().rstrip().rpartition("\n")[2]


_CALL = re.compile(r"(\d+) +(\w+)\((.*?)(?: <unfinished \.\.\.>|\) += (-?\d+|\?).*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>.*\) += (-?\d+|\?).*")
_HANDLE = re.compile(r"\d+<([^>]*)>")
_STRING = re.compile(r'"([^"]*)"')
_IDS = re.compile(rb'"event_ids": *(\[[^\]]*\])')


def parse(lines: Iterable[str], folder: Path) -> Iterator[Step]:
    """The steps in their order: a flush counts from its return, all else from its beginning. Raises ValueError."""
    flushing: dict[str, Flush] = {}
    for line in lines:
        step: Step | None = None
        if call := _CALL.fullmatch(line):
            thread, name, arguments, answer = call.groups()
            step = _step(name, arguments, folder)
            if isinstance(step, Write | Truncate | Flush) and answer == "-1":
                raise ValueError(f"a call failed: {name}")
            if isinstance(step, Flush) and answer is None:
                flushing[thread], step = step, None
            if answer == "-1" or (isinstance(step, Flush) and answer != "0"):
                step = None
        elif resumed := _RESUMED.fullmatch(line):
            thread, answer = resumed.groups()
            flushed = flushing.pop(thread, None)
            step = flushed if answer == "0" else None
        if step is not None:
            yield step


def _step(call: str, arguments: str, folder: Path) -> Step | None:
    strings = [_unhexed(text) for text in _STRING.findall(arguments)]
    if call == "sendto":
        told = _IDS.search(strings[0])
        return Told(tuple(map(str, json.loads(told[1])))) if told else None
    if call in ("openat", "unlink", "rename"):
        name, *new = [_name(Path(text.decode()), folder) for text in strings]
        if name is None or (call == "openat" and "O_CREAT" not in arguments):
            return None
        return Create(name) if call == "openat" else Rename(name, new[0] or "") if new else Unlink(name)
    handle = _HANDLE.match(arguments)
    path = Path(_unhexed(handle[1]).decode()) if handle else Path()
    name = _name(path, folder)
    if call in ("fsync", "fdatasync"):
        return Flush(name or "") if name or path == folder else None
    if name is None:
        return None
    offset = int(arguments.rpartition(", ")[2]) if call != "write" else 0
    return Truncate(name, offset) if call == "ftruncate" else Write(name, offset, strings[0])


def _unhexed(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _name(path: Path, folder: Path) -> str | None:
    return path.name if path.parent == folder and _OURS.fullmatch(path.name) else None
