"""config.example.toml: held against the settings' own list of keys, both ways."""

import re
import tomllib
from pathlib import Path
from typing import Any

import certifi
import pytest
from pydantic import BaseModel

from daemon.people import PeopleSettings
from daemon.quantities import parse_duration, parse_rate
from daemon.settings import DaemonSettings, SinkCommon, SourceCommon, load
from daemon.settings.model import table_model
from daemon.settings.problems import keys_of
from daemon.sources.registry import SOURCE_KINDS
from sinks.registry import SinkKinds

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
TEXT = EXAMPLE.read_text()
COMMENTED_KEY = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)
NOT_A_DEFAULT = re.compile(r"[Ee]xamples?:$")

CREDENTIALS = {
    "builtbybit_token": "0123456789abcdef0123456789abcdef",
    "discord_url": "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz",
    "shop_secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "shop_authorization": "Bearer 0123456789abcdef",
    "mail_password": "correct horse battery staple",
    "bot_token": "0123456789.abcdef",
    "phone_url": "tgram://123456789:0123456789abcdef/12345",
    "team_url": "ntfy://0123456789abcdef",
    "licences_password": "battery horse correct",
    "licences_secret": "staple of the licences",
    "panel_token": "0123456789abcdef-panel",
}


def model_of(section: str, table: dict[str, Any]) -> type[BaseModel]:
    if section == "daemon":
        return DaemonSettings
    if section == "sources":
        return table_model(table["type"], SourceCommon, SOURCE_KINDS[table["type"]].settings)
    return table_model(table["type"], SinkCommon, SinkKinds().load(table["type"]).settings)


def tables(text: str) -> list[tuple[str, dict[str, Any]]]:
    document = tomllib.loads(text)
    named = [(section, table) for section in ("sources", "sinks") for table in document[section].values()]
    return [("daemon", document["daemon"]), *named]


@pytest.mark.parametrize("everything", [False, True])
def test_the_example_works_with_and_without_its_optional_keys(tmp_path: Path, everything: bool) -> None:
    text = COMMENTED_KEY.sub("", TEXT) if everything else TEXT
    (tmp_path / "config.toml").write_text(text.replace("ca.pem", certifi.where()))
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "secrets").mkdir()
    for name, value in CREDENTIALS.items():
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    loaded = load(tmp_path / "config.toml", SinkKinds(), SOURCE_KINDS, {})
    assert loaded.warnings == []


def test_the_example_has_every_key_and_no_other() -> None:
    in_example = {section: set[str]() for section in ("daemon", "sources", "sinks")}
    of_kind: dict[tuple[str, str], set[str]] = {}
    for section, table in tables(COMMENTED_KEY.sub("", TEXT)):
        model = model_of(section, table)
        common = {*keys_of(SinkCommon), *keys_of(PeopleSettings)} if section == "sinks" else set[str]()
        missing = of_kind.setdefault((section, table.get("type", "")), set(keys_of(model)) - set(common))
        missing.difference_update(table)
        assert table.keys() <= keys_of(model).keys(), table
        in_example[section] |= table.keys()
    assert {kind: missing for kind, missing in of_kind.items() if missing} == {}
    assert in_example["daemon"] == keys_of(DaemonSettings).keys()
    assert keys_of(SourceCommon).keys() <= in_example["sources"]
    assert keys_of(SinkCommon).keys() | keys_of(PeopleSettings).keys() <= in_example["sinks"]


def test_the_example_shows_every_kind() -> None:
    document = tomllib.loads(TEXT)
    assert {table["type"] for table in document["sources"].values()} == set(SOURCE_KINDS)
    assert {table["type"] for table in document["sinks"].values()} == set(SinkKinds().names())


def test_every_key_has_a_comment() -> None:
    for before, line in zip(TEXT.splitlines(), TEXT.splitlines()[1:], strict=False):
        if re.match(r"#? ?(?:database|keep|events|poll|url|token|alerts|secret|title) = ", line):
            assert before.startswith(("#", "type")), line


def test_a_commented_key_holds_its_default_where_it_is_not_called_an_example() -> None:
    lines = TEXT.splitlines()
    section, table = "", {}
    compared = 0
    document = tomllib.loads(TEXT)
    as_example = False
    for line in lines:
        if header := re.fullmatch(r"\[([a-z]+)\.?([a-z]*)\]", line):
            section, name = header.groups()
            table = document[section][name] if name else document[section]
        elif line.startswith("# ") and not COMMENTED_KEY.match(line):
            as_example = bool(NOT_A_DEFAULT.search(line))
        elif (key_line := COMMENTED_KEY.sub("", line)) != line and not as_example:
            ((key, value),) = tomllib.loads(key_line).items()
            if key in ("concurrency", "port", "database"):
                continue  # their default depends on something else, as their comment says
            field = next(field for name, field in model_of(section, table).model_fields.items() if name == key)
            default = field.get_default(call_default_factory=True)
            assert understood(value) == default, f"{section}: {line}"
            compared += 1
    assert compared > 15


def understood(value: Any) -> Any:
    """A value of the example as the settings hold it: durations as such."""
    if isinstance(value, list):
        return [understood(entry) for entry in value]
    try:
        return parse_rate(value) if isinstance(value, str) and "/" in value else parse_duration(value)
    except ValueError:
        return value
