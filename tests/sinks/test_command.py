"""Programs that get events: what they get, and which can be named in a config."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.contract import OWN_SOURCE, Delivered, Unreachable
from sinks.command import CommandSink
from tests.events import HOSTILE, delivery, event
from tests.programs import Script, run, sink


def test_the_event_comes_as_json_on_the_standard_input(script: Script) -> None:
    report = run(script("cat")())
    assert report.outcome == Delivered("exit code 0")
    document = json.loads(report.answer)
    assert document == json.loads(report.body)
    assert document["delivery_id"] == "builtbybit-1-sales"
    assert document["attempt"] == 1
    assert document["type"] == "purchase"
    assert document["data"] == event().data
    assert "test" not in document


def test_it_gets_a_few_variables_and_nothing_else_of_our_environment(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S8."""
    monkeypatch.setenv("CANARY", "canary-environment-0123456789")
    report = run(script("env")(env={"API_TOKEN": "canary-token-9876543210", "LANG": "C"}), delivery(attempt=3))
    names = dict(line.split("=", 1) for line in report.answer.splitlines())
    assert names.pop("PATH") == os.environ["PATH"]
    for of_the_shell in ("PWD", "SHLVL", "_", "OLDPWD"):
        names.pop(of_the_shell, None)
    assert names == {
        "LANG": "C",
        "API_TOKEN": "***",
        "EVENTFERRY_DELIVERY_ID": "builtbybit-1-sales",
        "EVENTFERRY_TRIGGER": "purchase",
        "EVENTFERRY_ATTEMPT": "3",
    }


def test_a_test_event_is_marked(script: Script) -> None:
    made = event(kind="test.review", source=OWN_SOURCE)
    report = run(script('cat; echo; echo "$EVENTFERRY_TEST $EVENTFERRY_TRIGGER"')(), delivery(made))
    document, marks = report.answer.strip().split("\n\n")
    assert json.loads(document)["test"] is True
    assert marks == "1 review"


def test_it_runs_in_a_group_and_folder_of_its_own(script: Script) -> None:
    """S8."""
    seen = run(script("umask; pwd; stat -c %a .; cat /proc/$$/stat")()).answer.splitlines()
    umask, folder, mode, about = seen
    assert umask == "0077"
    assert mode == "700"
    assert not Path(folder).exists()
    group, session = about.rpartition(")")[2].split()[2:4]
    assert group == session != str(os.getpgrp())


def test_no_file_of_ours_is_open_in_it(script: Script, tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        report = run(script("ls /proc/self/fd")())
    assert set(report.answer.split()) <= {"0", "1", "2", "3"}


STRINGS = [
    *("", " ", "-x", "--version", "-rf /", "; touch pwned", "$(touch pwned)", "`touch pwned`", "| touch pwned"),
    *(
        "&& touch pwned",
        "> pwned",
        "< /etc/passwd",
        "*",
        "?",
        "~root",
        "$HOME",
        "%s%n",
        "\\",
        '"',
        "'",
        "';touch pwned'",
    ),
    *("a\nb", "a\r\nb", "\x00", "a\x00touch pwned", "() { :; }; touch pwned", "\x1b[2J", "\u202e", "\ud800"),
    *("x" * 200_000, "=", "PATH=/evil", "LD_PRELOAD=/evil.so"),
]


@pytest.mark.parametrize("text", STRINGS, ids=range(len(STRINGS)))
def test_no_text_of_an_event_is_ever_executed_or_taken_for_an_option(script: Script, tmp_path: Path, text: str) -> None:
    """S8: thirty hostile strings in every place that an event has."""
    hostile = event({"username": text, text: text}, kind=text or "x", external_id=text, channel=text)
    make = script('cat > /dev/null; printf "%s\\n" "$#" "$@"; env -0 | tr -d "\\n" | tr "\\0" "\\n"')
    report = run(make("--flag", "grant"), delivery(hostile))
    assert report.outcome == Delivered("exit code 0")
    count, first, second, *variables = report.answer.splitlines()
    assert (count, first, second) == ("2", "--flag", "grant")
    names = {line.partition("=")[0] for line in variables}
    assert names <= {"PATH", "LANG", "PWD", "SHLVL", "_", "OLDPWD"} | {
        f"EVENTFERRY_{name}" for name in ("DELIVERY_ID", "TRIGGER", "ATTEMPT")
    }
    assert f"PATH={os.environ['PATH']}" in variables
    assert not list(tmp_path.rglob("pwned"))
    assert json.loads(report.body)["data"]["username"] == text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_events_arrive_as_strict_json(script: Script, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    report = run(script(f"cat > {copy}")(), delivery(event(HOSTILE[name])))
    assert report.outcome == Delivered("exit code 0")
    assert copy.read_bytes() == report.body
    json.loads(report.body, parse_constant=pytest.fail)


# Settings and looking


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"command": []}, "at least 1 item"),
        ({"command": "rm -rf /"}, "valid list"),
        ({"command": [""]}, "the program must be an absolute path"),
        ({"command": ["./grant"]}, "the program must be an absolute path"),
        ({"command": ["nobody-has-this"]}, "no program of this name is found on PATH"),
        ({"command": ["/bin/true", "a\0b"]}, "no argument can hold a NUL"),
        ({"command": ["/bin/true"], "env": {"A B": "x"}}, "a name has letters"),
        ({"command": ["/bin/true"], "env": {"EVENTFERRY_TEST": "1"}}, "does not begin with EVENTFERRY_"),
        ({"command": ["/bin/true"], "env": {"A": "x\0y"}}, "no variable can hold a NUL"),
        ({"command": ["/bin/true"], "timeout": "1h"}, "less than or equal to"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as failure:
        CommandSink.Settings.model_validate(values)
    assert complaint in str(failure.value)
    assert "x\0y" not in str(failure.value)


def test_a_bare_name_is_looked_up_when_the_config_is_read() -> None:
    (program, argument) = CommandSink.Settings.model_validate({"command": ["sh", "-e"]}).command
    assert Path(program).is_absolute()
    assert argument == "-e"


def test_checking_says_whether_the_program_can_be_run(script: Script, tmp_path: Path) -> None:
    program = tmp_path / "program"
    make = script("exit 1")
    assert asyncio.run(make().check()) == f"{program} can be run"
    program.chmod(0o600)
    with pytest.raises(Unreachable, match=r"may not be run: chmod \+x it"):
        asyncio.run(make().check())
    program.unlink()
    with pytest.raises(Unreachable, match="there is no program"):
        asyncio.run(make().check())
    with pytest.raises(Unreachable, match="there is no program"):
        asyncio.run(sink([str(tmp_path)]).check())


def test_the_folder_is_made_anew_when_somebody_tidied_it_away(script: Script) -> None:
    one = script("pwd; rmdir $PWD")()
    folders = []

    async def use() -> None:
        folders.extend([(await one.deliver(delivery())).answer for _ in range(2)])
        await one.close()

    asyncio.run(use())
    assert len(set(folders)) == 2


def test_what_would_run_can_be_shown(script: Script, tmp_path: Path) -> None:
    shown = script("exit 1")("--role", "a b").render(delivery())
    first, _, document = shown.partition("\n")
    assert first == f"{tmp_path}/program --role 'a b' <<"
    assert json.loads(document)["delivery_id"] == "builtbybit-1-sales"
