"""The demo: a simulated shop's busy minute, carried by the real daemon in a process of its own."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import daemon
from daemon.cli import session
from daemon.cli.demo_ledger import Ledger
from daemon.cli.simulation import config_of
from daemon.simulator import Simulator
from daemon.simulator.samples import Kind
from daemon.store import StoreRefused

_BURSTS: tuple[tuple[Kind, ...], ...] = (
    ("purchase", "purchase", "review"),
    (*("purchase",) * 9, "update"),
    ("purchase", "review", "unknown", *("purchase",) * 5),
    (*("purchase",) * 11, "review", "update"),
    ("purchase", "review", "publish", "purchase", "update", "review"),
)
"""40 events, 30 of them purchases."""
_PATIENCE = 20.0
"""Seconds for one burst, and for the last completions; a healthy machine needs two."""
_LOOK_SECONDS = 0.05
_STOP_SECONDS = 35.0
_OURS = ("EVENTFERRY_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")

_say = partial(print, flush=True)
"""At once, even into a pipe."""


async def play(*, keep: bool) -> int:
    """Show it all; 0 if every event arrived and was completed exactly once and the daemon stopped well, else 1."""
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    folder = Path(tempfile.mkdtemp(prefix="eventferry-demo-"))
    leave_files = keep
    try:
        async with Simulator.start() as sim:
            ledger = Ledger(sim, folder / "events.jsonl")
            well = await _play(sim, ledger, folder, keep=keep)
        leave_files |= not well
        return 0 if well else 1
    finally:
        if leave_files:
            _say(f"What it made is in {folder} (daemon.log is the daemon's log).")
        else:
            shutil.rmtree(folder)


async def _play(sim: Simulator, ledger: Ledger, folder: Path, *, keep: bool) -> bool:
    config = _write_config(sim, folder)
    began = time.monotonic()
    async with _daemon(config, folder / "daemon.log") as process:
        _introduce(sim, config, process.pid)
        for burst in _BURSTS:
            ledger.ids += [sim.upstream.add_sample(kind) for kind in burst]
            _say(f"{len(burst)} events happen at BuiltByBit:")
            if not await _watch(ledger, lambda: ledger.everywhere, process):
                break
        await _watch(ledger, lambda: not sim.upstream.pending, process)
        _say(f"\n{ledger.sums(await _stored(folder / 'eventferry.db'))}")
        doubts = [*ledger.doubts()]
        if keep and not doubts:
            await _keep_running(sim, config)
        code = await _stop(process)
    if not keep:  # else whoever played with it may have let more happen
        list(ledger.look())
        doubts = [*ledger.doubts()]
    if code:
        doubts.append(f"the daemon ended with exit code {code} instead of 0")
    if doubts:
        _say("That is not right:", *doubts, sep="\n  ")
        return False
    _say(
        f"Proved: each of the {len(ledger.ids)} events reached each receiver exactly once and was completed exactly "
        f"once;\nthe daemon stopped when told to, with exit code 0. {time.monotonic() - began:.1f} s."
    )
    return True


async def _stored(database: Path) -> int:
    """How many events are in the database; none where the daemon did not come to make one."""
    try:
        async with session.reading(database) as store:
            return int((await store.browse.status())["events"]["stored"])
    except StoreRefused:
        return 0


def _write_config(sim: Simulator, folder: Path) -> Path:
    config = folder / "config.toml"
    daemon_table = '[daemon]\nalerts = ["file"]\nlog_format = "json"\n\n'
    file_table = '\n[sinks.file]\ntype = "file"\npath = "events.jsonl"\n'
    config.write_text(daemon_table + config_of(sim, poll="1s") + file_table)
    config.chmod(0o600)
    return config


def _introduce(sim: Simulator, config: Path, pid: int) -> None:
    _say(f"""\
A shop's busy minute. Nothing leaves this machine; all is made up but the daemon.

  BuiltByBit     {sim.api_url} (simulated)
  the daemon     eventferry run --config {config} (process {pid})
  receivers      webhook and discord at {sim.inbox_url}, email at {sim.smtp_host}:{sim.smtp_port} (simulated), a file
""")


@asynccontextmanager
async def _daemon(config: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real command in a process of its own, which does not outlive us."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemon.cli", "run", "--config", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=Path(daemon.__file__).parent.parent,
            env=environ,
            start_new_session=True,  # ctrl-C is for us; we stop it in good order
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> int:
    """Tell the daemon to stop, as systemd does; its exit code."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()


async def _watch(ledger: Ledger, reached: Callable[[], bool], process: asyncio.subprocess.Process) -> bool:
    """Tell what arrives until all has; False if it takes too long or the daemon ended."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        for line in ledger.look():
            _say(line)
        if reached():
            return True
        if time.monotonic() > deadline or process.returncode is not None:
            return False
        await asyncio.sleep(_LOOK_SECONDS)


async def _keep_running(sim: Simulator, config: Path) -> None:
    _say(
        f"""
It goes on running, until ctrl-C. Look around:
  eventferry status --config {config}
  eventferry events --config {config}
Let more happen:
  curl -d '{{"samples": 3}}' {sim.inbox_url}/_sim/events
"""
    )
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
