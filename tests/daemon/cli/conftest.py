"""The command, in processes of its own or in this one, between real sockets and real files."""

import asyncio
import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from daemon.app import setup
from daemon.cli.program import carry_out
from daemon.cli.simulation import config_of
from daemon.settings import find
from daemon.simulator import Simulator

COMMAND = (sys.executable, "-m", "daemon.cli")
PATIENCE = 60.0

Finished = subprocess.CompletedProcess[str]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of whoever runs the tests changes what the command does."""
    ours = ("EVENTFERRY_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NO_COLOR", "TZ", "COLUMNS", "PYTHONUNBUFFERED")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**plain, "TZ": "UTC", "COLUMNS": "100", "PYTHONUTF8": "1", **(more or {})}


def hide_service(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this process find no service that is installed on the machine on which the tests run."""
    nowhere = folder / "not installed"
    monkeypatch.setattr(setup, "SERVICE_DIRECTORY", nowhere)
    monkeypatch.setattr(sys.modules[find.__module__], "PLACES", (Path("config.toml"), nowhere / "config.toml"))


class Ferry:
    """Carries out `eventferry` commands in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Finished:
        """Carry a command out, in this process, which saves a second of imports each time."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, environment(env), clear=True),
            mock.patch("sys.stdin", io.StringIO()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = carry_out(arguments)
        out.seek(0)
        return Finished(arguments, code, out.read(), err.getvalue())

    def process(self, *arguments: str, given: str = "", env: Mapping[str, str] | None = None) -> Finished:
        """The same as a process of its own, as people run it; never a traceback."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=given, text=True, capture_output=True, timeout=PATIENCE, cwd=self.folder, env=environment(env),
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def ok(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """What a command prints that must work."""
        done = self(*arguments, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL, **env: str) -> subprocess.Popen[str]:
        """Start a command that goes on; its stderr goes to the file `log`."""
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                text=True, stdin=stdin, stdout=subprocess.PIPE, stderr=log, cwd=self.folder, env=environment(env),
            )  # fmt: skip
        self.started.append(process)
        return process

    def plug_in(self, kind: str, render: str) -> None:
        """Bring a kind of sink as another package does, and configure one; for processes whose PYTHONPATH is here."""
        (self.folder / f"{kind}_sink.py").write_text(f"{_PLUGIN}{render}\n")
        info = self.folder / f"{kind}_sink-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}_sink\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[eventferry.sinks]\n{kind} = {kind}_sink:Theirs\n")
        config = self.folder / "config.toml"
        config.write_text(f'{config.read_text()}\n[sinks.{kind}]\ntype = "{kind}"\n')

    def log(self) -> str:
        return (self.folder / "log").read_text()


_PLUGIN = """\
from daemon.contract import Delivered, Report, Sink
from pydantic import BaseModel

class Theirs(Sink):
    class Settings(BaseModel):
        pass

    def __init__(self, settings, http):
        pass

    async def deliver(self, delivery):
        return Report(Delivered())

    def render(self, delivery):
        """


def until(what: Callable[[], Any], log: Callable[[], str] = str) -> Any:
    """Wait until something is the case, and answer it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, f"it never came to pass; {log()}"
        time.sleep(0.02)
    return found


def ended(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> int:
    """Signal a process; its exit code."""
    process.send_signal(number)
    return process.wait(PATIENCE)


@pytest.fixture
def ferry(tmp_path: Path) -> Iterator[Ferry]:
    """The command, in a folder of its own."""
    ferry = Ferry(tmp_path)
    yield ferry
    for process in ferry.started:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(PATIENCE)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class StandIns:
    """The simulator, asked and told as from outside."""

    def __init__(self, inbox_url: str) -> None:
        self.url = inbox_url

    def _call(self, path: str, order: Any = None) -> Any:
        data = None if order is None else json.dumps(order).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/_sim/{path}", data, timeout=PATIENCE) as answer:
            return json.load(answer)

    def happen(self, order: Mapping[str, Any]) -> list[str]:
        """Let something happen; the ids."""
        ids: list[str] = self._call("events", order)["ids"]
        return ids

    def set(self, **faults: Any) -> None:
        self._call("faults", faults)

    def state(self) -> Any:
        return self._call("state")

    def received(self, name: str) -> list[str]:
        """The ids of what a receiver accepted."""
        return [call["id"] for call in self.state()["received"].get(name, []) if call["status"] == 200]


@pytest.fixture
def stand_ins(ferry: Ferry) -> Iterator[StandIns]:
    """The simulator in a thread, and in the folder a config for it."""
    ready: queue.Queue[Simulator] = queue.Queue()
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def simulate() -> None:
        async with Simulator.start() as sim:
            ready.put(sim)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(simulate()))
    thread.start()
    sim = ready.get(timeout=PATIENCE)
    path = ferry.folder / "config.toml"
    path.write_text(f'{config_of(sim, poll="1s")}\n[daemon]\ntimezone = "Europe/Berlin"\nlog_format = "json"\n')
    path.chmod(0o600)
    yield StandIns(sim.inbox_url)
    loop.call_soon_threadsafe(ended.set)
    thread.join(PATIENCE)
    loop.close()
