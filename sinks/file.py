"""Appends each event as one line of JSON to a file, and calls it delivered when the disk has it."""

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from daemon.contract import Delivered, Delivery, Outcome, Report, Sink, TryLater, Unreachable
from daemon.http import Http
from daemon.secrets import ConfigPath
from sinks._envelope import encode, envelope
from sinks._thread import Hanging, OneByOne, start

_MODE = 0o640
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
"""Reading too: to see how the last line ends, and because opening a pipe only for writing would hang."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_WAIT = timedelta(minutes=1)


class FileSink(Sink):
    """A file in the JSON Lines format (https://jsonlines.org), safe to rotate by renaming."""

    concurrency = 1
    batch_limit = 100

    class Settings(BaseModel):
        """The keys of a `type = "file"` sink."""

        model_config = ConfigDict(extra="forbid")

        path: ConfigPath

    def __init__(self, settings: Settings, http: Http) -> None:
        self._path = settings.path
        self._file: int | None = None
        self._disk = OneByOne()

    async def deliver(self, delivery: Delivery) -> Report:
        """Append one line."""
        return (await self.deliver_batch([delivery]))[0]

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        """Append a line each with one write, and wait until the disk has them."""
        lines = [_line(delivery) for delivery in deliveries]
        data = b"".join(lines)
        try:
            outcome = await self._disk.call(data, partial(self._append, data))
        except Hanging:
            outcome = TryLater("the disk has not answered an earlier call yet")
        return [Report(outcome, line) for line in lines]

    def render(self, delivery: Delivery) -> str:
        """The line."""
        return _line(delivery).decode().rstrip("\n")

    async def check(self) -> str:
        """See whether the file can be written, without creating or changing it."""
        await asyncio.wrap_future(start(self._require_writable))
        return f"{self._path} can be written"

    async def close(self) -> None:
        """Let go of the file."""
        with suppress(Hanging):
            await self._disk.call("close", self._let_go)

    def _append(self, data: bytes) -> Outcome:
        try:
            _append_whole(self._current(), data)
        except OSError as error:
            self._let_go()
            wait = _FULL_WAIT if error.errno in _FULL else None
            return TryLater(f"cannot write the file: {error.strerror or 'error'}", wait)
        return Delivered("on disk")

    def _current(self) -> int:
        """The file that has the name now: after a rotation that is a new one."""
        if self._file is not None and not _still_named(self._file, self._path):
            self._let_go()
        if self._file is None:
            self._file = _open(self._path)
        return self._file

    def _let_go(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _require_writable(self) -> None:
        try:
            os.close(_require_regular(os.open(self._path, _FLAGS)))
        except FileNotFoundError:
            if not os.access(self._path.resolve().parent, os.W_OK | os.X_OK):
                raise Unreachable(f"the folder {self._path.parent} is missing or cannot be written") from None
        except OSError as error:
            raise Unreachable(f"cannot write {self._path}: {error.strerror or 'error'}") from None


def _line(delivery: Delivery) -> bytes:
    document: dict[str, Any] = {"delivery_id": delivery.id} | envelope(delivery.event)
    return encode(document) + b"\n"


def _open(path: Path) -> int:
    try:
        return _require_regular(os.open(path, _FLAGS))
    except FileNotFoundError:
        file = os.open(path, _FLAGS | os.O_CREAT, _MODE)
    os.fchmod(file, _MODE)  # whatever the umask: who collects logs is often only in the group
    folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # else power loss could take the file's name
    finally:
        os.close(folder)
    return file


def _require_regular(file: int) -> int:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a plain file")
    return file


def _still_named(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _append_whole(file: int, data: bytes) -> None:
    """Write all of it and flush it to disk, or leave the file as it was and raise OSError."""
    with _alone(file):
        _write_whole(file, data)
    os.fsync(file)


@contextmanager
def _alone(file: int) -> Iterator[None]:
    """Keep other sinks and processes that write to it as we do from looking at a line that is not whole yet."""
    with suppress(OSError):  # some network file systems have no locks
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _write_whole(file: int, data: bytes) -> None:
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        data = b"\n" + data  # a crash tore the last line: end it, so that it spoils no other
    written = 0
    try:
        while written < len(data):
            written += os.write(file, data[written:])
    except OSError:
        if os.fstat(file).st_size == size + written:  # nobody else has appended meanwhile
            os.ftruncate(file, size)
        raise
