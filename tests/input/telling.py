"""Carries out commands with input that an operator got wrong, and holds what they say against what holds for all."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.daemon.cli.conftest import Ferry, Finished, environment
from tests.memory import peak, peak_from_now

CANARY = "canary_9b8c7d6e5f4a3b2c"
"""Stands where secrets stand."""
MEMORY = 256 * 1024 * 1024
"""Bytes: what a case may need beyond what this process had before."""
SECONDS = 20.0
"""Of this process, many times what any case takes: what hangs is found all the same."""
GOOD = f"""\
[daemon]
alerts = ["sales", "archive"]

[sources.bbb]
type = "builtbybit"
token = "{CANARY}"

[sinks.sales]
type = "webhook"
url = "https://shop.example/{CANARY}"

[sinks.archive]
type = "file"
path = "events.jsonl"
"""


def written(folder: Path, text: str | bytes = GOOD) -> Path:
    """A config that only its owner can read."""
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


def told(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Finished:
    """What a command says and ends with: lines fit for people, in bounded time and memory, without a secret."""
    before, began = peak_from_now(), time.process_time()
    done = Ferry(folder)(*arguments, env=env)
    assert peak() - before < MEMORY
    assert time.process_time() - began < SECONDS
    for line in [*done.stdout.splitlines(), *done.stderr.splitlines()]:
        assert len(line) < 3000
        assert line.isprintable(), line
        assert "Traceback" not in line
        assert CANARY[:12] not in line
    return done


def refused(folder: Path, *arguments: str, code: int, env: Mapping[str, str] | None = None) -> str:
    """The one line of a command that cannot do what was asked."""
    done = told(folder, *arguments, env=env)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    (line,) = done.stderr.split("\n")[:-1]
    prefix, _, words = line.partition("eventferry: ")
    assert prefix == ""
    return words


def in_shell(folder: Path, script: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own, called by a shell in which `ferry` stands for it."""
    head = f'ferry() {{ "{sys.executable}" -m daemon.cli "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", head + script], cwd=folder, env=environment(env), capture_output=True, timeout=120
    )
    for output in (done.stdout, done.stderr):
        assert b"Traceback" not in output, output
        assert b"Exception ignored" not in output, output
        assert CANARY.encode() not in output
    return done
