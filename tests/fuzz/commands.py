"""Fuzzes what is typed, and what reaches the control socket."""

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from daemon.app.operator import selection
from daemon.cli.errors import report
from daemon.cli.program import app
from daemon.control import ControlServer
from tests.fuzz.target import Target, driven, require_line, text_of


async def _replay(arguments: Mapping[str, Any]) -> Any:
    chosen = selection(arguments)
    for text in (*chosen.keys, *(chosen.sinks or ()), *chosen.states):
        text.encode()  # else no database could be asked
    assert chosen.since is None or chosen.since.tzinfo is not None
    return {"deliveries": len(chosen.keys)}


_SERVER = ControlServer(Path("/nonexistent"), {"replay": _replay})


def request(data: bytes) -> None:
    """Whatever line comes, one line answers."""
    answer = driven(_SERVER.answer(data.partition(b"\n")[0] + b"\n"))
    assert set(answer) in ({"answer"}, {"refused"})
    assert "failed" not in str(answer.get("refused")), "the command crashed"
    assert b"\n" not in json.dumps(answer).encode()


_COMMAND = typer.main.get_command(app)


def arguments(data: bytes) -> None:
    """Each command line is understood, or refused in one line with exit code 2."""
    given = [text_of(one) for one in data.split(b"\n")][:200]
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        code = _parsed(given)
    lines = told.getvalue().splitlines()
    assert (code, len(lines)) in ((0, 0), (2, 1))
    for line in lines:
        require_line(line, 4 * len(data) + 1000)


def _parsed(given: list[str]) -> int:
    try:
        _parse(given)
    except typer.Exit as done:
        return done.exit_code
    except typer.TyperException as error:
        return report(error)
    return 0


def _parse(given: list[str]) -> None:
    """As `carry_out` does, up to where a command would begin to work."""
    command: Any = _COMMAND
    context = None
    name: str | None = "eventferry"
    while True:
        context = command.make_context(name, given, parent=context)
        rest = [*context._protected_args, *context.args]
        if not hasattr(command, "resolve_command") or not rest:
            return
        name, command, given = command.resolve_command(context, rest)


_LINES = (
    "check\n--connect\n--json", "events\n--dead\n--sink\nmail\n--limit\n5", "events\n--since\n2h\n--kind\npurchase",
    "show\nbuiltbybit:4711\n--json", "replay\n4711\n--sink\nmail\n--yes", "replay\n--state\nrejected,gave_up",
    "sinks\nstop\nmail", "sinks\n-c\nx.toml", "pause", "resume\n--json", "once", "run\n--dry-run", "config\nshow",
    "config\nschema", "-c\nx.toml\nstatus", "demo\n--keep", "simulate", "init\n--token-file=-\n--private",
)  # fmt: skip
_SELECTIONS: tuple[dict[str, Any], ...] = (
    {"keys": ["builtbybit:1", "2"], "sinks": ["mail"], "states": ["rejected"]},
    {"since": "2026-01-31T18:00:00+00:00", "add_to": ["x"], "count_only": True},
    {"keys": []},
    {},
)
TARGETS = [
    Target(
        "requests",
        10,
        [json.dumps({"command": "replay", "arguments": one}).encode() for one in _SELECTIONS],
        request,
        is_json=True,
    ),
    Target(
        "requests-bytes",
        6,
        [b'{"command": "replay", "arguments": {"keys": ["1"], "since": "2026-01-31"}}', b'{"command": "ping"}', b""],
        request,
        tokens=(
            b'"command"',
            b'"replay"',
            b'"arguments":',
            b"[",
            b"{",
            b"null",
            b"\xff\xfe",
            b"\\ud800",
            b'"since":',
            b"NaN",
        ),
    ),
    Target(
        "arguments",
        1,
        [line.encode() for line in _LINES],
        arguments,
        tokens=(
            *(
                b"--",
                b"-",
                b"-c",
                b"\n--json",
                b"\n--config\n",
                b"=",
                b"\n",
                b"--limit=-1",
                b"--limit=1e9",
                b"-x",
                b"--help",
            ),
            *(
                b"--since",
                b"--state",
                b"sinks\n",
                b"\xff",
                b"\x1b[2J",
                b"--no-json",
                b"@x",
                b"*",
                b"--public",
                b"--private",
            ),
        ),
    ),
]
