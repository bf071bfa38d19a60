"""Runs a program in a process group of its own, and ends all of the group when the program ends or its time is up."""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OUTPUT_LIMIT = 64 * 1024
"""Bytes; of a longer output the end is kept, since that is where programs say what went wrong."""
_GRACE, _SHORT_GRACE = 1.0, 0.3
"""Seconds between SIGTERM and SIGKILL: when its time is up, and when we are being stopped ourselves."""
_LIMITS = {
    resource.RLIMIT_CORE: 0,  # a memory image would hold the secrets in the environment
    resource.RLIMIT_FSIZE: 1024**3,
    resource.RLIMIT_NOFILE: 1024,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went."""

    code: int | None
    """The exit code; below zero the number of the signal that ended it; None if its time was up."""
    output: bytes
    """Standard output and standard error as one, the last OUTPUT_LIMIT bytes."""


async def run_group(
    argv: Sequence[str], given: bytes, env: Mapping[str, str], directory: Path, seconds: float
) -> Ended:
    """Run a program with `given` as its standard input. Raises OSError if it cannot be started.

    Being cancelled ends the group too, before it is passed on.
    """
    output = _Output()
    try:
        process = _start(argv, given, env, directory, output.writing)
        grace = _SHORT_GRACE
        try:
            output.begin()
            in_time = await _over(process, seconds)
            grace = _GRACE
        finally:
            await _end(process, grace)
        output.read_rest()
        return Ended(process.returncode if in_time else None, output.kept)
    finally:
        output.close()


def _start(
    argv: Sequence[str], given: bytes, env: Mapping[str, str], directory: Path, writing: int
) -> subprocess.Popen[bytes]:
    with os.fdopen(os.memfd_create("event"), "w+b") as stdin:
        stdin.write(given)
        stdin.seek(0)  # from a file, since a program that never reads must not keep us writing
        process = subprocess.Popen(  # noqa: S603 - the config's owner says what to run
            argv,
            stdin=stdin,
            stdout=writing,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=directory,
            umask=0o077,
            start_new_session=True,
        )
    for limit, value in _LIMITS.items():
        with suppress(OSError, ValueError):  # it is over already, or has less
            resource.prlimit(process.pid, limit, (value, value))
    return process


async def _over(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for its end, but no longer; it is not reaped yet, so that its number names no other group."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    handle = os.pidfd_open(process.pid)
    loop.add_reader(handle, over.set)
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return over.is_set()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return True


async def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End whatever is left of its group, and reap it."""
    try:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:  # noqa: ASYNC222 - WNOHANG
            _signal(process, signal.SIGTERM)
            await _over(process, grace)
    finally:
        _signal(process, signal.SIGKILL)
        try:
            await _over(process, _SHORT_GRACE)  # it lasts longer only where the system itself holds it
        finally:
            process.poll()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Output:
    """A pipe that is always read, and little of it kept."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self.kept = b""

    def begin(self) -> None:
        os.close(self.writing)
        self.writing = -1
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._reading, OUTPUT_LIMIT)
            self.kept = (self.kept + chunk)[-OUTPUT_LIMIT:]
            if not chunk:
                asyncio.get_running_loop().remove_reader(self._reading)

    def read_rest(self) -> None:
        """What a pipe can still hold; who left the group might write for ever."""
        self._read()
        self._read()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        if self.writing >= 0:
            os.close(self.writing)
