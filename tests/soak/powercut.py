"""Cuts the power of a recorded daemon at each moment, and looks what is left: `python -m tests.soak.powercut`."""
# ruff: noqa: T201

import argparse
import asyncio
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from daemon.clock import wall_now
from daemon.store import StoreRefused
from tests.ledger import opened
from tests.soak.disk import Disk, State
from tests.soak.recording import DATABASE, SINKS, Step, Told, record

EVENTS = 150
"""For each of the two lives that are recorded: enough for SQLite to checkpoint by itself."""
OPENED_SHARE = 0.05
"""The share of states upon which the daemon's own start is tried, too; all of them while the database is young."""
SHOWN = 20


@dataclass(slots=True)
class Tally:
    """How many states were looked at, and what is wrong with some."""

    states: int = 0
    opened: int = 0
    lost: list[str] = field(default_factory=list)
    """Events that the source had been told are complete, and that are not there, settled."""
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.states} crash states: {len(self.lost)} with events lost, {len(self.broken)} broken; "
            f"{self.opened} opened by the daemon"
        )


def require_whole(steps: Sequence[Step], folder: Path) -> None:
    """Refuse a recording from which not the very files follow that the daemon left in its folder."""
    disk = Disk()
    for step in steps:
        disk.take(step)
    for name, content in disk.as_seen().items():
        assert content == (folder / name).read_bytes(), f"the recording of {name} is not whole"


def cut_power(steps: Sequence[Step], states: int, seed: int, folder: Path) -> Tally:
    """Look at about so many states, spread evenly over the steps."""
    chance, disk, tally = random.Random(seed), Disk(), Tally()
    told: set[str] = set()
    for number, step in enumerate(steps, 1):
        disk.take(step)
        if isinstance(step, Told):
            told.update(step.events)
        wanted = round(number * states / len(steps)) - tally.states
        for kind, state in _states(disk, wanted, chance):
            tally.states += 1
            where = f"step {number} ({type(step).__name__}), {kind}"
            _write(state, folder)
            try:
                if not told or chance.random() < OPENED_SHARE:
                    tally.opened += 1
                    asyncio.run(_open(folder))
                if missing := told - _settled(folder):
                    tally.lost.append(f"{where}: {sorted(missing)[:3]} and in all {len(missing)}")
            except (sqlite3.Error, StoreRefused, AssertionError) as error:
                tally.broken.append(f"{where}: {error}")
    return tally


def _states(disk: Disk, wanted: int, chance: random.Random) -> Iterator[tuple[str, State]]:
    for number in range(wanted):
        match number % 3:
            case 0:
                yield "only what was flushed", disk.flushed()
            case 1:
                yield "some of the rest", disk.partly_flushed(chance)
            case _:
                yield "some sectors of the rest", disk.torn(chance)


def _write(state: State, folder: Path) -> None:
    for old in folder.iterdir():
        old.unlink()
    for name, content in state.items():
        (folder / name).write_bytes(content)


async def _open(folder: Path) -> None:
    """As the daemon does when it starts. Raises StoreRefused."""
    async with opened(folder / DATABASE, wall_now):
        pass


def _settled(folder: Path) -> set[str]:
    """The events whose deliveries are all settled. Raises sqlite3.Error or AssertionError for a damaged database."""
    file = folder / DATABASE
    if not file.exists() or not file.stat().st_size:
        return set()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        assert connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'").fetchone():
            return set()
        rows = connection.execute(
            "SELECT e.external_id, count(*), sum(d.state = 'waiting') FROM events e "
            "LEFT JOIN deliveries d ON d.event_id = e.id WHERE e.source = 'builtbybit' GROUP BY e.id"
        ).fetchall()
    assert {number for _, number, _ in rows} <= {len(SINKS)}, "an event without all its deliveries (I3)"
    return {event for event, _, waiting in rows if not waiting}


def main() -> int | str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if shutil.which("strace") is None:
        return "this needs the program strace"
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="powercut-"))
    try:
        steps = asyncio.run(record(folder, events=EVENTS))
        require_whole(steps, folder)
        remains = folder / "remains"
        remains.mkdir()
        tally = cut_power(steps, arguments.states, arguments.seed, remains)
    finally:
        shutil.rmtree(folder)
    print("\n".join([*tally.lost, *tally.broken][:SHOWN]))
    print(f"{len(steps)} steps recorded, {tally}; {time.monotonic() - began:.0f} s")
    return 1 if tally.lost or tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
