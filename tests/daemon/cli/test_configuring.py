"""`check` and `config`; tests/daemon/app/test_check.py has what is found."""

import json
import tomllib

import pytest

from tests.daemon.cli.conftest import hide_service

PLANTED = """\
[daemon]
keeep = "1d"

[sources.shop]
type = "builtbybit"
token = "file:nothing-here"

[sinks.sales]
type = "webhok"

[sinks.chat]
type = "discord"
url = "https://example.com/hook"
title = "{{ x( }}"
"""


def test_five_planted_mistakes_are_all_named_with_their_lines(ferry):
    (ferry.folder / "config.toml").write_text(PLANTED)
    done = ferry.process("check")
    assert done.returncode == 78
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [
        ["syntax", "error"], ["syntax", "error"], ["syntax", "error"],
        ["secrets", "error"], ["templates", "error"], ["database", "skipped"],
    ]  # fmt: skip
    places = [line[2].partition(" ")[0] for line in lines[:5]]
    assert places == [f"config.toml:{number}:" for number in (2, 9, 13, 6, 14)]
    assert 'daemon.keeep: unknown key; did you mean "keep"?' in lines[0][2]


def test_the_result_can_be_had_as_json(ferry):
    (ferry.folder / "config.toml").write_text(PLANTED)
    found = ferry.json("check")
    assert (found["config"], found["ok"], found["exit_code"]) == ("config.toml", False, 78)
    assert found["findings"][0] == {
        "phase": "syntax",
        "verdict": "error",
        "text": 'config.toml:2: daemon.keeep: unknown key; did you mean "keep"?',
        "about": "daemon.keeep",
        "line": 2,
        "exit_code": 78,
    }


def test_no_config_at_all_is_found_out_too(ferry, monkeypatch):
    hide_service(monkeypatch, ferry.folder)
    done = ferry("check")
    assert done.returncode == 78
    assert "no config found; sought" in done.stdout


def test_a_good_config_is_0_and_an_unreachable_sink_is_1(ferry, stand_ins):
    assert "syntax     ok       config.toml: 1 source(s), 3 sink(s)" in ferry.ok("check")
    stand_ins.set(receivers={"discord": {"deleted": True}})
    done = ferry("check", "--connect")
    assert done.returncode == 1
    assert "connect    ok       builtbybit: token accepted, 0 events wait; if you expect some" in done.stdout
    assert "connect    error    discord: Discord says this webhook was deleted" in done.stdout


def test_the_config_in_force_is_shown_without_secrets(ferry, stand_ins):
    shown = ferry.ok("config", "show", env={"EVENTFERRY_DAEMON__KEEP": "7d"})
    assert "simulator-token" not in shown
    table = tomllib.loads(shown)
    assert (table["daemon"]["keep"], table["sources"]["builtbybit"]["token"]) == ("7d", "***")
    assert ferry.json("config", "show")["sinks"]["email"]["timeout"] == "30s"


def test_the_schema_is_json_and_needs_no_config(ferry):
    schema = json.loads(ferry.ok("config", "schema"))
    assert schema["properties"].keys() == {"daemon", "sources", "sinks"}


def test_a_sink_that_cannot_render_every_event_is_found_out(ferry, stand_ins):
    """With a kind of sink as another package brings it."""
    ferry.plug_in("broken", 'return delivery.event.data["username"]')
    done = ferry.process("check", env={"PYTHONPATH": str(ferry.folder)})
    assert done.returncode == 78
    assert "templates  error    broken: cannot render missing fields (KeyError)" in done.stdout
    assert "broken: cannot render a purchase" not in done.stdout


@pytest.mark.parametrize("signs", ["\x1b[31m", "\u202e"])
def test_nothing_in_a_config_acts_on_the_terminal(ferry, signs):
    (ferry.folder / "config.toml").write_text(f'["sinks{signs}"]\n', encoding="utf-8")
    text = ferry("check").stdout + ferry("run").stderr
    assert signs not in text


def test_a_machine_without_time_zones_works_unless_the_config_names_one(ferry, stand_ins):
    """Slim systems leave tzdata out; the daemon itself needs none of it."""
    (ferry.folder / "tzdata.py").write_text("raise ImportError\n")  # Python would fall back to a package of this name
    bare = {"PYTHONTZPATH": "", "PYTHONPATH": str(ferry.folder)}
    config = ferry.folder / "config.toml"
    named = config.read_text()
    done = ferry.process("check", env=bare)
    assert done.returncode == 78
    assert "daemon.timezone: this machine knows no time zones: install its package tzdata" in done.stdout
    digest = '\n[sinks.evening]\ntype = "discord"\nurl = "https://discord.com/api/webhooks/1/abc"\ndigest = "09:00"\n'
    config.write_text(named.replace('timezone = "Europe/Berlin"\n', "") + digest)
    done = ferry.process("check", env=bare)
    assert done.returncode == 0, done.stdout
    assert "evening: next digest" in done.stdout
