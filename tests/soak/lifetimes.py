"""Lives of a daemon's rounds at a time that is made up: each in a process of its own, which may be killed."""

import asyncio
import mmap
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from daemon.contract import SourceThrottled, SourceTrouble, Unreachable
from daemon.store import Store
from tests.daemon.rounds.world import Shop, opened, shop_of

BEGINNING = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TICK = timedelta(microseconds=1)
BRINK = 10 * TICK
NOTHING_TO_DO = timedelta(hours=1)
COMPLETE_AFTER = timedelta(seconds=1)


class SharedClock:
    """Stands still until it is moved, for all processes that look at the same file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._microseconds = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> datetime:
        return BEGINNING + timedelta(microseconds=int.from_bytes(self._microseconds[:8], "little"))

    def move_to(self, moment: datetime) -> None:
        self._microseconds[:8] = ((moment - BEGINNING) // TICK).to_bytes(8, "little")


@asynccontextmanager
async def shops(folder: Path, url: str, clock: SharedClock, *names: str) -> AsyncIterator[tuple[Store, list[Shop]]]:
    """Sources of one host, on one ledger."""
    there = SimpleNamespace(api_url=url, token="some-token")
    async with opened(folder, clock) as store:
        first, second = names
        async with (
            shop_of(there, folder, store, sinks=(), name=first) as one,
            shop_of(there, folder, store, sinks=(), name=second) as other,
        ):
            yield store, [one, other]


async def hurry(folder: Path, url: str, clock: SharedClock, seed: int) -> None:
    """Call every round far more often than it wants, also at the brink of each gate's opening and at the opening."""
    chance = random.Random(seed)
    async with shops(folder, url, clock, "shop", "other") as (store, both):
        rounds = [round_ for shop in both for round_ in (shop.collect, shop.acknowledge)]
        for _ in range(chance.randint(5, 60)):
            chance.shuffle(rounds)
            wishes = [clock() + (await round_() or NOTHING_TO_DO) for round_ in rounds]
            shut = openings(store, both[0].source.host)
            for access in ("read", "write"):
                if access in shut or chance.random() < 0.3:
                    await past_the_rounds(chance.choice(both), access)
            clock.move_to(next_moment(chance, clock(), min(wishes), list(shut.values())))


async def past_the_rounds(shop: Shop, access: str) -> None:
    """Ask as `check --connect` does, or complete what is complete already: only the gate holds this back."""
    with suppress(SourceTrouble, Unreachable):
        await (shop.source.check() if access == "read" else shop.source.acknowledge(["910001"]))


def openings(store: Store, host: str) -> dict[str, datetime]:
    """When the gates open that are shut now."""
    moments = {}
    for access in ("read", "write"):
        try:
            store.gates.require_open(host, access)
        except SourceThrottled as throttled:
            moments[access] = throttled.until
    return moments


def next_moment(chance: random.Random, now: datetime, wish: datetime, gates: list[datetime]) -> datetime:
    """The next round's own wish, any time before, or a gate's opening or just before it."""
    at = chance.choice(gates or [wish])
    moments = (wish, wish, now + (wish - now) * chance.random(), at, at - BRINK)
    return max(now, chance.choice(moments))


async def stay_steady(folder: Path, url: str, clock: SharedClock, minutes: int) -> None:
    """Call the rounds of one source when they want to be called, as a schedule does."""
    end = clock() + timedelta(minutes=minutes)
    async with shops(folder, url, clock, "shop", "idle") as (_, (shop, _)):
        while clock() < end:
            swept_again = clock() + await shop.collect()
            clock.move_to(clock() + COMPLETE_AFTER)
            await shop.acknowledge()
            clock.move_to(swept_again)


def main() -> None:
    """For each number on stdin: fork, be one life with it, say its pid and then how it ended."""
    kind, folder, url = sys.argv[1:]
    live = {"hurry": hurry, "steady": stay_steady}[kind]
    clock = SharedClock(Path(folder) / "time")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(live(Path(folder), url, clock, int(line)))
            sys.stderr.flush()
            os._exit(0)
        print(pid, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
