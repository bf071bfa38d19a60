"""What most commands begin with: the config, the database beside a daemon, the daemon itself."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from daemon.app.build import load_settings
from daemon.app.operator import Operator
from daemon.cli.errors import Failed, Misused
from daemon.cli.text import zone_of
from daemon.clock import wall_now
from daemon.control import CommandRefused, NotRunning, ask, socket_path
from daemon.quantities import parse_duration
from daemon.settings import Loaded, find
from daemon.store import Store, StoreInUse

OWNER_SECONDS = 3.0
"""For a daemon that is just starting, until it can be asked, and for another command, until it is done."""


def load(config: Path | None) -> Loaded:
    """Read the config, named or found. Raises ConfigError."""
    return load_settings(find(config, os.environ), os.environ)


@asynccontextmanager
async def reading(database: Path) -> AsyncIterator[Store]:
    """The database to look at, whether or not a daemon runs. Raises StoreRefused."""
    store = Store(database, wall_now)
    try:
        store.database.open_read_only()
        yield store
    finally:
        await store.database.close()


def running(database: Path) -> Mapping[str, Any] | None:
    """What the daemon of this database says of itself; None if none runs."""
    try:
        answer: Mapping[str, Any] = ask(socket_path(database), "ping", {})
    except NotRunning:
        return None
    except CommandRefused as refused:
        return {"trouble": str(refused)}
    return answer


def command(database: Path, name: str, arguments: Mapping[str, Any]) -> Any:
    """Have a writing command carried out: by the daemon, or here under its lock where none runs.

    Raises CommandRefused, StoreRefused, Failed.
    """
    end = time.monotonic() + OWNER_SECONDS
    while True:
        try:
            return ask(socket_path(database), name, arguments)
        except NotRunning:
            if not database.exists():
                raise Failed(f"{database}: there is no database yet; it is made when the daemon first runs") from None
        try:
            return asyncio.run(_here(database, name, arguments))
        except StoreInUse:
            if time.monotonic() >= end:
                raise
        time.sleep(0.05)


async def _here(database: Path, name: str, arguments: Mapping[str, Any]) -> Any:
    store = Store(database, wall_now)
    await store.database.open()
    try:
        return await store.database.unless_full(Operator(store, {}).commands()[name](arguments))
    finally:
        await store.database.close()


def moment(text: str | None, loaded: Loaded) -> datetime | None:
    """When "2h" ago was, or the day or time that is named, in the zone of the config. Raises Misused."""
    if text is None:
        return None
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        try:
            ago: timedelta = parse_duration(text)
            return wall_now() - ago
        except ValueError:
            form = 'write how long ago ("2h", "3d") or when ("2026-01-31 18:00")'
            raise Misused(f"--since {text[:40]!r}: {form}") from None
    zone = zone_of(loaded)
    try:
        return (named.replace(tzinfo=zone) if named.tzinfo is None and zone else named).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Misused(f"--since {text[:40]!r}: no time of this calendar") from None
