"""Sinks whose people are told several things together, and what waits for that."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from daemon.contract import Event, Incoming
from daemon.gathering import Gathering
from daemon.timing import parse_burst, parse_digest, parse_quiet_hours
from tests.daemon.rounds.lanes import Lanes, Scripted, accept
from tests.daemon.rounds.world import Hand, look

UTC = ZoneInfo("UTC")
WAITING = "SELECT DISTINCT gathered, due_at, reason FROM deliveries WHERE state = 'waiting' ORDER BY 2"


def gathers(digest: str = "", burst: str = "", quiet: str = "") -> Gathering:
    return Gathering(
        parse_digest(digest) if digest else None,
        parse_burst(burst) or None if burst else None,
        parse_quiet_hours(quiet) if quiet else None,
        UTC,
    )


def people(gathering: Gathering, answer: Any = accept, **more: Any) -> Scripted:
    return Scripted(answer, gathering=gathering, concurrency=more.pop("concurrency", 1), **more)


def waits(folder: Path) -> list[tuple[str | None, str]]:
    """Why and until when, to the minute."""
    return [(cause, due_at[11:16]) for cause, due_at, _ in look(folder, WAITING)]


async def rest(lanes: Lanes) -> None:
    async with asyncio.timeout(10):
        for lane in lanes.of.values():
            await lane.drained()


async def say(lanes: Lanes, kind: str, sink: str = "chat") -> None:
    """What the daemon itself has to say."""
    await lanes.store.events.add_own(kind, f"{kind}-{lanes.store.database.clock():%f%H%M}", {"text": "x"}, [sink])
    lanes.wake()
    await rest(lanes)


def old(number: int, clock: Hand, **ago: float) -> Incoming:
    return Incoming(Event("shop", str(number), "1", "purchase", clock.now - timedelta(**ago), {"n": number}))
