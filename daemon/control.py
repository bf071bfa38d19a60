"""The socket through which commands reach a running daemon: one JSON line asks, one answers."""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from daemon import log

LONGEST_LINE = 1024 * 1024
"""Bytes of a question."""
PATIENCE_SECONDS = 30.0
MOST_CLIENTS = 16
_LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes."""

Command = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Takes arguments, answers something JSON can hold. Raises CommandRefused for what people can mend."""

_log = log.get(__name__)


class CommandRefused(Exception):
    """The command cannot be carried out; one line fit for people."""

    exit_code = 1


class NotRunning(Exception):
    """No daemon listens there."""


class ControlServer:
    """Listens on a socket that only this account (and root) can use; the kernel says who calls."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self.path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket file left behind by a killed process is replaced: the store's lock is ours."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        before = os.umask(0o177)
        try:
            with _short(self.path) as name:
                listener.bind(name)
        finally:
            os.umask(before)
        # Not start_unix_server: from Python 3.13 on it looks for the name we bound to, which means nothing any more.
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=LONGEST_LINE)

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            with suppress(FileNotFoundError):
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MOST_CLIENTS or not _may_command(writer):
            writer.close()
            return
        self._clients.add(task)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                line = await reader.readline()
            answer = await self.answer(line)
            writer.write(json.dumps(answer).encode() + b"\n")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def answer(self, line: bytes) -> Mapping[str, Any]:
        """Carry out what a line asks for; whatever it holds, there is an answer."""
        try:
            asked = json.loads(line)
            command = self._commands[asked["command"]]
            arguments = dict(asked.get("arguments", {}))
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"refused": "not a command this version understands"}
        try:
            return {"answer": await command(arguments)}
        except CommandRefused as refused:
            return {"refused": str(refused)}
        except Exception as error:  # noqa: BLE001 - a faulty command must not end the daemon
            _log.error("command.crashed", command=asked["command"], exc_info=error)
            return {"refused": "the command failed; the daemon's log says why"}


def _may_command(writer: asyncio.StreamWriter) -> bool:
    """Only root and the daemon's own account, as the kernel reports the peer."""
    peer = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())


def ask(path: Path, command: str, arguments: Mapping[str, Any]) -> Any:
    """Ask a running daemon. Raises NotRunning, or CommandRefused with its sentence."""
    question = json.dumps({"command": command, "arguments": dict(arguments)}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE_SECONDS * 2)
        try:
            with _short(path) as name:
                client.connect(name)
        except PermissionError:
            raise CommandRefused(f"{path}: only the daemon's account and root may command it; use sudo") from None
        except OSError:
            raise NotRunning from None
        try:
            client.sendall(question)
            with client.makefile("rb") as lines:
                answer = json.loads(lines.readline(_LONGEST_ANSWER) or b"{}")
        except (OSError, ValueError, RecursionError):
            raise CommandRefused("the daemon did not answer; its log may say why") from None
    if not isinstance(answer, dict):
        raise CommandRefused(f"{path}: what answers there is no daemon of ours")
    if "answer" not in answer:
        raise CommandRefused(str(answer.get("refused", "the daemon hung up")))
    return answer["answer"]


def socket_path(database: Path) -> Path:
    """Where the daemon of this database listens: beside it."""
    return database.with_name(database.name + ".sock")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket that fits into the 107 bytes the kernel allows, however deep its folder."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
