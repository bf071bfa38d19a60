"""docs/sinks/README.md: held against the kinds there are and the keys they take, both ways."""

import re
from pathlib import Path

import pytest

from daemon.settings import SinkCommon
from daemon.settings.model import table_model
from sinks.registry import SinkKinds

FOLDER = Path(__file__).parents[1] / "docs" / "sinks"
TEXT = (FOLDER / "README.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]
KINDS = {row[0].split("`")[1] for row in ROWS if row[0].startswith("[`")}
HEAD = next(row for row in ROWS if row[0] == "key")
TAKEN = {
    key: {kind for kind, mark in zip(HEAD[2:], row[2:], strict=True) if mark == "✓"}
    for row in ROWS[ROWS.index(HEAD) + 2 :]
    for key in re.findall(r"`(\w+)`", row[0])
}


def kinds_that_take(key: str) -> set[str]:
    made = {kind: table_model(kind, SinkCommon, SinkKinds().load(kind).settings) for kind in KINDS}
    return {kind for kind, model in made.items() if key in {f.alias or n for n, f in model.model_fields.items()}}


def test_every_kind_is_listed() -> None:
    ours = {name for name in SinkKinds().names() if (FOLDER.parents[1] / "sinks" / f"{name}.py").exists()}
    assert ours == KINDS == set(HEAD[2:])


def test_every_page_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert [link for link in links if not (FOLDER / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("key", TAKEN)
def test_each_key_is_taken_by_the_kinds_that_are_marked(key: str) -> None:
    assert TAKEN[key] == kinds_that_take(key)


def test_every_key_that_all_kinds_share_is_there() -> None:
    assert {*SinkCommon.model_fields} - {"type"} == {key for key, kinds in TAKEN.items() if kinds == KINDS}
