"""A control socket with a few commands, and somebody who asks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon.control import Command, CommandRefused, ControlServer, ask


async def echo(arguments: Mapping[str, Any]) -> Any:
    return dict(arguments)


async def refuse(arguments: Mapping[str, Any]) -> Any:
    raise CommandRefused("no sink is called sails")


async def crash(arguments: Mapping[str, Any]) -> Any:
    raise ZeroDivisionError("secret detail")


@asynccontextmanager
async def serving(path: Path, **commands: Command) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, {"echo": echo, "refuse": refuse, "crash": crash, **commands})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def asked(path: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    return await asyncio.to_thread(ask, path, command, arguments or {})
