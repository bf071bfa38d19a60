"""What may be named as a config and is none (I16): one line that says what is wrong, and exit code 78."""

import gzip
import os
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.settings import load
from daemon.sources.registry import SOURCE_KINDS
from sinks.registry import SinkKinds
from tests.input.telling import GOOD, SECONDS, refused, told, written

CONTENTS = {
    "UTF-16 of Windows, with its mark": (
        GOOD.encode("utf-16"),
        "config.toml:1: not UTF-8 text; save the file as UTF-8",
    ),
    "UTF-16, big end first": (b"\xfe\xff" + GOOD.encode("utf-16-be"), "config.toml:1: not UTF-8 text"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "config.toml:1: not valid TOML: "),
    "UTF-32": (GOOD.encode("utf-32"), "config.toml:1: not UTF-8 text"),
    "Windows' code page": (
        (GOOD + "# caf\N{LATIN SMALL LETTER E WITH ACUTE}").encode("cp1252"),
        "config.toml:15: not UTF-8",
    ),
    "half a surrogate": (GOOD.encode() + b"# \xed\xa0\x80\n", "config.toml:15: not UTF-8 text"),
    "a NUL within": (
        GOOD.replace("events.jsonl", "events\0.jsonl").encode(),
        "config.toml:14: not valid TOML: Illegal",
    ),
    "what a power cut leaves": (b"\0" * 4096, "config.toml:1: not valid TOML: Invalid statement, at column 1"),
    "torn half-way": (GOOD.encode()[:90], "config.toml:6: not valid TOML: "),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + GOOD.encode(), "config.toml:1: not valid TOML: Invalid statement"),
    "gzip": (gzip.compress(GOOD.encode()), "config.toml:1: not UTF-8 text"),
    "JSON": (b'{"daemon": {"alerts": []}}', "config.toml:1: not valid TOML: Invalid statement, at column 1"),
    "YAML": (b"daemon:\n  alerts: []\n", "config.toml:1: not valid TOML: Expected '=' after a key"),
    "INI with spaces in it": (
        b"[daemon]\nlog level = info\n",
        "config.toml:2: not valid TOML: Expected '=' after a key",
    ),
    "a shell script": (b"export EVENTFERRY_DAEMON__KEEP=1d\n", "config.toml:1: not valid TOML: Expected '='"),
    "a web page": (b"<!doctype html>\n<title>404</title>\n", "config.toml:1: not valid TOML: Invalid statement"),
    "an escape for a terminal": (b"\x1b[2J\n" + GOOD.encode(), "config.toml:1: not valid TOML: Invalid statement"),
    "curly quotes": (GOOD.replace('"builtbybit"', "\u201cbuiltbybit\u201d").encode(), "config.toml:5: not valid TOML"),
    "a key in Cyrillic look-alikes": (GOOD.replace("token", "t\u043eken").encode(), "config.toml:6: not valid TOML"),
    "a merge that was not finished": (b"<<<<<<< HEAD\n" + GOOD.encode(), "config.toml:1: not valid TOML"),
    "a table twice": ((GOOD + "[daemon]\n").encode(), "config.toml:15: not valid TOML: "),
    "a text that never ends": (GOOD.encode() + b'x = """' + b"y" * 500_000, "config.toml:15: not valid TOML: Untermin"),
    "a number of 5,000 digits": (GOOD.encode() + b"x = " + b"1" * 5000, "config.toml: a number is too long"),
    "tables in tables": (GOOD.encode() + b"x = " + b"{a=" * 400 + b"1" + b"}" * 400, "nested too deeply"),
    "a key of 2,000 parts": (GOOD.encode() + b".".join([b"a"] * 2000) + b" = 1\n", "nested too deeply"),
    "a header of 2,000 parts": (GOOD.encode() + b"[" + b".".join([b"a"] * 2000) + b"]\n", "nested too deeply"),
    "lists and tables in turn": (GOOD.encode() + b"x = " + b"[{a=" * 120 + b"1" + b"}]" * 120, "nested too deeply"),
    "a byte more than 1 MiB": (
        GOOD.encode() + b"#" * (1024**2 - len(GOOD) + 1),
        "larger than 1 MiB; this is no config",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content_that_is_no_config_is_one_line(tmp_path: Path, name: str) -> None:
    content, words = CONTENTS[name]
    written(tmp_path, content)
    line = refused(tmp_path, "config", "show", code=78)
    assert line.startswith("config.toml")
    assert words in line


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE x (y)")
    connection.close()


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 * 1024**3)


PLACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pipe that nobody writes into": (_fifo, "no plain file"),
    "a socket": (_socket, "no plain file"),
    "a device without an end": (lambda path: path.symlink_to("/dev/zero"), "no plain file"),
    "a file of the kernel without an end": (lambda path: path.symlink_to("/proc/self/pagemap"), "larger than 1 MiB"),
    "a file that cannot be read": (
        lambda path: path.symlink_to("/proc/self/mem"),
        "cannot be read: Input/output error",
    ),
    "a folder": (lambda path: path.mkdir(), "a folder, not a file"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "a database": (_database, "config.toml:1: not UTF-8 text"),
    "50 GB of nothing": (_huge, "larger than 1 MiB; this is no config of ours"),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_or_no_end_of_one_is_one_line(tmp_path: Path, name: str) -> None:
    make, words = PLACES[name]
    make(tmp_path / "config.toml")
    assert words in refused(tmp_path, "config", "show", "--config", "config.toml", code=78)


NAMES = {
    "x" * 300 + ".toml": "cannot be read: File name too long",
    "config.toml/more": "no such file",
    "no\nsuch\x1b[31m": "no\\nsuch\\x1b[31m: no such file",
    "\udcff\udcfe": "\\udcff\\udcfe: no such file",
    "\u202egpj.toml": "\\u202egpj.toml: no such file",
    "~nobody_at_all/config.toml": "~nobody_at_all/config.toml: no such file",
    "": "a folder, not a file",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_nowhere_is_one_line(tmp_path: Path, name: str) -> None:
    written(tmp_path)
    assert NAMES[name] in refused(tmp_path, "config", "show", "--config", name, code=78)
    if name:
        assert NAMES[name] in refused(tmp_path, "status", code=78, env={"EVENTFERRY_CONFIG": name})


def test_a_folder_that_is_called_like_somebodys_home_is_just_a_folder(tmp_path: Path) -> None:
    (tmp_path / "~nobody_at_all").mkdir()
    written(tmp_path / "~nobody_at_all")
    assert told(tmp_path, "config", "show", "--config", "~nobody_at_all/config.toml").returncode == 0


def test_ten_thousand_sinks_are_read_in_bounded_time(tmp_path: Path) -> None:
    sinks = "".join(f'[sinks.s{number}]\ntype = "file"\npath = "{number}"\n' for number in range(10_000))
    path = written(tmp_path, GOOD + sinks)
    began = time.process_time()
    assert len(load(path, SinkKinds(), SOURCE_KINDS, {}).settings.sinks) == 10_002
    assert time.process_time() - began < SECONDS


MANY = {
    "unknown keys": "".join(f"key_{number} = 1\n" for number in range(3_000)),
    "unknown tables": "".join(f"[table_{number}]\n" for number in range(3_000)),
    "sinks of no kind": "".join(f"[sinks.s{number}]\n" for number in range(1_000)),
    "alerts to nobody": "[daemon]\nalerts = [" + '"nobody",' * 5_000 + "]",
    "patterns that are none": "events = [" + '"!",' * 5_000 + "]",
}


@pytest.mark.parametrize("name", MANY)
def test_a_flood_of_mistakes_is_told_of_in_part(tmp_path: Path, name: str) -> None:
    good = GOOD.replace('[daemon]\nalerts = ["sales", "archive"]\n', "") if name == "alerts to nobody" else GOOD
    written(tmp_path, good + MANY[name])
    done = told(tmp_path, "config", "show")
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 201
    if name in ("unknown keys", "unknown tables"):
        assert lines[-1].endswith("config.toml: and 2800 more")
