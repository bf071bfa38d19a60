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
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import daemon
from daemon.cli import session
from daemon.cli.demo_ledger import DIGEST, Ledger
from daemon.cli.demo_scenes import perform, say
from daemon.cli.simulation import config_of
from daemon.simulator import Simulator
from daemon.store import StoreRefused

_DISCORD = "burst = false"
"""Every event in full: to show that ten of them share a message."""
_EMAIL = 'burst = "10/3s"'
_MINUTE_IN = timedelta(seconds=11)
"""When the shop's clock shows the next full minute, at which the digest comes."""
_PATIENCE = 20.0
"""Seconds for what happens at once; a healthy machine needs two."""
_LOOK_SECONDS = 0.05
_STOP_SECONDS = 35.0
_OURS = ("EVENTFERRY_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")


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
            say(f"What it made is in {folder} (daemon.log is the daemon's log).")
        else:
            shutil.rmtree(folder)


async def _play(sim: Simulator, ledger: Ledger, folder: Path, *, keep: bool) -> bool:
    config = _write_config(sim, folder)
    began = time.monotonic()
    async with _daemon(config, folder / "daemon.log") as process:
        _introduce(sim, config, process.pid)
        watch = partial(_watch, ledger, process, folder / "eventferry.db")
        if await perform(ledger, watch):
            await watch(lambda: not sim.upstream.pending)
        say(f"\n{ledger.sums(await _stored(folder / 'eventferry.db'))}")
        doubts = [*ledger.doubts()]
        if keep and not doubts:
            await _keep_running(sim, config)
        code = await _stop(process)
    if not keep:  # else whoever played with it may have let more happen
        ledger.look()
        doubts = [*ledger.doubts()]
    if code:
        doubts.append(f"the daemon ended with exit code {code} instead of 0")
    if doubts:
        say("That is not right:", *doubts, sep="\n  ")
        return False
    say(
        f"Proved: each of the {len(ledger.ids)} events reached each receiver exactly once, by itself or\n"
        "in a summary, and was completed exactly once; the daemon stopped when told to,\n"
        f"with exit code 0. {time.monotonic() - began:.1f} s."
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
    config.write_text(
        f"""\
[daemon]
alerts = ["file"]
log_format = "json"

{config_of(sim, poll="1s", discord=_DISCORD, email=_EMAIL)}
[sinks.file]
type = "file"
path = "events.jsonl"

[sinks.{DIGEST}]
type = "discord"
url = "{sim.discord_url(DIGEST)}"
digest = "* * * * *"
"""
    )
    config.chmod(0o600)
    return config


def _introduce(sim: Simulator, config: Path, pid: int) -> None:
    say(f"""\
A shop's busy minute. Nothing leaves this machine; only the daemon is real.

  BuiltByBit  {sim.api_url} (simulated)
  the daemon  process {pid}, eventferry run --config
              {config}
  receivers   (simulated)
    webhook   {sim.inbox_url}: each event by itself
    discord   {sim.inbox_url}: up to ten in a message
    email     {sim.smtp_host}:{sim.smtp_port}: 10 mails in 3 s, then the rest in one
    {DIGEST}   {sim.inbox_url}: a digest at each full minute
    file      a line for each event
""")


def _zone() -> str:
    """A time zone, as POSIX writes one, in which a minute is full in a little while: nobody likes to wait for one."""
    off = (datetime.now(UTC) + _MINUTE_IN).second
    return f"SHOP+00:00:{off:02}"


@asynccontextmanager
async def _daemon(config: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real command in a process of its own, which does not outlive us."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {"TZ": _zone()}
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


async def _watch(
    ledger: Ledger,
    process: asyncio.subprocess.Process,
    database: Path,
    reached: Callable[[], bool],
    patience: float = _PATIENCE,
) -> bool:
    """Take in what arrives until it is all; False if it takes too long or the daemon ended."""
    deadline = time.monotonic() + patience
    while True:
        ledger.look()
        if ledger.unread:
            async with session.reading(database) as store:
                await ledger.open_summaries(store)
        if reached():
            return True
        if time.monotonic() > deadline or process.returncode is not None:
            return False
        await asyncio.sleep(_LOOK_SECONDS)


async def _keep_running(sim: Simulator, config: Path) -> None:
    say(
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
