"""Values that fit no key (I16), and secrets that cannot be read: the line, what is wrong, never the value."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.input.telling import CANARY, GOOD, refused, told, written

DAEMON, SOURCE, SALES, ARCHIVE = "[daemon]\n", 'type = "builtbybit"\n', 'type = "webhook"\n', 'type = "file"\n'
MAIL = 'type = "email"\nhost = "mail.example"\nfrom = "a@shop.example"\nto = ["b@shop.example"]\n'

# After which line, what is added there, and what is said.
ADDED = {
    "a date for a duration": (DAEMON, "keep = 1979-05-27", "daemon.keep: not a duration; write it with a unit"),
    "a time for a duration": (SOURCE, "poll = 00:00:30", "sources.bbb.poll: not a duration"),
    "a moment for a choice": (SOURCE, "complete = 1979-05-27T07:32:00Z", 'complete: must be "when-delivered"'),
    "a date in a list of durations": (SALES, "retries = [1979-05-27]", "sinks.sales.retries[0]: not a duration"),
    "a date in a filter": (SALES, "events = [1979-05-27]", "sinks.sales.events[0]: must be text"),
    "a moment for a path": (DAEMON, "database = 1979-05-27 07:32:00", "daemon.database: must be text (a path)"),
    "a duration in no unit of ours": (DAEMON, 'keep = "1 month"', "daemon.keep: not a duration"),
    "a duration of ISO": (DAEMON, 'keep = "P30D"', "daemon.keep: not a duration"),
    "a duration below zero": (DAEMON, 'stop_timeout = "-1s"', "daemon.stop_timeout: not a duration"),
    "a duration of 100,000 digits": (DAEMON, f'keep = "{"9" * 100_000}d"', "daemon.keep: longer than ten years"),
    "a duration of 100,000 parts": (DAEMON, f'keep = "{"1ms" * 100_000}x"', "daemon.keep: not a duration"),
    "no number": (SALES, "concurrency = nan", "sinks.sales.concurrency: must be a"),
    "no end": (SALES, "concurrency = inf", "sinks.sales.concurrency: must be a"),
    "half a worker": (SALES, "concurrency = 1.5", "sinks.sales.concurrency: must be a whole number"),
    "2 to the 64th workers": (SALES, "concurrency = 0xffff_ffff_ffff_ffff", "concurrency: must be at most 64"),
    "a key with a full-width letter": (SALES, '"ｔimeout" = "9s"', "sinks.sales.\"\\uff54imeout\": unknown key"),
    "a key with a zero-width space": (SALES, '"timeout\\u200b" = "9s"', 'unknown key; did you mean "timeout"?'),
    "a key with an escape for a terminal": (SALES, '"\\u001b[2J" = 1', 'sinks.sales."\\u001b[2J": unknown key'),
    "a key of 100,000 letters": (SALES, f"{'k' * 100_000} = 1", "unknown key"),
    "an empty key": (SALES, '"" = 1', 'sinks.sales."": unknown key'),
    "a database that no path can name": (DAEMON, 'database = "a\\u0000b"', "daemon.database: no path can hold a NUL"),
    "a zone that no path can name": (DAEMON, 'timezone = "\\u0000"', "daemon.timezone: not a known time zone"),
    "a zone of 10,000 letters": (DAEMON, f'timezone = "{"Z" * 10_000}"', "daemon.timezone: not a known time zone"),
    "a zone that is a folder": (DAEMON, 'timezone = "Europe"', "daemon.timezone: not a known time zone"),
    "a proxy for two hosts": (DAEMON, 'proxy = "http://[::1"', "daemon.proxy: not the URL of an HTTP proxy"),
    "a header that ends the line": (SALES, 'headers = { X = "a\\r\\nB: c" }', "must be a single line of ASCII"),
    "a header's name that ends the line": (SALES, 'headers = { "X\\r\\nB" = "c" }', "is not the name of a header"),
    "a header that is ours": (SALES, 'headers = { Webhook-Id = "x" }', '"Webhook-Id" is set by Eventferry itself'),
    "a signing key that is too short": (SALES, 'secret = "whsec_YQ=="', 'sinks.sales.secret: must be "whsec_" and'),
}  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
def test_a_value_that_fits_no_key_is_one_line_with_its_place(tmp_path: Path, name: str) -> None:
    after, line, words = ADDED[name]
    written(tmp_path, GOOD.replace(after, f"{after}{line}\n", 1))
    number = GOOD[: GOOD.index(after) + len(after)].count("\n") + 1
    said = refused(tmp_path, "config", "show", code=78)
    assert said.startswith(f"config.toml:{number}: ")
    assert words in said


MAILS = {
    "a host with a port": ('"mail.example"', '"mail.example:25"', "sinks.mail.host: must be the name or address of a"),
    "a host of two lines": ('"mail.example"', '"mail\\nexample"', "sinks.mail.host: must be the name"),
    "a sender with a second header": (
        '"a@shop.example"',
        '"a@shop.example\\nBcc: e@e"',
        "sinks.mail.from: every address",
    ),
    "a sender with a name": ('"a@shop.example"', '"Shop <a@shop.example>"', "sinks.mail.from: every address must be"),
    "a recipient that is a list": ('["b@shop.example"]', '["b@shop.example, c@shop.example"]', "every address must be"),
    "a recipient of 10,000 letters": (
        '["b@shop.example"]',
        f'["{"b" * 10_000}@shop.example"]',
        "every address must be",
    ),
    "a port past the last": (
        'type = "email"',
        'type = "email"\nport = 65536',
        "sinks.mail.port: must be at most 65535",
    ),
    "certificates in no path": (
        'type = "email"',
        'type = "email"\nca_file = "\\u0000"',
        "ca_file: no path can hold a NUL",
    ),
    "certificates in the config": (
        'type = "email"',
        'type = "email"\nca_file = "config.toml"',
        "cannot be read as a PEM",
    ),
    "certificates in a folder": (
        'type = "email"',
        'type = "email"\nca_file = "."',
        "ca_file: cannot be read as a PEM file",
    ),
}


@pytest.mark.parametrize("name", MAILS)
def test_a_value_that_fits_no_mail_is_one_line_with_its_place(tmp_path: Path, name: str) -> None:
    """S9: what is to stand in a mail's head is a plain address."""
    old, new, words = MAILS[name]
    written(tmp_path, f"{GOOD}[sinks.mail]\n{MAIL.replace(old, new)}")
    said = refused(tmp_path, "config", "show", code=78)
    assert said.startswith("config.toml:")
    assert words in said


def _file(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


SECRETS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "an empty file": ("file:secret", _file(b""), "no value found (empty or missing): the file /"),
    "blanks and line ends": ("file:secret", _file(b" \r\n\t\n"), "no value found (empty or missing): the file /"),
    "bytes that are no text": ("file:secret", _file(b"\x80\x81" + CANARY.encode()), "cannot read /"),
    "UTF-16": ("file:secret", _file(CANARY.encode("utf-16")), "not UTF-8 text"),
    "64 KiB and a byte": ("file:secret", _file(b"x" * (64 * 1024 + 1)), "not a small plain file: /"),
    "a folder": ("file:secret", Path.mkdir, "not a small plain file: /"),
    "a pipe that nobody writes into": ("file:secret", os.mkfifo, "not a small plain file: /"),
    "a device without an end": ("file:secret", lambda path: path.symlink_to("/dev/zero"), "not a small plain file: /"),
    "a link to itself": ("file:secret", lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "a link to nothing": ("file:secret", lambda path: path.symlink_to("nowhere"), "no value found"),
    "what cannot be read": ("file:secret", lambda path: path.symlink_to("/proc/self/mem"), "cannot read /"),
    "a path with a NUL": ("file:a\\u0000b", _file(b"x"), "no name and no path can hold a NUL"),
    "a path that is too long": (f"file:{'x' * 300}", _file(b"x"), "File name too long"),
    "no path at all": ("file:", _file(b"x"), "not a small plain file: /"),
    "no name at all": ("cred:", _file(b"x"), '"cred:" takes the plain name of a credential'),
    "a name with a NUL": ("cred:a\\u0000b", _file(b"x"), "no name and no path can hold a NUL"),
    "a way up": ("cred:..", _file(b"x"), '"cred:" takes the plain name of a credential'),
    "a variable without a name": ("env:", _file(b"x"), "no value found (empty or missing): the environment variable"),
    "a variable that is empty": ("env:EMPTY", _file(b"x"), "the environment variable EMPTY"),
    "a variable of blanks": ("env:BLANK", _file(b"x"), "the environment variable BLANK"),
    "a variable that is no text": ("env:BROKEN", _file(b"x"), "not UTF-8 text: the environment variable BROKEN"),
    "a variable of two lines": ("env:LINES", _file(b"x"), "not a token: it must be one word of plain characters"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_cannot_be_had_is_one_line_without_it(tmp_path: Path, name: str) -> None:
    """F53, at the start: where it was sought, and why it is not there."""
    reference, make, words = SECRETS[name]
    make(tmp_path / "secret")
    written(tmp_path, GOOD.replace(CANARY, reference, 1))
    broken = os.fsdecode(b"\xff" + CANARY.encode())
    env = {"EMPTY": "", "BLANK": " \t", "BROKEN": broken, "LINES": f"{CANARY}\n{CANARY}"}
    said = refused(tmp_path, "config", "show", code=78, env=env)
    assert said.startswith("config.toml:6: sources.bbb.token: ")
    assert words in said


VARIABLES = {
    "bytes that are no text, for a secret": (
        "SOURCES__BBB__TOKEN",
        "\udcff" + CANARY,
        "not UTF-8 text: the value itself",
    ),
    "bytes that are no text, for a path": ("SINKS__ARCHIVE__PATH", "\udcff.jsonl", None),
    "half a surrogate in JSON": ("SINKS__SALES__HEADERS", '{"X": "\\ud800"}', "not UTF-8 text: the value itself"),
    "lists in lists": ("SINKS__SALES__EVENTS", "[" * 100_000, "pattern 1 has more than 500 characters"),
    "a number of 5,000 digits": ("SINKS__SALES__CONCURRENCY", "9" * 5000, "must be a whole number"),
    "no number": ("SINKS__SALES__CONCURRENCY", "NaN", "must be a whole number"),
    "a table where text is due": ("DAEMON__TIMEZONE", '{"a": 1}', "not a known time zone"),
    "an escape for a terminal": ("DAEMON__LOG_LEVEL", "\x1b[2J", 'must be "debug", "info", "warning" or "error"'),
    "a table and its key at once": ("DAEMON__KEEP__X", "1d", "not a duration"),
    "a name in Cyrillic": ("SINKS__S\u0430LES__TYPE", "file", "the name of a sink starts with a letter"),
    "a name of no text": ("SINKS__\udcff__TYPE", "file", "the name of a sink starts with a letter"),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_fits_no_key_is_told_of_by_its_name(tmp_path: Path, name: str) -> None:
    variable, value, words = VARIABLES[name]
    written(tmp_path)
    done = told(tmp_path, "config", "show", env={f"EVENTFERRY_{variable}": value})
    assert done.returncode == (0 if words is None else 78), done.stderr
    if words is not None:
        assert words in done.stderr
        assert all(line.startswith("eventferry: EVENTFERRY_") for line in done.stderr.splitlines())


DATABASES = {
    "the folder itself": ("", 78, "is no plain file; [daemon] database must name one"),
    "a device": ("/dev/null", 78, "/dev/null: is no plain file; [daemon] database must name one"),
    "the config": ("config.toml", 74, "cannot be used (file is not a database); restore a copy, nothing was changed"),
    "below a file": ("config.toml/x.db", 1, "there is no database yet; it is made when the daemon first runs"),
    "a folder that is not there": (
        "no/folder/x.db",
        1,
        "there is no database yet; it is made when the daemon first runs",
    ),
    "a name that is too long": (f"{'x' * 300}.db", 1, "File name too long"),
}


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_cannot_be_one_is_refused_and_not_touched(tmp_path: Path, name: str) -> None:
    place, code, words = DATABASES[name]
    path = written(tmp_path, GOOD.replace("[daemon]\n", f'[daemon]\ndatabase = "{place}"\n'))
    before = path.read_bytes()
    assert words in refused(tmp_path, "pause", code=code)
    assert path.read_bytes() == before
