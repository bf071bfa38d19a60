"""Command lines that nobody would type on purpose (I16): one line, an exit code, nothing that acts on a terminal."""

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest

from daemon.cli.program import carry_out
from daemon.simulator import Simulator
from tests.daemon.cli.conftest import environment, hide_service
from tests.input.telling import GOOD, in_shell, refused, told, written

WITHOUT_DATABASE = {
    "no such command": (("\x1b[31mred",), 2, "No such command '\\x1b[31mred'"),
    "a command of two lines": (("status\nrun",), 2, "No such command 'status\\nrun'"),
    "bytes that are no text": (("\udcff",), 2, "No such command '\\udcff'"),
    "an option that is none": (("status", "--\u202e"), 2, "No such option: --\\u202e"),
    "an option where none is": (("sinks", "stop", "--yes", "x"), 2, "No such option: --yes"),
    "a value for a switch": (("events", "--dead=no"), 2, "--dead"),
    "one argument too many": (("show", "1", "2"), 2, "unexpected extra argument"),
    "an empty command": (("",), 2, "No such command ''"),
    "a limit below zero": (("events", "--limit", "-1"), 2, "--limit"),
    "a limit of nothing": (("events", "--limit", "0"), 2, "--limit"),
    "a limit of 30 digits": (("events", "--limit", "9" * 30), 2, "--limit"),
    "a limit of 5,000 digits": (("events", "--limit", "9" * 5000), 2, "--limit"),
    "a limit in Arabic digits and a letter": (("events", "--limit", "\u0663x"), 2, "--limit"),
    "a state that moves the cursor": (("events", "--state", "\x1b[2J\n"), 2, "--state \\x1b[2J\\n: there are waiting"),
    "a word for no choice": (("init", "--trouble"), 2, "--trouble"),
    "a time before all calendars": (("events", "--since", "0001-01-01T00:00:00+23:00"), 2, "no time of this calendar"),
    "a time after all calendars": (("events", "--since", "9999-12-31T23:59:59-23:00"), 2, "no time of this calendar"),
    "a time that moves the cursor": (("events", "--since", "\x1b[H"), 2, "write how long ago"),
    "a time of 10,000 digits": (("events", "--since", "9" * 10_000 + "d"), 2, "write how long ago"),
    "a time in no unit": (("replay", "--since", "-2h"), 2, "write how long ago"),
    "a word of 10,000 letters": (("events", "--trigger", "x" * 10_000), 2, "no trigger is longer than 200 characters"),
    "nothing to replay": (("replay", "--state", ",,,"), 2, "say what to replay"),
    "a replay that means two things": (("replay", "--to", "archive", "--sink", "sales", "1"), 2, "--to sends whole"),
    "a way past the end": (("show", "--config", "/dev/fd/999", "1"), 78, "/dev/fd/999: no such file"),
    "a folder for a config": (("pause", "-c", "/"), 78, "/: a folder, not a file"),
    "a secret from a folder": (
        (
            "init",
            "--token-file",
            ".",
            "--discord-url-file",
            "x",
            "--private",
            "--trouble",
            "none",
            "--directory",
            "new",
        ),
        1,
        "Is a directory",
    ),
    "two secrets from stdin": (
        ("init", "--token-file=-", "--discord-url-file=-", "--private", "--trouble=none", "--directory", "new"),
        2,
        '"-" was given more than once',
    ),
}


@pytest.mark.parametrize("name", WITHOUT_DATABASE)
def test_a_command_line_that_makes_no_sense_is_one_line(tmp_path: Path, name: str) -> None:
    arguments, code, words = WITHOUT_DATABASE[name]
    written(tmp_path)
    done = told(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("eventferry: ")
    assert words in line


async def _one_round(folder: Path) -> None:
    """Let a real process fetch one event and deliver it to a file."""
    async with Simulator.start() as sim:
        sim.upstream.add("purchase", {"username": "Steve"})
        source = f'[sources.shop]\ntype = "builtbybit"\nbase_url = "{sim.api_url}"\ntoken = "{sim.token}"\n'
        written(folder, source + '[sinks.archive]\ntype = "file"\npath = "events.jsonl"\n')
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daemon.cli", "once", cwd=folder, env=environment(), stdout=DEVNULL, stderr=DEVNULL
        )
        assert await process.wait() == 0


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("delivered")
    asyncio.run(_one_round(folder))
    return folder


@pytest.fixture
def filled(delivered: Path, tmp_path: Path) -> Path:
    """A config, and a database with one event in it."""
    for file in delivered.glob("eventferry.db*"):
        if file.suffix != ".lock":
            shutil.copy(file, tmp_path)
    written(tmp_path)
    return tmp_path


AT_DATABASE = {
    "an id of 10,000 digits": (("show", "9" * 10_000), 1, "no event is known as 9999"),
    "an id that no number can be": (("show", "99999999999999999999999999"), 1, "no event is known as 999"),
    "an id below zero": (("show", "--", "-1"), 1, "no event is known as -1"),
    "an id that looks like an option": (("show", "--", "--help"), 1, "no event is known as --help"),
    "an empty id": (("show", ""), 1, "no event is known as"),
    "bytes for an id": (("show", "\udcff\udcfe"), 1, "no event is known as \\udcff\\udcfe"),
    "an id of two lines": (("show", "4711\nx"), 1, "no event is known as 4711\\nx"),
    "an id for SQL": (("show", "' OR 1=1 --"), 1, "no event is known as ' OR 1=1 --"),
    "an id for a glob": (("show", "%"), 1, "no event is known as %"),
    "a sink that moves the cursor": (("sinks", "stop", "\x1b[2J"), 1, "no sink is called \\x1b[2J"),
    "a sink that looks like an option": (("sinks", "stop", "--", "--yes"), 1, "no sink is called --yes"),
    "bytes for a sink": (("sinks", "resume", "\udcff"), 1, "no sink is called ?"),
    "bytes for an event to replay": (("replay", "\udcff"), 1, "nothing to replay"),
    "5,000 events to replay": (("replay", *map(str, range(5_000, 10_000))), 1, "nothing to replay"),
    "a state that is none": (("replay", "--state", "lost\x1b[1m"), 1, "lost\\x1b[1m is no state to replay from"),
    "a sink to replay to that is none": (("replay", "4711", "--to", "\u202ex"), 1, "\\u202ex is not in the config"),
}


@pytest.mark.parametrize("name", AT_DATABASE)
def test_a_name_that_nothing_has_is_one_line(filled: Path, name: str) -> None:
    arguments, code, words = AT_DATABASE[name]
    assert words in refused(filled, *arguments, code=code)


NOTHING_FOUND = {
    "bytes for a word": ("--trigger", "\udcff"),
    "a word for LIKE": ("--trigger", "%_%"),
    "bytes for a sink": ("--sink", "\udcff"),
    "a sink for SQL": ("--sink", "x' OR '1'='1"),
    "a word as long as any trigger": ("--trigger", "%" * 200),
    "the last moment there is": ("--since", "9999-12-31T23:59:59Z"),
}


@pytest.mark.parametrize("name", NOTHING_FOUND)
def test_a_filter_that_nothing_fits_finds_nothing(filled: Path, name: str) -> None:
    done = told(filled, "events", *NOTHING_FOUND[name])
    assert (done.returncode, done.stdout) == (0, "no events\n")


def test_the_first_moment_there_is_finds_all(filled: Path) -> None:
    assert "shop:" in told(filled, "events", "--since", "0001-01-02T00:00:00Z").stdout


STREAMS = {
    "no stdout": ("ferry --version >&-", 0, b"", b""),
    "no stdin, stdout, stderr": ("ferry --version <&- >&- 2>&-", 0, b"", b""),
    "no stdin for a question": ("ferry init --directory=. <&-", 2, None, b"there is nobody to ask here"),
    "no stderr for an error": ("ferry bogus 2>&-", 2, b"", b""),
    "a full disk behind stdout": ("ferry --version >/dev/full", 1, b"", b"eventferry: No space left on device\n"),
    "a full disk behind stderr": ("ferry bogus 2>/dev/full", 2, b"", b""),
    "a reader who goes after a line": ("ferry --help | head -1; exit ${PIPESTATUS[0]}", 0, None, b""),
    "an encoding without our signs": (
        "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 ferry show \u2603 -c $'\\xff'", 78, b"", b"\\udcff: no such file"
    ),

}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_a_surrounding_that_lacks_something_is_no_trouble(tmp_path: Path, name: str) -> None:
    script, code, out, err = STREAMS[name]
    done = in_shell(tmp_path, script)
    assert done.returncode == code, done
    assert out is None or done.stdout == out
    assert err in done.stderr if err else done.stderr == b""


IN_A_DELETED_FOLDER = {
    "nothing named": (("status",), 78, "go to another one, or name a config by its whole path"),
    "a config beside": (
        ("status", "-c", "../config.toml"),
        78,
        "go to another one, or name a config by its whole path",
    ),
    "a first config": (
        ("init", "--token-file=x", "--discord-url-file=x", "--private", "--trouble=none"),
        1,
        "go to another one, or add --directory",
    ),
}


@pytest.mark.parametrize("name", IN_A_DELETED_FOLDER)
def test_a_folder_that_was_deleted_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments, code, words = IN_A_DELETED_FOLDER[name]
    hide_service(monkeypatch, tmp_path)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert carry_out(arguments) == code
    assert capsys.readouterr().err == f"eventferry: the folder you are in was deleted; {words}\n"


def test_a_config_named_by_its_whole_path_is_found_from_a_deleted_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert carry_out(["config", "show", "-c", str(path)]) == 0
    assert "[sinks.archive]" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["1", "0", "-5", "many"])
def test_no_terminal_is_too_narrow_for_help(tmp_path: Path, columns: str) -> None:
    done = told(tmp_path, "events", "--help", env={"COLUMNS": columns})
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stdout_is_not_taken_by_the_next_file_that_is_opened(filled: Path) -> None:
    """Else what is printed would end up in the database."""
    before = (filled / "eventferry.db").read_bytes()
    done = in_shell(filled, "ferry events >&- 2>&-; ferry events")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"shop:" in done.stdout
    assert (filled / "eventferry.db").read_bytes() == before


def test_a_good_config_is_good_here_too(tmp_path: Path) -> None:
    """What all these tests change works as it is."""
    written(tmp_path)
    assert told(tmp_path, "config", "show").returncode == 0
    assert GOOD.count("\n") == 14
