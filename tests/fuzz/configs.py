"""Fuzzes the config: TOML text and environment to settings, and the lines of its keys."""

import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.log import printable
from daemon.secrets import Secret
from daemon.settings import ConfigError, Loaded, load, masked
from daemon.settings.lines import locate
from daemon.sources.registry import SOURCE_KINDS
from sinks.registry import SinkKinds
from tests.fuzz.target import CANARY, Target

_KINDS = SinkKinds()
_FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
_BIG = 3000
"""Characters that one mistake may take."""


def settings(data: bytes) -> None:
    """Either settings, or a line for each mistake; no secret in either."""
    path = _FOLDER / f"eventferry-fuzz-{os.getpid()}.toml"
    path.write_bytes(data)
    path.chmod(0o600)
    try:
        loaded = load(path, _KINDS, SOURCE_KINDS, _variables(data))
        _require_masked(loaded)
    except ConfigError as error:
        _require_told(error, data)
    finally:
        path.unlink()


def _variables(data: bytes) -> dict[str, str]:
    """A comment in the text stands for a variable of the environment."""
    found = re.findall(rb"^#(EVENTFERRY_[^=\0\n]*)=([^\0\n]*)$", data, re.MULTILINE)
    return {name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape") for name, value in found}


def _require_told(error: ConfigError, data: bytes) -> None:
    assert error.problems
    lines = str(error).split("\n")
    assert len(lines) == len(error.problems), "a mistake takes more than one line"
    number = data.count(b"\n") + 1
    for line, problem in zip(lines, error.problems, strict=True):
        assert len(line) <= _BIG, f"{len(line)} characters"
        assert printable(line) == line, line
        assert problem.line is None or 1 <= problem.line <= number
        assert CANARY not in line or _is_key(CANARY, data), f"a secret shows: {line}"


def _is_key(word: str, data: bytes) -> bool:
    """Whether it became part of a name, which is shown."""
    text = data.decode("utf-8", "replace")
    return bool(re.search(rf"{word}[^=\n]*=|\[[^\n]*{word}|#EVENTFERRY", text))


def _require_masked(loaded: Loaded) -> None:
    """What is shown holds no secret, and read again is the same."""
    shown = masked(loaded)
    secrets = list(_secrets([dict(table) for table in _tables(loaded)]))
    for secret in secrets:
        assert len(secret.reveal()) < 6 or secret.reveal() not in shown, "a secret shows"
    if any(secret.reference is None for secret in secrets):
        return  # it may be part of a key's name too, and is hidden there
    tomllib.loads(shown)
    again = _FOLDER / f"eventferry-fuzz-{os.getpid()}-again.toml"
    again.write_text(shown)
    again.chmod(0o600)
    try:
        assert masked(load(again, _KINDS, SOURCE_KINDS, {})) == shown, "read again it is another config"
    finally:
        again.unlink()


def _tables(loaded: Loaded) -> list[Any]:
    settings = loaded.settings
    return [settings.daemon, *settings.sources.values(), *settings.sinks.values()]


def _secrets(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _secrets(inner)


def lines(data: bytes) -> None:
    """Every key that is found stands on the line that is named."""
    text = data.decode("utf-8", "replace")
    try:
        found = locate(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return
    written = text.split("\n")
    for path, line in found.items():
        assert 1 <= line <= len(written)
        name = path[-1]
        if isinstance(name, str) and re.fullmatch("[A-Za-z0-9_-]+", name) and "\\" not in written[line - 1]:
            assert name in written[line - 1], f"{path} is not on line {line}"


_DAEMON = '[daemon]\nkeep = "180d"\nalerts = ["sales", "archive"]\ntimezone = "UTC"\nlog_level = "info"\n'
_SOURCE = '[sources.bbb]\ntype = "builtbybit"\ntoken = "env:FUZZ_SECRET"\npoll = "30s"\ncomplete_within = "5m"\n'
_SINKS = (
    '[sinks.sales]\ntype = "discord"\nurl = "env:FUZZ_DISCORD"\nevents = ["purchase", "!test*"]\nthread_id = 77\n'
    'title = "{{ username }} bought"\nretries = ["5s", "1h"]\nconcurrency = 2\n',
    '[sinks.hook]\ntype = "webhook"\nurl = "env:FUZZ_URL"\nheaders = { X-Key = "env:FUZZ_SECRET" }\ntimeout = "9s"\n',
    '[sinks.mail]\ntype = "email"\nhost = "mail.example"\nfrom = "a@example.com"\nto = ["b@example.com"]\n'
    'username = "ann"\npassword = "env:FUZZ_SECRET"\nport = 587\nsubject = "{{ trigger }}"\n',
    '[sinks.archive]\ntype = "file"\npath = "events.jsonl"\ngive_up_after = "30d"\n',
)
_WITH_LITERALS = (
    f'[sources.bbb]\ntype = "builtbybit"\ntoken = "{CANARY}"\n[sinks.hook]\ntype = "webhook"\n'
    f'url = "https://ann:{CANARY}@shop.example/{CANARY}"\n'
    'secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="\n'
    f'headers.X-Key = "{CANARY}"\n[daemon]\nproxy = "http://u:{CANARY}@proxy.example:3128"\n'
)
_CONFIGS = [
    (_DAEMON + _SOURCE + "".join(_SINKS)).encode(),
    (_DAEMON + _SOURCE + _SINKS[0] + _SINKS[3]).encode(),
    (_SOURCE + _SINKS[1]).encode(),
    _WITH_LITERALS.encode(),
    (
        f"#EVENTFERRY_SINKS__X__TYPE=file\n#EVENTFERRY_SINKS__X__PATH=x\n#EVENTFERRY_DAEMON__ALERTS=x,y\n{_SOURCE}"
    ).encode(),
    (
        f'#EVENTFERRY_SINKS__HOOK__HEADERS={{"a": "{CANARY}"}}\n#EVENTFERRY_DAEMON__KEEP=1d\n{_SOURCE}{_SINKS[1]}'
    ).encode(),
]
_TOML = [
    b'a = 1\n[b]\nc.d = "x"\n"q k" = \'y\'\n[[e]]\nf = [1, {g = 2}, [3]]\n[[e]]\n[e.h]\ni = """\nj = 1\n"""\n',
    b"# c\na.b.c = 1979-05-27T07:32:00Z # d\n"
    b"a.'x'.y = [ # e\n  'f', # g\n]\n[k.\"l.m\"]\nn = {o.p = {q = []}, r = -1e5}\n",
    b'x = \'\'\'a\n[y]\n\'\'\'\ny = """\\\n  z "" """"\r\nz = 0x_f\n[t]\r\n[t.u]\r\nv=inf\n',
    *_CONFIGS,
]
_MARKS = (
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"{",
    b"}",
    b"=",
    b".",
    b",",
    b'"""',
    b"'''",
    b'"',
    b"'",
    b"\\",
    b"#",
    b"\r\n",
    b"\n",
)
TARGETS = [
    Target(
        "settings",
        3,
        _CONFIGS,
        settings,
        tokens=(
            *_MARKS,
            *(
                b"type = ",
                b"[sinks.a]\n",
                b"[sinks.a__b]\n",
                b"1979-05-27",
                b"07:32:00",
                b"true",
                b"nan",
                b"0x7f",
                b'"\\u0000"',
            ),
            *(
                b"env:",
                b"file:",
                b"cred:",
                b'"env:NO"',
                b"events = ",
                b"retries = [",
                b"daemon.",
                b"sinks.",
                b"sources.",
            ),
            *(b"#EVENTFERRY_", b"__", b"#EVENTFERRY_SINKS__HOOK__EVENTS=[", b"#EVENTFERRY_SINKS__HOOK__URL=x\n"),
        ),
    ),
    Target(
        "lines", 10, _TOML, lines, tokens=(*_MARKS, b"a.b", b"[a]\n", b"[[e]]\n", b"x = 1\n", b'"\\u0041"', b"{a = 1}")
    ),
]
