"""docs/recipes: every piece of config in it is right, and the licence script does what it says."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.app.check import check, exit_code

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
BLOCKS = {
    f"{path.stem}-{number}": block
    for path in sorted(RECIPES.glob("*.md"))
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL))
}
SCRIPT = RECIPES / "licence.py"
DISCORD_URL = "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz"
PURCHASE = {"user_id": "4711", "resource_id": 5, "addon_id": "0", "bundle_id": None, "purchase_date": "1769882400"}


def test_there_are_pieces_to_be_tried() -> None:
    assert len(BLOCKS) >= 7


@pytest.mark.parametrize("block", BLOCKS.values(), ids=list(BLOCKS))
def test_each_piece_of_config_works_as_it_stands(tmp_path: Path, block: str) -> None:
    source = '[sources.builtbybit]\ntype = "builtbybit"\ntoken = "cred:builtbybit_token"\n'
    sink = '[sinks.any]\ntype = "console"\n'
    parts = block + ("" if "[sources." in block else source) + ("" if "[sinks." in block else sink)
    if "alerts" in block:
        parts = parts.replace("[sinks.any]", "[sinks.ledger]")
    (tmp_path / "config.toml").write_text(parts)
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "secrets").mkdir()
    for name in re.findall(r'"cred:(\w+)"', block + source):
        value = DISCORD_URL if "discord" in name else "0123456789abcdef0123456789abcdef"
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    findings = asyncio.run(check(tmp_path / "config.toml", {}, connect=False))
    assert [finding.text for finding in findings if finding.verdict == "error"] == []
    assert exit_code(findings) == 0


# The licence script


def told(delivery: str, data: Mapping[str, Any] = PURCHASE, **changes: Any) -> dict[str, Any]:
    return {
        "delivery_id": delivery,
        "attempt": 1,
        "type": "purchase",
        "timestamp": "2026-01-31T18:00:00.000Z",
        "data": data,
        "source": "builtbybit",
        "event_id": "1",
        "listener_id": "1",
        "key": f"builtbybit:{delivery}",
    } | changes


def run(folder: Path, event: dict[str, Any]) -> tuple[int, str]:
    command = (sys.executable, "-W", "error", SCRIPT, folder / "licences.db")
    done = subprocess.run(command, input=json.dumps(event), capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def licences(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "licences.db")) as connection:
        return [row[0] for row in connection.execute("SELECT licence FROM licences")]


def test_a_repeat_gives_no_second_licence_and_none_is_told(tmp_path: Path) -> None:
    assert run(tmp_path, told("d1")) == (0, "user 4711 has a licence for resource 5\n")
    (licence,) = licences(tmp_path)
    code, said = run(tmp_path, told("d1", attempt=2))
    assert (code, said) == (0, "user 4711 already had one for resource 5\n")
    assert licences(tmp_path) == [licence]
    assert licence not in said


def test_two_events_of_one_purchase_give_one_licence_and_two_purchases_two(tmp_path: Path) -> None:
    assert run(tmp_path, told("d1"))[0] == 0
    assert run(tmp_path, told("d2", {**PURCHASE, "user_id": 4711, "addon_id": ""}))[0] == 0
    assert len(licences(tmp_path)) == 1
    assert run(tmp_path, told("d3", {**PURCHASE, "addon_id": 7}))[0] == 0
    assert run(tmp_path, told("d4", {"user_id": 1, "resource_id": 5}))[0] == 0
    assert run(tmp_path, told("d5", {"user_id": 1, "resource_id": 5}))[0] == 0
    assert len(set(licences(tmp_path))) == 4


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (told("d1", test=True), 0),
        (told("d1", type="review"), 0),
        (told("d1", {"resource_id": 5}), 1),
        (told("d1", {"user_id": "0", "resource_id": 5}), 1),
    ],
)
def test_what_is_no_purchase_gives_none(tmp_path: Path, event: dict[str, Any], code: int) -> None:
    assert run(tmp_path, event)[0] == code
    assert not (tmp_path / "licences.db").exists()


def test_a_database_that_cannot_be_used_just_now_is_tried_later(tmp_path: Path) -> None:
    (tmp_path / "licences.db").mkdir()
    code, said = run(tmp_path, told("d1"))
    assert code == 75
    assert "cannot be used just now" in said


def test_with_the_daemon_each_purchase_has_its_licence(world: Any) -> None:
    async def story() -> None:
        async with world() as w:
            command = [sys.executable, str(SCRIPT), str(w.folder / "licences.db")]
            w.configure(
                sinks=f'[sinks.licences]\ntype = "command"\ncommand = {json.dumps(command)}\nevents = ["purchase"]\n'
            )
            bought = {w.sim.upstream.add_sample("purchase") for _ in range(3)}
            w.sim.upstream.add_sample("review")
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 4)
            assert await w.stop() == 0
            assert len(licences(w.folder)) == 3
            done = w.rows("SELECT e.external_id, d.state FROM deliveries d JOIN events e ON e.id = d.event_id")
            assert sorted(done) == sorted((event_id, "delivered") for event_id in bought)

    asyncio.run(story())
