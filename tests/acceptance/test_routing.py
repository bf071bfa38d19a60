"""`where` and the command sink in the real daemon: who gets what, what people are told, and who ends with whom."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def shown(folder: Path, event: str) -> str:
    command = [sys.executable, "-m", "daemon.cli", "show", event]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True).stdout


def test_where_decides_by_what_an_event_holds_and_show_says_why(world: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with world() as shop:
            shop.configure(
                daemon='alerts = ["all"]',
                sinks=shop.webhook("all", "where = \"trigger != 'secret'\"")
                + shop.webhook(
                    "big", 'events = ["purchase"]\nwhere = "final_price|float >= 5 and resource_id in [\'7\']"'
                )
                + shop.webhook("odd", 'where = "final_price / list_price < 1 and resource_id == 7"'),
            )
            small = shop.sim.upstream.add("purchase", {"final_price": "3.00", "list_price": "3.00", "resource_id": 7})
            large = shop.sim.upstream.add("purchase", {"final_price": 5, "list_price": "6", "resource_id": "7"})
            gift = shop.sim.upstream.add("purchase", {"final_price": "0.00", "list_price": "0", "resource_id": "7"})
            shop.sim.upstream.add("secret", {})
            await shop.start()
            await shop.until(lambda: not shop.sim.upstream.pending)
            await shop.stop()
            assert shop.accepted("big") == [f"builtbybit-{large}-big"]
            assert sorted(shop.accepted("odd")) == sorted([f"builtbybit-{large}-odd", f"builtbybit-{gift}-odd"])
            assert len([one for one in shop.accepted("all") if one.startswith("builtbybit")]) == 3
            failed = [json.loads(line) for line in shop.log().splitlines() if "where.failed" in line]
            assert [(line["sink"], line["event_key"]) for line in failed] == [("odd", f"builtbybit:{gift}")]
            assert "a division by zero" in failed[0]["reason"]
            assert shop.rows("SELECT count(*) FROM events WHERE kind = 'alert.unrouted'") == [(0,)]
            text = await asyncio.to_thread(shown, shop.folder, str(small))
            assert "routing  any trigger, meets trigger != 'secret'" in text
            assert (
                'big: no delivery; by the config as it is now: matches "purchase", does not meet final_price|float >= 5'
                ' (final_price = "3.00")' in text
            )

    asyncio.run(scenario())


def test_a_command_gets_each_event_once_and_ends_with_the_daemon(world: Callable[..., Any]) -> None:
    """F44."""

    async def scenario() -> None:
        async with world() as shop:
            program = shop.folder / "program"
            program.write_text(
                '#!/bin/sh\ncd "$DATA"\nread -r event\ncase "$event" in\n'
                '*hang*) sleep 1000 & echo $! > hangs; wait;;\n*bad*) echo "no such product: $KEY"; exit 3;;\nesac\n'
                'echo "$event" >> done\n'
            )
            program.chmod(0o700)
            shop.configure(
                daemon='stop_timeout = "0s"',
                sinks=f'[sinks.roles]\ntype = "command"\ncommand = ["{program}"]\nconcurrency = 1\n'
                f'env = {{ DATA = "{shop.folder}", KEY = "canary-key-0123456789" }}\n',
            )
            for title in ("one", "bad", "two"):
                shop.sim.upstream.add("purchase", {"resource_title": title})
            await shop.start()
            await shop.until(lambda: not shop.sim.upstream.pending)
            got = [json.loads(line) for line in (shop.folder / "done").read_text().splitlines()]
            assert sorted(one["data"]["resource_title"] for one in got) == ["one", "two"]
            ((reason, answer),) = shop.rows(
                "SELECT attempts.reason, answer FROM attempts JOIN deliveries ON delivery_id = deliveries.id"
                " WHERE state = 'rejected'"
            )
            assert reason == "the command failed with exit code 3"
            assert answer == "no such product: ***"
            shop.sim.upstream.add("purchase", {"resource_title": "hang"})
            await shop.until((shop.folder / "hangs").exists)
            assert await shop.stop() == 0
            child = Path("/proc", (shop.folder / "hangs").read_text().strip(), "stat")
            await asyncio.to_thread(until_gone, child)
            assert "canary" not in shop.log()
            assert shop.rows("SELECT count(*) FROM deliveries WHERE state = 'waiting'") == [(1,)]

    asyncio.run(scenario())


def until_gone(about: Path) -> None:
    for _ in range(2000):
        if not about.exists() or about.read_text().rpartition(")")[2].split()[0] in "ZX":
            return
        subprocess.run(["sleep", "0.01"], check=True)
    raise AssertionError("it still runs")
