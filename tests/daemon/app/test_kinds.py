"""The list of kinds: ours, those of other packages, and what is missing for some."""

import json
from pathlib import Path

import pytest

from daemon.app.kinds import Kind, kinds
from daemon.cli import kinds_view
from daemon.cli.program import carry_out
from sinks.registry import KINDS


@pytest.fixture
def bells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with two kinds, one of which needs what nobody has."""
    info = tmp_path / "bells-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bells\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[eventferry.sinks]\nbell = bells_good:Bell\ngong = bells_bad:Gong\n")
    (tmp_path / "bells_bad.py").write_text("import gongs_that_nobody_has\n")
    (tmp_path / "bells_good.py").write_text(
        "from daemon.contract import Sink\nfrom daemon.people import PeopleSettings\n"
        "class Bell(Sink):\n    Settings = PeopleSettings\n    async def deliver(self, delivery): ...\n"
        "    async def deliver_summary(self, summary): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("bells")
def test_every_kind_is_listed_with_its_package_and_what_it_lacks() -> None:
    found = {one.kind: one for one in kinds()}
    assert [*found][: len(KINDS)] == [*KINDS]
    assert found["bell"] == Kind("bell", "bells 2.1", for_people=True, missing=None)
    lacking = 'the sink type "gong" needs the Python package "gongs_that_nobody_has"'
    assert found["gong"] == Kind("gong", "bells 2.1", for_people=None, missing=lacking)
    assert {name for name in KINDS if found[name].for_people} == {"discord", "email", "apprise"}
    lines = kinds_view.lines(kinds())
    assert lines[-1].endswith(f" nothing yet: {lacking}")
    assert len(lines) == len(found) + 1


@pytest.mark.usefixtures("bells")
def test_machines_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert carry_out(["sinks", "kinds", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"kind": "bell", "origin": "bells 2.1", "for_people": True, "missing": None} in listed
