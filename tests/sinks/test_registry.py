import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from daemon.app.build import build_sinks, load_settings
from daemon.contract import Kinds, Sink
from daemon.http import Http
from daemon.settings import ConfigError
from sinks.registry import KINDS, SinkKinds


def kinds() -> Kinds:
    return SinkKinds()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that declares kinds of sink by entry points."""
    info = tmp_path / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[eventferry.sinks]\nbell = shop_bell:Bell\nconsole = shop_bell:Bell\nbroken = shop_broken:X\n"
        "missing = shop_missing:X\nnone = shop_bell:NotThere\nodd = shop_bell:Odd\n"
        "mute = shop_bell:Mute\nnested = shop_bell:Box.Bell\nexits = shop_exits:X\nbare = shop_bell\n"
        "settings = shop_bell:WrongSettings\nabstract = shop_bell:Abstract\nnone_at_once = shop_bell:NoneAtOnce\n"
        "many = shop_bell:Many\nraises = shop_bell:Raises\nother = shop_bell:Other\npaces = shop_bell:Paces\n"
    )
    (tmp_path / "shop_bell.py").write_text(
        textwrap.dedent("""
        from pydantic import BaseModel
        from daemon.contract import Delivered, Report, Sink
        from daemon.people import PeopleSettings

        class Odd: ...

        class Bell(Sink):
            class Settings(BaseModel):
                rings: int = 1
            concurrency = 2
            def __init__(self, settings, http):
                self.rings = settings.rings
            async def deliver(self, delivery):
                return Report(Delivered("rang"))

        class Mute(Bell):
            Settings = PeopleSettings

        class Box:
            Bell = Bell

        class WrongSettings(Bell):
            Settings = {"rings": 1}

        class Abstract(Sink):
            Settings = Bell.Settings

        class NoneAtOnce(Bell):
            concurrency = 0

        class Many(Bell):
            batch_limit = "many"

        class Raises(Bell):
            def __init__(self, settings, http):
                raise RuntimeError("token abc")

        class Other(Bell):
            def __new__(cls, settings, http):
                return object()

        class Paces(Bell):
            paces = ("bells", 5)
        """)
    )
    (tmp_path / "shop_exits.py").write_text("import sys\nsys.exit('token abc')\n")
    (tmp_path / "shop_broken.py").write_text("raise RuntimeError('token abc')\n")
    (tmp_path / "shop_missing.py").write_text("import bells_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("shop_bell", "shop_broken", "shop_missing", "shop_exits"):
        sys.modules.pop(name, None)


def test_ours_come_first() -> None:
    assert list(kinds().names())[: len(KINDS)] == [*KINDS]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_ours_loads(name: str) -> None:
    kind = kinds().load(name)
    assert kind.settings.model_json_schema()["type"] == "object"
    assert kind.concurrency >= 1
    assert kind.batch_limit >= 1


def test_only_what_is_used_is_imported() -> None:
    code = (
        "import sys; from sinks.registry import SinkKinds; SinkKinds().load('console');"
        "print('discord_webhook' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert result.stdout.strip() == "False"


def test_another_package_can_bring_a_kind(shop: Path) -> None:
    assert "bell" in kinds().names()
    kind = kinds().load("bell")
    sink = kind.build(kind.settings(rings=3), Http())
    assert isinstance(sink, Sink)
    assert (sink.rings, kind.concurrency, kind.batch_limit) == (3, 2, 1)  # type: ignore[attr-defined]


def test_a_name_of_ours_cannot_be_taken(shop: Path) -> None:
    assert list(kinds().names()).count("console") == 1
    assert kinds().load("console").settings.__module__ == "sinks.console"


_NUMBERS = "needs whole numbers of at least 1 for concurrency and batch_limit"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("broken", '"broken" cannot be loaded from shop_broken:X: RuntimeError'),
        ("missing", '"missing" needs the Python package "bells_that_nobody_has"'),
        ("none", '"none" cannot be loaded from shop_bell:NotThere: AttributeError'),
        ("mute", '"mute" is broken: shop_bell:Mute is for people and has no deliver_summary'),
        ("odd", '"odd" is broken: shop_bell:Odd is no Sink with Settings'),
        ("exits", '"exits" cannot be loaded from shop_exits:X: SystemExit'),
        ("bare", '"bare" cannot be loaded from shop_bell: AttributeError'),
        ("settings", '"settings" is broken: shop_bell:WrongSettings is no Sink with Settings'),
        ("abstract", '"abstract" is broken: shop_bell:Abstract has no deliver'),
        ("none_at_once", f'"none_at_once" is broken: shop_bell:NoneAtOnce {_NUMBERS}'),
        ("many", f'"many" is broken: shop_bell:Many {_NUMBERS}'),
    ],
)
def test_a_kind_that_cannot_be_loaded_says_why_in_one_line(shop: Path, name: str, complaint: str) -> None:
    with pytest.raises(ImportError) as failure:
        kinds().load(name)
    assert str(failure.value) == f"the sink type {complaint}"


def test_a_kind_may_lie_within_another_class(shop: Path) -> None:
    assert kinds().load("nested").settings is kinds().load("bell").settings


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("raises", "RuntimeError"),
        ("other", "what it makes is no Sink with paces"),
        ("paces", "what it makes is no Sink with paces"),
    ],
)
def test_a_sink_that_cannot_be_made_says_so_in_one_line(shop: Path, name: str, complaint: str) -> None:
    (shop / "eventferry.toml").write_text(
        f'[sources.shop]\ntype = "builtbybit"\ntoken = "abcdefghijklmnop"\n[sinks.one]\ntype = "{name}"\n'
    )
    with pytest.raises(ConfigError) as failure:
        build_sinks(load_settings(shop / "eventferry.toml", {}))
    (problem,) = failure.value.problems
    assert (problem.where, problem.message) == (
        "sinks.one",
        f'a sink of the type "{name}" cannot be made: {complaint}',
    )


def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        kinds().load("pigeon")
