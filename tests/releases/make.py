"""Makes the database that a release leaves behind: something in every table and every state."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from daemon import __version__
from daemon.simulator.faults import Behaviour, Faults
from daemon.simulator.server import Simulator

HERE = Path(__file__).parent


def configure(folder: Path, sim: Simulator, *, without: str = "") -> Path:
    """Write a config whose sinks end up in different states."""
    sinks = "".join(
        f'[sinks.{name}]\ntype = "discord"\nurl = "{sim.discord_url(name)}"\n{more}\n'
        for name, more in (("talk", 'events = ["purchase"]'), ("paper", 'digest = "mon 09:00"'))
    )
    sinks += "".join(
        f'[sinks.{name}]\ntype = "webhook"\nurl = "{sim.webhook_url(name)}"\n{more}\n'
        for name, more in (
            ("good", 'events = ["!coupon*"]'),
            ("rejecting", 'events = ["purchase"]'),
            ("tired", 'events = ["review"]\nretries = ["1s"]'),
            ("gone", 'events = ["update"]'),
            ("down", 'events = ["purchase"]\nretries = ["1h"]'),
        )
        if name != without
    )
    config = folder / "config.toml"
    config.write_text(
        '[daemon]\nalerts = ["good"]\nlog_format = "json"\n[sources.builtbybit]\ntype = "builtbybit"\n'
        f'base_url = "{sim.api_url}"\ntoken = "{sim.token}"\npoll = "1s"\ncomplete_within = "2s"\n{sinks}'
    )
    config.chmod(0o600)
    return config


async def run(config: Path, *command: str) -> None:
    """Run one command of this release."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon.cli", *command, "--config", str(config), stdout=subprocess.DEVNULL
    )
    await process.wait()


async def make(target: Path) -> None:
    """Run rounds between simulated neighbours, then keep the database."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        async with Simulator.start(faults=Faults(bad_ids=("910003",), unknown_id=404)) as sim:
            config = configure(folder, sim)
            sim.inbox.behave("rejecting", Behaviour(status=422))
            sim.inbox.behave("tired", Behaviour(status=500))
            sim.inbox.behave("gone", Behaviour(status=410))
            sim.inbox.behave("down", Behaviour(status=503))
            for kind in ("purchase", "review", "update", "publish"):
                for _ in range(4):
                    sim.upstream.add_sample(kind)
            odd = sim.upstream.add("coupon.created", {"code": "XMAS", "nested": {"deep": [1, None, 2.5]}})
            sim.upstream.add_raw({"trigger_type": "purchase", "trigger_data": {"username": "nameless"}})
            await run(config, "once")
            sim.upstream.add("coupon.created", {"code": "EASTER"}, event_id=int(odd), surprise=True)
            await asyncio.sleep(3)
            await run(config, "once")
            sim.upstream.faults = Faults(read_limit=0, limit_window=3600)
            await run(config, "once")
            await run(config, "sinks", "stop", "down")
            config = configure(folder, sim, without="gone")
            await run(config, "sinks", "discard", "gone", "--yes")
        connection = sqlite3.connect(folder / "eventferry.db")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        states = dict(connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())
        connection.close()
        shutil.copyfile(folder / "eventferry.db", target)
        sys.stdout.write(f"{target.name}: {json.dumps(states)}\n")


if __name__ == "__main__":
    asyncio.run(make(HERE / f"{sys.argv[1] if len(sys.argv) > 1 else __version__}.db"))
