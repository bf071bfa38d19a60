"""Shell scripts for the command sink, and what became of them."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon.contract import Delivery, Report
from daemon.http import Http
from sinks.command import CommandSink
from tests.events import delivery

Script = Callable[..., Callable[..., CommandSink]]
"""Takes the text of a script; answers what makes sinks that run it."""


def script_in(folder: Path) -> Script:
    """Write a script there, and make sinks that run it."""

    def write(text: str, interpreter: str = "/bin/sh") -> Callable[..., CommandSink]:
        program = folder / "program"
        program.write_text(f"#!{interpreter}\n{text}\n")
        program.chmod(0o700)

        def make(*arguments: str, **values: Any) -> CommandSink:
            return sink([str(program), *arguments], **values)

        return make

    return write


def sink(command: list[str], **values: Any) -> CommandSink:
    return CommandSink(CommandSink.Settings.model_validate({"command": command, **values}), Http())


def run(of: CommandSink, one: Delivery | None = None) -> Report:
    async def use() -> Report:
        try:
            return await of.deliver(one or delivery())
        finally:
            await of.close()

    return asyncio.run(use())


def is_alive(process: int) -> bool:
    """Whether it still does anything; what is dead may wait to be reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - another process brings it about
            await asyncio.sleep(0.01)


def gone(process: int) -> bool:
    deadline = time.monotonic() + 20
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(process)
