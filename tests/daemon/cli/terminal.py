"""A person at a terminal: what the command shows there, and answers to what it asks."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.cli.conftest import COMMAND, PATIENCE, environment


class Terminal:
    """A command that runs at a terminal."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.shown = ""
        self._master = master
        self._process = process

    def expect(self, words: str) -> None:
        """Read until the words have been shown."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.shown:
            assert self._read(deadline - time.monotonic()), f"never shown: {words!r}, but:\n{self.shown}"

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, type a line; what was shown before is forgotten."""
        self.expect(question)
        self.shown = ""
        os.write(self._master, text.encode() + b"\n")

    def end(self) -> int:
        """Read the rest; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(PATIENCE)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(seconds, 0))[0]:
            return False
        try:
            read = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += read.decode().replace("\r\n", "\n")
        return bool(read)


@contextmanager
def at_terminal(folder: Path, *arguments: str, **env: str) -> Iterator[Terminal]:
    """Run a command with a terminal for everything."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment(env), start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
