"""README.md and docs/: their links lead somewhere, and what they give to copy works."""

import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from daemon.app.check import check, exit_code
from daemon.cli.program import app
from daemon.contract import Delivered, Report
from tests.events import delivery, event

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]+`(?!\])", "", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_the_readme_can_be_read_in_five_minutes() -> None:
    """At some 250 words a minute, with a bit over for what is to be copied rather than read."""
    read = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert len(re.findall(r"\w{2,}", read)) <= 1250


def test_the_readmes_config_is_right_as_it_stands(tmp_path: Path) -> None:
    (config,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "config.toml").write_text(config)
    (tmp_path / "secrets").mkdir()
    for name, value in {
        "token": "0123456789abcdef",
        "discord-url": "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz",
        "webhook-secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }.items():
        (tmp_path / "secrets" / name).write_text(value)
    assert exit_code(asyncio.run(check(tmp_path / "config.toml", {}, connect=False))) == 0


def test_the_readme_names_every_command_and_no_other() -> None:
    told = set(re.findall(r"`eventferry (\w+)", README)) | set(re.findall(r"^\|.*?, `(\w+)", README, re.MULTILINE))
    there = {command.name for command in get_command(app).commands.values()}
    assert told - {"config"} <= there
    assert there - {"config"} <= set(re.findall(r"\w+", README))


def test_the_smallest_sink_of_the_docs_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "sinks" / "writing-a-sink.md").read_text()
    made: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], made)
    kind = made["BellSink"]
    project = tomllib.loads(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    assert project["project"]["entry-points"]["eventferry.sinks"]["bell"] == f"my_package:{kind.__name__}"
    report = asyncio.run(kind(kind.Settings(times=2), None).deliver(delivery(event())))
    assert report == Report(Delivered("rang 2 times"))
    assert capsys.readouterr().out == "\a\a"
