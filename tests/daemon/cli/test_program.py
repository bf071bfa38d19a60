"""The command as a whole: what it says of itself, how it fails, how it ends."""

import json
import re
import signal
import subprocess
import sys

import pytest

from daemon import __version__
from daemon.cli import errors
from daemon.control import CommandRefused
from daemon.store import StoreInUse

HEAVY = ("sqlalchemy", "alembic", "sinks", "uvicorn", "starlette", "httpx", "structlog", "rich", "pydantic", "jinja2")


def test_the_version_is_printed(ferry):
    assert ferry.ok("--version") == f"eventferry {__version__}\n"


def test_help_and_version_import_nothing_that_only_some_commands_need(ferry):
    code = f"import daemon.cli, sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_begins_with_the_first_six_commands_and_ends_with_examples(ferry, arguments):
    text = ferry.ok(*arguments)
    first = text[text.index("First steps") : text.index("Day to day")]
    assert re.findall(r"^│ (\w+) ", first, re.MULTILINE) == ["init", "check", "run", "status", "events", "show"]
    for command in ("replay", "sinks", "pause", "resume", "once", "config", "demo", "simulate"):
        assert f"│ {command} " in text
    assert text.index("Examples:") > text.index("simulate")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bogus",), "No such command 'bogus'"),
        (("events", "--bogus"), "No such option: --bogus"),
        (("events", "--limit", "many"), "--limit"),
        (("events", "--state", "lost"), "--state lost: there are waiting, delivered"),
        (("events", "--dead", "--state", "waiting"), "take one of them"),
        (("sinks", "stop"), "Missing argument 'NAME'"),
        (("config",), "Missing command"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(ferry, arguments, words):
    done = ferry(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("eventferry: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_config_is_named(ferry):
    done = ferry("status", "--config", "nowhere.toml")
    assert (done.returncode, done.stderr) == (78, "eventferry: nowhere.toml: no such file\n")


def test_the_config_may_be_named_before_or_after_a_command(ferry, stand_ins):
    (ferry.folder / "config.toml").rename(ferry.folder / "other.toml")
    for arguments in (
        ("--config", "other.toml", "sinks"),
        ("sinks", "-c", "other.toml"),
        ("-c", "nowhere.toml", "sinks", "-c", "other.toml"),
    ):
        assert "webhook" in ferry.ok(*arguments)
    assert "there is no database yet" in ferry("sinks", "-c", "other.toml", "stop", "webhook").stderr


def test_output_that_nobody_reads_is_no_trouble(ferry):
    process = ferry.start("config", "schema")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert ferry.log() == ""


def test_ctrl_c_ends_without_a_traceback(ferry):
    arguments = ("init", "--directory=new", "--token-file=-", "--discord-url-file=x", "--private", "--trouble=same")
    process = ferry.start(*arguments, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == errors.INTERRUPTED
    assert ferry.log() == ""


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (CommandRefused("no sink is called x"), "no sink is called x", 1),
        (StoreInUse("/x/eventferry.db: in use by the process 12; stop it first"), "in use by the process 12", 75),
        (PermissionError(13, "Permission denied", "/x/config.toml"), "/x/config.toml: Permission denied", 77),
        (OSError(28, "No space left on device"), "No space left on device", 1),
    ],
)
def test_what_people_can_mend_is_one_line_and_an_exit_code(capsys, error, line, code):
    assert errors.report(error) == code
    told = capsys.readouterr().err
    assert told.startswith("eventferry: ")
    assert line in told
    assert told.count("\n") == 1


def test_a_bug_is_said_to_be_one_and_its_traceback_is_logged_on_one_line(capsys):
    with pytest.raises(KeyError) as caught:
        _ = {}["nothing here"]
    assert errors.report(caught.value) == 70
    logged, told = capsys.readouterr().err.splitlines()
    assert "nothing here" in json.loads(logged)["exception"]
    assert told == "eventferry: KeyError: this is a bug in Eventferry; please report it with the line above"
