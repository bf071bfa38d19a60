"""Kills a short scripted run at every write and every flush of the database: `python -m tests.soak.syscalls`."""
# ruff: noqa: T201

import argparse
import asyncio
import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.oracle import Verdict, judge
from tests.soak.ordeal import ordeal

CALLS = ("pwrite64", "fdatasync", "fsync", "unlink", "rename")
EVENTS = 3


def under_strace(call: str, number: int, folder: Path) -> list[str]:
    """A command line to run a program under, which kills it as any thread makes this call for the so manieth time.

    The call itself is not made any more. Only calls upon the database count, its log, its key and its folder.
    `-D` leaves the program the process that was started. https://man7.org/linux/man-pages/man1/strace.1.html
    """
    files = [folder / f"eventferry.db{ending}" for ending in ("", "-wal", "-journal", ".key", ".key.part")]
    paths = [argument for path in (folder, *files) for argument in ("-P", str(path))]
    inject = f"inject={call}:signal=KILL:when={number}"
    return ["strace", "-D", "-f", "-qq", *paths, "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]


async def kill_at(call: str, number: int, folder: Path, *, fresh: bool) -> Verdict | None:
    """Kill a run at one call; what the next one makes of it, None if the run has no such call.

    `fresh`: it is the very first run, which makes the database.
    """
    async with ordeal(folder, seed=number) as one:
        if not fresh:
            await one.round(events=1)
        if not await one.round(events=EVENTS, under=under_strace(call, number, folder)):
            return None
        return judge(await one.rounds())


def kill_at_each(call: str, *, fresh: bool) -> Verdict:
    """Kill at the first such call, at the second, and so on."""
    total, began = Verdict(), time.monotonic()
    for number in itertools.count(1):
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{call}-{number}-"))
        verdict = asyncio.run(kill_at(call, number, folder, fresh=fresh))
        if verdict is None or not verdict.problems:
            shutil.rmtree(folder)
        if verdict is None:
            when = "the first start" if fresh else "a later start"
            print(f"{call}, {when}: {number - 1} kills: {total}; {time.monotonic() - began:.0f} s", flush=True)
            return total
        total.add(verdict)
        for problem in verdict.problems:
            print(f"{call} {number}: {problem}; what is left of it: {folder}")
    raise AssertionError


def main() -> int | str:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if shutil.which("strace") is None:
        return "this needs the program strace"
    total = Verdict()
    for fresh in (True, False):
        for call in CALLS:
            total.add(kill_at_each(call, fresh=fresh))
    print(f"a kill at every write and flush: {total}; {total.details}")
    return 1 if total.problems else 0


if __name__ == "__main__":
    sys.exit(main())
