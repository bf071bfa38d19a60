"""A config that does not work: every mistake with its line and a sentence, none with a secret."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel, field_validator

from daemon.contract import SinkKind
from daemon.settings import ConfigError, DaemonSettings, Loaded, Problem, SinkCommon, SourceCommon, load
from daemon.settings.problems import dotted, keys_of
from daemon.sources.registry import SOURCE_KINDS
from sinks.registry import SinkKinds

Load = Callable[..., Loaded]
CANARY = "canary_0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def complaints(load_text: Load, text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    assert CANARY[:12] not in repr(caught.value.problems)
    return lines


# What is changed in the good config (conftest.py), and the line that must come out of it.
CHANGES = [
    # names and tables
    ("[sinks.sales]", "[sink.sales]", 'config.toml:8: sink: unknown table; did you mean "sinks"?'),
    (
        "[sinks.sales]",
        "[sinks.Sales]",
        "config.toml:8: sinks.Sales: the name of a sink starts with a letter, has at most",
    ),
    ("[sinks.sales]", "[sinks.9sales]", "config.toml:8: sinks.9sales: the name of a sink"),
    ("[sinks.sales]", "[sinks.a__b]", "config.toml:8: sinks.a__b: the name of a sink"),
    ("[sinks.sales]", "[sinks.my-sales]", "config.toml:8: sinks.my-sales: the name of a sink"),
    ("[sinks.sales]", f"[sinks.{'s' * 33}]", "config.toml:8: sinks.sssss"),
    ("[sinks.sales]", '[sinks."a\\nb"]', 'config.toml:8: sinks."a\\nb": the name of a sink'),
    (
        'type = "discord"',
        'type = "discord"\nrenamed_from = "archive"',
        "config.toml:10: sinks.sales.renamed_from: archive is still in the config; a former name belongs to nobody",
    ),
    ('type = "discord"', 'type = "discord"\nrenamed_from = "sales"', "sinks.sales.renamed_from: sales is still in"),
    ('type = "discord"', 'type = "discord"\nrenamed_from = "Old Name"', "never was the name of a sink; write the one"),
    ('type = "builtbybit"', 'type = "builtbybit"\nrenamed_from = "eventferry"', "never was the name of a source"),
    (
        'type = "file"',
        'type = "file"\npath = "a"\nrenamed_from = "old"\n[sinks.third]\ntype = "console"\nrenamed_from = "old"\n'
        '[sinks.fourth]\ntype = "file"',
        "sinks.third.renamed_from: archive was renamed from old as well; it can go to one only",
    ),
    ("[sources.bbb]", "[sources.BBB]", "config.toml:4: sources.BBB: the name of a source"),
    ("[sources.bbb]", "[sources.eventferry]", "config.toml:4: sources.eventferry: this name is Eventferry's own"),
    ("[sinks.sales]", "[sinks]\nx = 5\n[sinks.sales]", "config.toml:9: sinks.x: must be a table: [sinks.x]"),
    ("[daemon]", "[daemon]\n[nonsense]", "config.toml:2: nonsense: unknown table"),
    ("[daemon]", "sale = 1\n[daemon]", "config.toml:1: sale: unknown table"),
    # keys
    ("url =", "urll =", 'config.toml:10: sinks.sales.urll: unknown key; did you mean "url"?'),
    ("url =", "# url =", "config.toml:8: sinks.sales.url: missing; this key is required"),
    ("[daemon]", '[daemon]\nkep = "1d"', 'config.toml:2: daemon.kep: unknown key; did you mean "keep"?'),
    ("[daemon]", '[daemon]\nxyz = "1d"', "config.toml:2: daemon.xyz: unknown key"),
    ("token =", "tokn =", 'config.toml:6: sources.bbb.tokn: unknown key; did you mean "token"?'),
    ("path =", "paths.a =", 'config.toml:14: sinks.archive.paths: unknown key; did you mean "path"?'),
    # types
    (
        '"builtbybit"',
        '"buildbybit"',
        'config.toml:5: sources.bbb.type: unknown type of source; did you mean "builtbybit"?',
    ),
    (
        '"discord"',
        '"discrod"',
        'config.toml:9: sinks.sales.type: unknown type of sink; did you mean "discord"? (there are',
    ),
    ('"discord"', '"slack"', 'config.toml:9: sinks.sales.type: unknown type of sink (there are "discord", "webhook"'),
    ('"discord"', "5", "config.toml:9: sinks.sales.type: must be text"),
    ('type = "discord"', "", "config.toml:8: sinks.sales.type: missing; say which type of sink it is: there are"),
    (
        'type = "builtbybit"',
        "",
        'config.toml:4: sources.bbb.type: missing; say which type of source it is: there are "b',
    ),
    ("[daemon]", "[daemon]\nkeep = 5", "config.toml:2: daemon.keep: not a duration; write it with a unit"),
    ("[daemon]", '[daemon]\nkeep = "5"', "config.toml:2: daemon.keep: not a duration"),
    ("[daemon]", '[daemon]\nkeep = "5s"', "config.toml:2: daemon.keep: must be from 1h to 3650d"),
    ("[daemon]", '[daemon]\nstop_timeout = "1h"', "config.toml:2: daemon.stop_timeout: must be from 0s to 10m"),
    ("[daemon]", "[daemon]\ndatabase = 5", "config.toml:2: daemon.database: must be text (a path)"),
    ("[daemon]", "[daemon]\ntimezone = 5", "config.toml:2: daemon.timezone: must be text"),
    ("[daemon]", '[daemon]\ntimezone = "Europe/Berln"', "config.toml:2: daemon.timezone: not a known time zone"),
    ("[daemon]", '[daemon]\ntimezone = "../../etc/passwd"', "config.toml:2: daemon.timezone: not a known time zone"),
    ("[daemon]", '[daemon]\nlog_level = "loud"', 'daemon.log_level: must be "debug", "info", "warning" or "error"'),
    ("[daemon]", "[daemon]\nfirst_start = true", 'config.toml:2: daemon.first_start: must be "send" or "record"'),
    ("[daemon]", '[daemon]\nproxy = "socks5://host:1"', "config.toml:2: daemon.proxy: not the URL of an HTTP proxy"),
    ("[daemon]", '[daemon]\nproxy = "http://host:port"', "config.toml:2: daemon.proxy: not the URL of an HTTP proxy"),
    ('["sales", "archive"]', '"sales"', "config.toml:2: daemon.alerts: must be a list"),
    (
        '["sales", "archive"]',
        '["sale"]',
        'config.toml:2: daemon.alerts[0]: no sink has this name; did you mean "sales"?',
    ),
    ('["sales", "archive"]', '["sales", 5]', "config.toml:2: daemon.alerts[1]: must be text"),
    ("url =", "concurrency = 0\nurl =", "config.toml:10: sinks.sales.concurrency: must be at least 1"),
    ("url =", "concurrency = 65\nurl =", "config.toml:10: sinks.sales.concurrency: must be at most 64"),
    ("url =", "concurrency = true\nurl =", "config.toml:10: sinks.sales.concurrency: must be a whole number"),
    ("url =", 'concurrency = "many"\nurl =', "config.toml:10: sinks.sales.concurrency: must be a whole number"),
    ("url =", 'retries = "5s"\nurl =', 'sinks.sales.retries: must be a list, in brackets, such as ["30s", "5m"]'),
    ("url =", 'ping = "role:123"\nurl =', 'sinks.sales.ping: must be a list, in brackets, such as ["role:123"]'),
    ("url =", "ping = 5\nurl =", 'sinks.sales.ping: must be a list, in brackets, such as ["role:123"]'),
    ("url =", 'currency = "€"\nurl =', 'sinks.sales.currency: must be three capital letters, such as "EUR"'),
    ("url =", 'subject = "x"\nurl =', 'sinks.sales.subject: unknown key; here it is called "title"'),
    (
        'type = "file"',
        'type = "email"\ntitle = "x"',
        'sinks.archive.title: unknown key; here it is called "subject"',
    ),
    ("url =", 'retries = [\n"5s",\n"x"]\nurl =', "config.toml:10: sinks.sales.retries[1]: not a duration"),
    ("url =", 'retries = ["31d"]\nurl =', "config.toml:10: sinks.sales.retries[0]: must be from 1s to 30d"),
    ("url =", 'timeout = "3m"\nurl =', "config.toml:10: sinks.sales.timeout: must be at most 2m"),
    ("token =", 'poll = "0s"\ntoken =', "config.toml:6: sources.bbb.poll: must be from 1s to 1d"),
    ("token =", 'poll_min = "31s"\ntoken =', "config.toml:6: sources.bbb.poll_min: must not be longer than poll"),
    ("token =", 'poll_max = "29s"\ntoken =', "config.toml:6: sources.bbb.poll_max: must not be shorter than poll"),
    ("token =", 'complete = "never"\ntoken =', 'sources.bbb.complete: must be "when-delivered" or "when-stored"'),
    # filters and templates
    ("url =", 'events = "purchase"\nurl =', 'sinks.sales.events: must be a list, in brackets, such as ["purchase"]'),
    ("url =", "events = []\nurl =", "config.toml:10: sinks.sales.events: empty; leave the key out for every event"),
    ("url =", 'events = ["a", "!"]\nurl =', 'config.toml:10: sinks.sales.events: pattern 2 has nothing after its "!"'),
    ("url =", 'events = ["[a"]\nurl =', 'config.toml:10: sinks.sales.events: pattern 1 has a "[" without its "]"'),
    ("url =", 'where = "a = 1"\nurl =', "config.toml:10: sinks.sales.where: line 1 of the condition: '=' is not"),
    ("url =", "where = 5\nurl =", 'config.toml:10: sinks.sales.where: must be text, such as "final_price|float >= 5"'),
    ("url =", 'title = "{{ a"\nurl =', "config.toml:10: sinks.sales.title: line 1 of the template: unexpected end"),
    ("url =", "title = 5\nurl =", "config.toml:10: sinks.sales.title: must be text, with {{ }} around"),
    # secrets
    ('"cred:token"', '"cred:nope"', "config.toml:6: sources.bbb.token: no value found (empty or missing): "),
    ('"cred:token"', '"file:nope"', "config.toml:6: sources.bbb.token: no value found (empty or missing): the file /"),
    ('"cred:token"', '"env:NO_SUCH"', "no value found (empty or missing): the environment variable NO_SUCH"),
    ('"cred:token"', '"cred:../token"', 'config.toml:6: sources.bbb.token: "cred:" takes the plain name'),
    ('"cred:token"', "5", "config.toml:6: sources.bbb.token: must be text: the value itself"),
    ('"cred:token"', '""', "config.toml:6: sources.bbb.token: must be text: the value itself"),
    ('"cred:discord"', '"https://example.com/"', "config.toml:10: sinks.sales.url: not the URL of a Discord webhook"),
    # TOML itself
    ('"cred:token"', '"cred:token', "config.toml:6: not valid TOML: "),
    ("token =", "token", "config.toml:6: not valid TOML: Expected '=' after a key in a key/value pair, at column 7"),
    ("[sinks.archive]", "[sinks.sales]", "config.toml:12: not valid TOML: "),
    ("path =", "type =", "config.toml:14: not valid TOML: Cannot overwrite a value"),
    ('"events.jsonl"\n', '"""events', "config.toml:14: not valid TOML: Unterminated string, at the end"),
    (
        "[daemon]",
        "[daemon]\nkeep = " + "[" * 20_000,
        "config.toml: a number is too long, or lists are nested too deeply",
    ),
    (
        "[daemon]",
        "[daemon]\nkeep = " + "9" * 20_000,
        "config.toml: a number is too long, or lists are nested too deeply",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), CHANGES, ids=[f"{new[:40]!r}" for _, new, _ in CHANGES])
def test_a_mistake_is_one_line_that_says_where_and_what(
    load_text: Load, good: str, old: str, new: str, line: str
) -> None:
    assert good.count(old) >= 1
    found = complaints(load_text, good.replace(old, new, 1))
    assert [text for text in found if line in text], found


WHOLE = [
    (
        "",
        [
            "sinks: no sink at all; add a table [sinks.NAME] with type = ",
            "sources: no source at all; add a table [sources.NAME] with type",
        ],
    ),
    ("sinks = 5\n", ["config.toml:1: sinks: must be tables: [sinks.NAME]", "sources: no source at all"]),
    ("[[sinks]]\n[[sources]]\n", ["config.toml:1: sinks: must be tables", "config.toml:2: sources: must be tables"]),
    ("daemon = 5\n", ["config.toml:1: daemon: must be a table: [daemon]", "no sink at all", "no source at all"]),
    (b"\n# caf\xe9\n", ["config.toml:2: not UTF-8 text; save the file as UTF-8"]),
]


@pytest.mark.parametrize(("text", "lines"), WHOLE)
def test_a_config_without_what_it_needs_says_so(load_text: Load, text: str | bytes, lines: list[str]) -> None:
    found = complaints(load_text, text)
    assert len(found) == len(lines)
    assert all(any(line in text for text in found) for line in lines), found


VARIABLES = [
    ("EVENTFERRY_DAEMON__KEEP", "5x", "not a duration"),
    ("EVENTFERRY_DAEMON__KEP", "5d", 'unknown key; did you mean "keep"?'),
    ("EVENTFERRY_DAEMON", "{}", "unknown variable; ours look like EVENTFERRY_DAEMON__KEY, "),
    ("EVENTFERRY_DAMON__KEEP", "5d", "unknown variable"),
    ("EVENTFERRY_SINKS__SALES", "{}", "unknown variable"),
    ("EVENTFERRY_SINKS__SALES__", "x", "unknown variable"),
    ("EVENTFERRY_TOKEN", "", "unknown variable"),
    ("EVENTFERRY_", "", "unknown variable"),
    ("EVENTFERRY_SINKS__SALES__URLL", "x", 'unknown key; did you mean "url"?'),
    ("EVENTFERRY_SINKS__SALES__CONCURRENCY", "many", "must be a whole number"),
    ("EVENTFERRY_SINKS__SALES__EVENTS", '["a', "must be a list"),
    ("EVENTFERRY_SINKS__SALES__EVENTS", "a,!", 'pattern 2 has nothing after its "!"'),
    ("EVENTFERRY_DAEMON__ALERTS", "sales,nobody", "no sink has this name"),
    ("EVENTFERRY_DAEMON__ALERTS__0", "sales", "must be a list"),
    ("EVENTFERRY_SOURCES__BBB__TOKEN", "env:NO_SUCH", "no value found"),
    ("EVENTFERRY_SOURCES__BBB__SCHEME", "x", 'must be "token" or "bearer"'),
]


@pytest.mark.parametrize(("name", "value", "message"), VARIABLES)
def test_a_mistake_in_the_environment_names_the_variable(
    load_text: Load, good: str, name: str, value: str, message: str
) -> None:
    (line,) = complaints(load_text, good, {name: value})
    assert line.startswith(f"{name}: {message}")


def test_a_sink_from_the_environment_alone_is_told_of_by_its_variables(load_text: Load, good: str) -> None:
    found = complaints(load_text, good, {"EVENTFERRY_SINKS__HOOK__TYPE": "webhook"})
    assert found == ["EVENTFERRY_SINKS__HOOK__URL: missing; this key is required"]
    found = complaints(load_text, good, {"EVENTFERRY_SINKS__HOOK__URL": "x"})
    assert found[0].startswith("EVENTFERRY_SINKS__HOOK__TYPE: missing; say which type of sink it is")


def test_all_mistakes_come_at_once_in_the_order_of_their_lines(load_text: Load, good: str) -> None:
    text = good
    for old, new in (
        ("[daemon]", '[daemon]\nkeep = "5x"'),
        ("cred:token", "cred:nope"),
        ("url =", "urll ="),
        ('"file"', '"fil"'),
        ('["sales"', '["sale"'),
    ):
        text = text.replace(old, new)
    found = complaints(load_text, text, {"EVENTFERRY_X": "1"})
    assert [line.partition(": ")[0] for line in found] == [
        *(f"config.toml:{line}" for line in (2, 3, 7, 11, 14)),
        "EVENTFERRY_X",
    ]


def test_a_mistake_knows_its_phase(load_text: Load, good: str) -> None:
    text = good.replace("cred:token", "cred:nope").replace("url =", 'title = "{{ a"\nnonsense = 1\nurl =')
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    assert [(problem.where, problem.phase) for problem in caught.value.problems] == [
        ("sources.bbb.token", "secrets"),
        ("sinks.sales.title", "templates"),
        ("sinks.sales.nonsense", "syntax"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.toml", "nowhere.toml: no such file"),
        ("config.toml/x", "config.toml/x: no such file"),
        (".", ".: a folder, not a file"),
        ("/dev/null", "/dev/null: no plain file"),
    ],
)
def test_a_file_that_is_none_is_told_apart(load_text: Load, good: str, path: str, message: str) -> None:
    load_text(good)
    with pytest.raises(ConfigError) as caught:
        load(Path(path), SinkKinds(), SOURCE_KINDS, {})
    assert str(caught.value) == message


def test_where_no_config_is_found_the_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(None, SinkKinds(), SOURCE_KINDS, {"EVENTFERRY_X": "1"})
    first, second = str(caught.value).splitlines()
    assert first == (
        f"no config found; sought {tmp_path}/config.toml and /etc/eventferry/config.toml. "
        'Name one with --config, or make one with "eventferry init"'
    )
    assert second.startswith("EVENTFERRY_X: unknown variable")


def said(load_text: Load, text: str, environ: Mapping[str, str] | None = None) -> str:
    """Give all that is said about a config, whether it can be used or not."""
    try:
        return "\n".join(load_text(text, environ).warnings)
    except ConfigError as error:
        return f"{error}\n{error.problems}\n{error.__cause__}"


TABLES: dict[str, tuple[type[BaseModel], dict[str, str]]] = {
    "daemon": (DaemonSettings, {}),
    "sources.bbb": (SOURCE_KINDS["builtbybit"].settings, {"type": '"builtbybit"', "token": '"cred:token"'}),
    "sinks.sales": (SinkKinds().load("discord").settings, {"type": '"discord"', "url": '"cred:discord"'}),
    "sinks.hook": (SinkKinds().load("webhook").settings, {"type": '"webhook"', "url": '"https://x.example/"'}),
    "sinks.mail": (
        SinkKinds().load("email").settings,
        {"type": '"email"', "host": '"mail.example"', "from": '"a@example.com"', "to": '["b@example.com"]'},
    ),
    "sinks.phone": (SinkKinds().load("apprise").settings, {"type": '"apprise"', "url": '"cred:phone"'}),
    "sinks.roles": (SinkKinds().load("command").settings, {"type": '"command"', "command": '["/bin/true"]'}),
    "sinks.archive": (SinkKinds().load("file").settings, {"type": '"file"', "path": '"x"'}),
    "sinks.screen": (SinkKinds().load("console").settings, {"type": '"console"'}),
}
COMMON = {"daemon": set[str](), "sources": {*keys_of(SourceCommon)}, "sinks": {*keys_of(SinkCommon)}}
PLACES_FOR_VALUES = [
    (table, key)
    for table, (own, _) in TABLES.items()
    for key in sorted(keys_of(own).keys() | COMMON[table.partition(".")[0]] | {"nonsense"})
]
FORMS = [
    '"{}"',
    '["{}"]',
    '{{ a = "{}" }}',
    '{{ a = {{ b = ["{}"] }} }}',
    '[["{}"]]',
    '"{{{{ {} x }}}}"',
    '"https://{}"',
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("table", "key"), PLACES_FOR_VALUES)
def test_no_message_holds_a_secret_that_stands_in_the_wrong_place(
    load_text: Load, table: str, key: str, form: str
) -> None:
    text = ""
    for name, (_, values) in TABLES.items():
        given = values | ({key: form.format(CANARY)} if name == table else {})
        text += f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in given.items())
    assert CANARY in text
    message = said(load_text, text)
    assert CANARY[:12] not in message
    assert "Input should" not in message


@pytest.mark.parametrize(
    "old", ['"builtbybit"', '"cred:token"', '"discord"', '"cred:discord"', '"file"', '"events.jsonl"']
)
@pytest.mark.parametrize(
    "new", [CANARY, f'"{CANARY}', f'"""{CANARY}', f'"a" "{CANARY}"', f'"\\x{CANARY}"', f"[{CANARY}]"]
)
def test_no_message_holds_a_secret_that_breaks_the_toml(load_text: Load, good: str, old: str, new: str) -> None:
    message = said(load_text, good.replace(old, new))
    assert "not valid TOML" in message
    assert CANARY[:12] not in message


@pytest.mark.parametrize(
    "name", ["DAEMON__KEEP", "DAEMON__ALERTS", "SINKS__SALES__EVENTS", "SINKS__SALES__RETRIES", "X"]
)
@pytest.mark.parametrize("value", [CANARY, f'["{CANARY}"]', f'["{CANARY}', f'{{"a": "{CANARY}"}}'])
def test_no_message_holds_a_secret_from_the_environment(load_text: Load, good: str, name: str, value: str) -> None:
    assert CANARY[:12] not in said(load_text, good, {f"EVENTFERRY_{name}": value})


class Careless(BaseModel):
    """A kind from elsewhere, whose checks quote what they were given."""

    number: int = 0
    either: int | list[int] = 0
    inner: dict[str, int] = {}

    @field_validator("number", mode="before")
    @classmethod
    def _is_a_number(cls, value: str) -> int:
        return int(value)


class CarelessKinds(SinkKinds):
    def names(self) -> Sequence[str]:
        return ["careless"]

    def load(self, name: str) -> SinkKind:
        return replace(super().load("file"), settings=Careless)


def test_a_careless_kind_gives_no_value_away_and_its_unions_and_tables_are_told_of_plainly(
    load_text: Load, good: str
) -> None:
    load_text(good)
    table = f'[sinks.x]\ntype = "careless"\nnumber = "{CANARY}"\neither = "{CANARY}"\ninner = {{ a = 1, b = "x" }}\n'
    Path("config.toml").write_text(good[: good.index("[sinks.sales]")].replace('["sales", "archive"]', "[]") + table)
    with pytest.raises(ConfigError) as caught:
        load(Path("config.toml"), CarelessKinds(), SOURCE_KINDS, {})
    assert str(caught.value).splitlines() == [
        "config.toml:10: sinks.x.number: invalid literal for int() with base 10: '…'",
        "config.toml:11: sinks.x.either: must be a whole number, or must be a list",
        "config.toml:12: sinks.x.inner.b: must be a whole number",
    ]


def test_a_problem_is_one_line_whatever_it_quotes() -> None:
    problem = Problem(3, "sinks.a", "bad \x1b[31m\nhttps://discord.com/api/webhooks/1/secret-part")
    assert problem.text(Path("c.toml")) == "c.toml:3: sinks.a: bad \\x1b[31m\\nhttps://discord.com/api/webhooks/1/***"
    assert "\n" not in problem.message
    assert "secret-part" not in repr(problem)
    assert problem.text(None) == "sinks.a: bad \\x1b[31m\\nhttps://discord.com/api/webhooks/1/***"


def test_a_way_is_written_as_toml_does() -> None:
    assert dotted(("sinks", "a b", "x", 2, "ü")) == 'sinks."a b".x[2]."\\u00fc"'


def test_every_kind_is_covered_here() -> None:
    used = {values["type"].strip('"') for _, values in TABLES.values() if "type" in values}
    assert used == {*SOURCE_KINDS, *SinkKinds().names()}
