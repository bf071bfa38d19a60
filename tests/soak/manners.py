"""Says 429 so many times, over restarts and kills: `python -m tests.soak.manners --answers 10000 --seed 1`."""
# ruff: noqa: T201

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import OperationalError

from tests.daemon.rounds.world import look
from tests.receivers import HttpReceiver, served
from tests.soak.lifetimes import SharedClock
from tests.soak.throttle import Host

KILLS = 0.06
"""The share of 429s around which the process is killed: before one goes out, as it arrives, or a little later."""
LONGEST_DELAY = 0.2
ROOT = Path(__file__).parents[2]
STEADY_LIMIT = 5, 60.0
"""So many reads, and so many writes, per so many seconds: the defaults come to 4.4 reads a minute at most."""
SHOWN = 20
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Processes are killed here and no power is cut, so there is no need to wait for a disk."""
DOWN = (0.0, 0.0, 0.2, 30.0, 3600.0)
"""Seconds between two lives."""


class Manners:
    """Lives one after the other with one host, until it has said 429 often enough."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.clock = SharedClock(folder / "time")
        self.host = Host(self.clock, seed, self._perhaps_kill)
        self.ends: Counter[str] = Counter()
        self._folder = folder
        self._chance = random.Random(seed)
        self._receiver = HttpReceiver(self.host.answer)
        self._connections = 0
        self._pid = 0

    async def go_on(self, answers: int) -> None:
        """Restart again and again until so many 429s were said."""
        async with self._lives("hurry") as live:
            while self.host.told < answers:
                code = await live(self._chance.getrandbits(32))
                assert code in (0, -signal.SIGKILL), f"a life ended with {code}"
                self.ends["killed" if code else "stopped"] += 1
                on_disk = self._gates()
                for access, ledger in self.host.ledgers.items():
                    ledger.ended(self.clock(), killed=code != 0, on_disk=on_disk.get(access))
                self.clock.move_to(self.clock() + timedelta(seconds=self._chance.choice(DOWN)))

    def _gates(self) -> dict[str, datetime]:
        """When the gates open that the next process will find."""
        with suppress(OperationalError):  # the first may have died before there was a table
            found = look(self._folder, "SELECT access, opens_at FROM gates")
            return {access: datetime.fromisoformat(opens_at).replace(tzinfo=UTC) for access, opens_at in found}
        return {}

    async def stay_below(self, limit: tuple[int, float], minutes: int) -> None:
        """A steady load for so long, with a limit a little above it."""
        self.host.limit = limit
        async with self._lives("steady") as live:
            assert await live(minutes) == 0

    @asynccontextmanager
    async def _lives(self, kind: str) -> AsyncIterator[Callable[[int], Awaitable[int]]]:
        """A process that forks one life after the other, so that none has to import everything again."""
        async with served(self._serve) as port:
            command = (sys.executable, "-m", "tests.soak.lifetimes", kind, self._folder, f"http://127.0.0.1:{port}")
            nursery = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT)
            assert nursery.stdin
            assert nursery.stdout
            told, ask = nursery.stdout, nursery.stdin

            async def live(number: int) -> int:
                ask.write(f"{number}\n".encode())
                self._pid = int(await told.readline())
                code = int(await told.readline())
                self._pid = 0
                while self._connections:  # noqa: ASYNC110  what a dead process sent last may still be on its way
                    await asyncio.sleep(0.001)
                return code

            try:
                yield live
            finally:
                self._kill(self._pid)
                ask.close()
                await nursery.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            await self._receiver.serve(reader, writer)
        finally:
            self._connections -= 1

    def _perhaps_kill(self) -> None:
        if self._chance.random() < KILLS / 2:
            delay = self._chance.choice((0.0, self._chance.uniform(0, LONGEST_DELAY)))
            asyncio.get_running_loop().call_later(delay, self._kill, self._pid)

    def _kill(self, pid: int) -> None:
        if pid and pid == self._pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def verdict(host: Host) -> str:
    """What came of it, in one line."""
    ledgers = host.ledgers.values()
    early, further = sum(len(ledger.early) for ledger in ledgers), sum(ledger.further for ledger in ledgers)
    most = max(ledger.most_in_a_window for ledger in ledgers)
    return f"{host.told} answers of 429: {early} early requests, {further} further 429s, at most {most} per window"


def details(manners: Manners) -> str:
    """By access and spelling of the wait, and how the lives ended."""
    lines = [
        f"{access}s: {ledger.told.total()} of 429, {ledger.passed} passed, {ledger.lost} died with their process; "
        + ", ".join(f"{spelt} {number}" for spelt, number in sorted(ledger.told.items()))
        for access, ledger in manners.host.ledgers.items()
    ]
    return "\n".join([*lines, ", ".join(f"{number} lives {end}" for end, number in sorted(manners.ends.items()))])


async def steady(seed: int, minutes: int) -> Manners:
    """So many minutes of a load just below the limit."""
    with tempfile.TemporaryDirectory(prefix="manners-", dir=MEMORY) as folder:
        manners = Manners(Path(folder), seed)
        await manners.stay_below(STEADY_LIMIT, minutes)
    return manners


async def unsteady(seed: int, answers: int) -> Manners:
    """So many 429s."""
    with tempfile.TemporaryDirectory(prefix="manners-", dir=MEMORY) as folder:
        manners = Manners(Path(folder), seed)
        await manners.go_on(answers)
    return manners


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--hours", type=int, default=24, help="of a steady load below the limit")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    tried = asyncio.run(unsteady(arguments.seed, arguments.answers))
    calm = asyncio.run(steady(arguments.seed, 60 * arguments.hours))
    print(details(tried))
    ledgers = tried.host.ledgers.values()
    print("\n".join(line for ledger in ledgers for line in ledger.early[:SHOWN]))
    passed = sum(ledger.passed for ledger in calm.host.ledgers.values())
    print(f"{arguments.hours} steady hours below the limit: {passed} requests, {calm.host.told} answers of 429")
    print(f"{verdict(tried.host)}; {time.monotonic() - began:.0f} s")
    wrong = calm.host.told or any(ledger.early or ledger.most_in_a_window > 1 for ledger in ledgers)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
