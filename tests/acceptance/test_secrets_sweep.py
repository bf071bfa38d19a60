"""No secret turns up anywhere but in the request it belongs to (I17, S15, S16, M10); one event is one line (S17)."""

import asyncio
import base64
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.program import carry_out
from daemon.simulator.faults import Faults
from tests.acceptance.canaries import PART, Canaries, forms
from tests.acceptance.hall import peers
from tests.acceptance.malformed import TEXTS, VALUES, quoted
from tests.receivers import needs_openssl

HOSTILE = [
    "a\nb", "a\r\nb", "\r", "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x07", "\x00", "\x7f", "\x85", "\x9b31m",
    "\u2028x", "\u2029", "\u202etxt", "\u2066x\u2069", "\u200b", "\u200e\u200f", "\u061c", "\ufeff", "\ud800",
    '{"event": "forged"}', '"}\n{"event": "forged', '", "event": "forged', "\\n", "\\u000a", "\\x0a", "%0a", "&#10;",
    "x" * 100_000, "%s %d %(x)s {0}", "{event}", "\udfffx", "\b\b\b", "\t", "\n\n\n", "é\u0301" * 300,
    "\x0b\x0c\x1c\x1d\x1e", "\U000e0001tag", "$(reboot)`id`", "\x1b[1;1H\x1b[K", "2026-01-01 [info] forged",
]  # fmt: skip
PATIENCE = 90.0
SLOW = ("silent", "dripping", "no_tls")
"""Sources that still wait for an answer when all others have failed."""


async def commands(folder: Path, environ: dict[str, str], event: str) -> bytes:
    """All that the commands say, one after the other in one process, which saves a second of imports for each."""
    config = ["-c", str(folder / "config.toml")]
    typed = [[*config, *(event if word == "EVENT" else word for word in line.split())] for line in COMMANDS]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CARRY_OUT, json.dumps(typed)),
        cwd=folder, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said


def around(pid: int) -> dict[str, bytes]:
    """What other users of the machine, or heirs of the process, can read of it."""
    seen = {"cmdline": Path(f"/proc/{pid}/cmdline").read_bytes()}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        seen[f"child {child}"] = b"".join(Path(f"/proc/{child}/{name}").read_bytes() for name in ("cmdline", "environ"))
    return seen


COMMANDS = [
    "check --connect --json", "status", "status --json", "sinks", "sinks --json", "events", "events --json",
    "events --unidentified", "show EVENT", "show EVENT --json", "config show", "config schema", "replay EVENT --yes",
    "once", "check", "sinks stop fine", "sinks resume fine", "pause", "resume",
]  # fmt: skip
CARRY_OUT = """\
import json, sys
from daemon.cli.program import carry_out
for typed in json.loads(sys.argv[1]):
    print("did", *typed, carry_out(typed), flush=True)
"""


@needs_openssl
def test_no_secret_turns_up_anywhere(world, tmp_path, monkeypatch):
    """S15, I17: every place, given in every way, at DEBUG, with every kind of trouble and peers that repeat all."""
    canaries = Canaries()

    async def story():
        token = canaries.word("token of the real source")
        async with world(token=token) as w, peers(tmp_path, canaries, w.sim) as setting:
            for name, value in setting.environ.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
            event_id = w.sim.upstream.add_sample("purchase")
            process = await w.start()
            expected = setting.text.count("\n[sinks.") + setting.text.count("\n[sources.") - len(SLOW)
            await w.until(lambda: tried(w) >= expected, PATIENCE)
            seen = around(process.pid)
            seen["commands"] = await commands(tmp_path, dict(os.environ), f"real:{event_id}")
            assert await w.stop(signal.SIGABRT) == -signal.SIGABRT
            seen |= {path.name: path.read_bytes() for path in tmp_path.glob("eventferry.db*") if path.is_file()}
            seen["log"] = (tmp_path / "log").read_bytes()
            return seen

    seen = asyncio.run(story())
    assert b"Fatal Python error: Aborted" in seen["log"]
    assert b"sink.raised" in seen["log"]
    assert seen["commands"].count(b"\ndid ") >= len(COMMANDS) - 1
    found = canaries.found_in(seen)
    assert not found, "\n".join(found)


def tried(w: Any) -> int:
    """How many sinks have an attempt on record, and sources the outcome of a sweep."""
    if "daemon.started" not in w.log():
        return 0
    sinks = "SELECT DISTINCT sink FROM deliveries d JOIN attempts a ON a.delivery_id = d.id"
    return len(w.rows(f"{sinks} UNION ALL SELECT name FROM sources WHERE health LIKE '%reason%'"))


@pytest.mark.parametrize("way", ["written out", "a variable", "a file"])
@pytest.mark.parametrize("number", range(len(VALUES)))
def test_what_is_wrong_with_a_secret_is_said_without_it(tmp_path, monkeypatch, capsys, number, way):
    """S15: the value itself, a piece of it, or what was made of it."""
    canaries = Canaries()
    before, key, spoil = VALUES[number]
    value = spoil(canaries.word("the secret"))
    if way == "a file":
        (tmp_path / "given").write_text(value, "utf-8")
    monkeypatch.setenv("GIVEN", value)
    given = {"written out": quoted(value), "a variable": '"env:GIVEN"', "a file": '"file:given"'}[way]
    refused(tmp_path, capsys, canaries, f"{before}{key} = {given}\n")


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_what_is_wrong_with_a_config_is_said_without_what_stands_there(tmp_path, capsys, number):
    """S15: a secret where none belongs; a URL of a database with its password."""
    canaries = Canaries()
    refused(tmp_path, capsys, canaries, TEXTS[number](canaries.word("the secret")))


def refused(folder: Path, capsys: pytest.CaptureFixture[str], canaries: Canaries, text: str) -> None:
    config = folder / "config.toml"
    config.write_text(text, "utf-8")
    config.chmod(0o600)
    for typed in ("check", "run"):
        assert carry_out(["-c", str(config), *typed.split()]) == 78
        said = capsys.readouterr()
        assert said.out + said.err
        assert "Traceback" not in said.out + said.err
        assert canaries.found_in({typed: (said.out + said.err).encode()}) == []


def test_the_search_finds_a_canary_in_every_form_and_any_part_of_one():
    canaries = Canaries()
    values = [canaries.word("a word"), canaries.phrase("a phrase"), canaries.encoded("base64")]
    assert canaries.found_in({"nothing": bytes(range(256)) * 100 + b"an innocent text, 0123456789abcdef" * 100}) == []
    for value in values:
        for form in forms(value) | {form for at in (0, 5, len(value) - PART) for form in forms(value[at : at + PART])}:
            for padding in (b"", b"z", b"zz"):
                assert canaries.found_in({"here": b"before" + padding + form + b"after"}), form
        for ahead in range(3):
            whole = base64.b64encode(bytes(ahead) + value.encode() + b"tail")
            assert canaries.found_in({"here": whole})
        for ahead in range(PART):
            assert canaries.found_in({"here": bytes(ahead) + value[:PART].encode()})


def test_hostile_text_makes_no_further_line(world):
    """S17: from the upstream, as ids, kinds and contents, and from a receiver: each line is one JSON object of ours."""

    async def story():
        async with world() as w:
            w.configure(daemon='log_level = "debug"')
            for number, text in enumerate(HOSTILE):
                event = {"event_id": number + 1, "listener_id": text, "created_at": 1, "trigger_type": text}
                w.sim.upstream.add_raw({**event, "trigger_data": {text: text}})
                w.sim.upstream.add_raw({**event, "event_id": text})
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) >= len(HOSTILE))
            w.sim.upstream.faults = Faults(error_status=500, error_code="\n".join(HOSTILE[:20]))
            await w.until(lambda: "source.failing" in w.log())
            assert await w.stop() == 0
            return (w.folder / "log").read_bytes()

    assert len(HOSTILE) == 40
    log = asyncio.run(story())
    lines = log.decode().split("\n")
    assert lines.pop() == ""
    for line in lines:
        parsed = json.loads(line)
        assert line.isprintable()
        assert parsed["event"] != "forged"
        assert isinstance(parsed["logger"], str)
