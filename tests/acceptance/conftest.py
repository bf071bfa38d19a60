"""A daemon as a real process, between a simulated BuiltByBit and simulated receivers, over real sockets."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from daemon.simulator.server import Simulator

PATIENCE = 60.0
"""Seconds after which a test says that what it waits for will not come."""


class World:
    """One simulator, one folder, and the daemon processes that a test starts in it."""

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self.sim = sim
        self.folder = folder
        self.process: asyncio.subprocess.Process | None = None

    def configure(self, *, sinks: str = "", source: str = "", daemon: str = "") -> None:
        """Write a config; by default one webhook sink called `hook`."""
        sinks = sinks or self.webhook("hook")
        text = (
            f'[daemon]\nlog_format = "json"\n{daemon}\n'
            f'[sources.builtbybit]\ntype = "builtbybit"\nbase_url = "{self.sim.api_url}"\n'
            f'token = "{self.sim.token}"\npoll = "1s"\n{source}\n{sinks}'
        )
        config = self.folder / "config.toml"
        config.write_text(text)
        config.chmod(0o600)

    def webhook(self, name: str, more: str = "") -> str:
        return f'[sinks.{name}]\ntype = "webhook"\nurl = "{self.sim.webhook_url(name)}"\n{more}\n'

    def everything(self) -> str:
        """One sink of each kind that can be watched from outside; those for people at full speed."""
        return (
            self.webhook("hook")
            + f'[sinks.chat]\ntype = "discord"\nurl = "{self.sim.discord_url("chat")}"\n'
            + 'burst = false\nrate = "10000/1m"\n'
            + f'[sinks.post]\ntype = "email"\nhost = "{self.sim.smtp_host}"\nport = {self.sim.smtp_port}\n'
            + 'security = "none"\nfrom = "shop@example.org"\nto = ["me@example.org"]\nburst = false\n'
            + '[sinks.lines]\ntype = "file"\npath = "sales.jsonl"\n'
        )

    async def start(self, *arguments: str, under: Sequence[str] = ()) -> asyncio.subprocess.Process:
        """Start `eventferry run` (or another command) as its user would; `under`: by way of another program."""
        command = (sys.executable, "-m", "daemon.cli", *(arguments or ("run",)))
        with (self.folder / "log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(*under, *command, "--config", str(self.folder / "config.toml")),
                cwd=self.folder,
                env={key: value for key, value in os.environ.items() if not key.startswith("EVENTFERRY_")},
                stdout=output,
                stderr=output,
            )
        return self.process

    async def until(self, what: Callable[[], Any], patience: float = PATIENCE) -> None:
        """Wait until something is the case; say what was logged if it never is."""
        try:
            async with asyncio.timeout(patience):
                while not what():
                    assert self.process is None or self.process.returncode is None, f"it ended:\n{self.log()[-8000:]}"
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"it never came to pass; the log:\n{self.log()[-8000:]}") from None

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the daemon and wait for its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE * 2):
            return await self.process.wait()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace") if (self.folder / "log").exists() else ""

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the database from outside."""
        uri = f"file:{self.folder / 'eventferry.db'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
            return connection.execute(query, values).fetchall()

    def accepted(self, name: str) -> list[str]:
        """The delivery ids that a webhook receiver accepted, in order, repeats included."""
        return [call.id for call in self.sim.inbox.received(name) if call.accepted]


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., Any]:
    """Make worlds, with the options of `Simulator.start`; what still runs at the end is killed."""

    @asynccontextmanager
    async def made(**options: Any) -> AsyncIterator[World]:
        async with Simulator.start(**options) as sim:
            one = World(sim, tmp_path)
            try:
                yield one
            finally:
                if one.process is not None and one.process.returncode is None:
                    one.process.kill()
                    await one.process.wait()

    return made
