"""Starting the daemon in this process: for good, for show, or for one round."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from daemon import log
from daemon.app.daemon import Daemon
from daemon.app.rehearsal import rehearsal
from daemon.cli import session
from daemon.cli.errors import Failed
from daemon.lane import OUT_OF_ORDER
from daemon.settings import Loaded

_log = log.get(__name__)


@contextmanager
def prepared(config: Path | None) -> Iterator[Loaded]:
    """Read the config and log as it says, until the end. Raises ConfigError."""
    loaded = session.load(config)
    settings = loaded.settings.daemon
    log.configure(settings.log_level, settings.log_format)
    try:
        for warning in loaded.warnings:
            _log.warning("config.warning", text=warning)
        yield loaded
    finally:
        log.shutdown()


async def serve(loaded: Loaded) -> int:
    """Run until told to stop; the exit code. Raises StoreRefused."""
    daemon = Daemon(loaded)
    await daemon.open()
    try:
        await daemon.start()
    except BaseException:
        await daemon.stop()
        raise
    if sys.stderr.isatty():
        print(f"Eventferry runs: {_ways(loaded)}. Ctrl-C stops it.", file=sys.stderr)
    return await daemon.serve()


async def rehearse(loaded: Loaded) -> int:
    """Show what would be sent until told to stop, and leave no trace; the exit code."""
    with rehearsal(loaded) as daemon:
        await daemon.open()
        print(f"Dry run: {_ways(loaded)}. Nothing is sent, completed or kept. Ctrl-C ends it.", flush=True)
        await daemon.start()
        return await daemon.serve()


def _ways(loaded: Loaded) -> str:
    settings = loaded.settings
    return f"{', '.join(settings.sources)} -> {', '.join(settings.sinks)}"


async def one_round(loaded: Loaded) -> dict[str, Any]:
    """Poll, deliver what is due, complete; what changed, and what is in trouble. Raises StoreRefused, Failed."""
    daemon = Daemon(loaded)
    await daemon.open()
    try:
        before = await daemon.store.browse.status()
        if before["paused"]:
            raise Failed("everything is paused; go on with: eventferry resume")
        troubles = await daemon.store.database.unless_full(daemon.once())
        after = await daemon.store.browse.status()
    finally:
        await daemon.stop()
    stored = after["events"]["stored"] - before["events"]["stored"]
    troubles += [
        f"{sink['name']} is {sink['lane']['health']}: {sink['lane']['reason']}"
        for sink in after["sinks"]
        if sink["name"] in loaded.settings.sinks and sink["lane"]["health"] in OUT_OF_ORDER
    ]
    return {
        "stored": stored,
        "delivered": _delivered(after) - _delivered(before),
        "completed": before["events"]["unacknowledged"] + stored - after["events"]["unacknowledged"],
        "waiting": sum(sink["waiting"] for sink in after["sinks"]),
        "troubles": troubles,
    }


async def one_test(loaded: Loaded, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Send one test where no daemon runs, and nothing else that waits. Raises StoreRefused, CommandRefused.

    Before the first run there is no ledger yet, and whoever tries may not be who runs it: then one that is thrown away,
    and no id that somebody could look up.
    """
    with tempfile.TemporaryDirectory(prefix="eventferry-test-") as folder:
        is_kept = loaded.database.exists()
        path = loaded.database if is_kept else Path(folder) / "eventferry.db"
        daemon = Daemon(replace(loaded, database=path), acknowledging=False)
        await daemon.open()
        try:
            sent: dict[str, Any] = await daemon.store.database.unless_full(daemon.operator.test(arguments))
        finally:
            await daemon.stop()
    if not is_kept:
        del sent["id"]
    return sent


def _delivered(status: dict[str, Any]) -> int:
    return sum(int(sink["delivered"]) for sink in status["sinks"])
