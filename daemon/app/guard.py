"""What is watched of the database while the daemon runs: its content, its place, the room on its disk."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

from daemon import log
from daemon.store import StoreBroken, StoreClosed, StoreRefused
from daemon.store.database import Database

ROOM_LOOK_SECONDS = 1.0
PLACE_LOOK_SECONDS = 20.0

_log = log.get(__name__)


def watches(database: Database, on_room: Callable[[], None]) -> list[Coroutine[None, None, None]]:
    """What runs beside the work. Whatever is found broken resolves `database.broken`.

    `on_room` is called when a full disk has room again.
    """
    return [_check(database), _watch_place(database), _watch_room(database, on_room)]


async def _check(database: Database) -> None:
    with suppress(StoreRefused, StoreBroken, StoreClosed):
        await database.check_in_background()


async def _watch_place(database: Database) -> None:
    """Each commit looks for itself; this is for the hours without one."""
    with suppress(StoreBroken, StoreClosed):
        while True:
            await asyncio.sleep(PLACE_LOOK_SECONDS)
            await database.require_in_place()


async def _watch_room(database: Database, on_room: Callable[[], None]) -> None:
    """Tell in the log when the disk is full and when there is room again; once, however often writing is tried."""
    full = False
    while True:
        await asyncio.sleep(ROOM_LOOK_SECONDS)
        if database.disk_full == full:
            continue
        full = not full
        if full:
            _log.error("store.disk_full", database=str(database.path), next_step="make room: work goes on by itself")
        else:
            _log.info("store.disk_has_room", database=str(database.path))
            on_room()
