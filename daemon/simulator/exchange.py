"""One HTTP request and the ways to answer it, honest and otherwise."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from daemon.simulator.answers import Answer, spoil
from daemon.simulator.faults import Drop, Form

Stage = Literal["received", "processed", "answered"]
"""A call is complete here; it has taken effect, the answer is not yet on its way; the answer went out."""

_DRIP_SECONDS = 0.2
_ENDLESS_SECONDS = 0.01
_RESET_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a hook is told about a call."""

    side: Literal["api", "webhook", "discord", "mail"]
    name: str
    """The receiver; empty for the API and mail."""
    method: str
    path: str
    body: bytes


def break_off(transport: asyncio.BaseTransport) -> None:
    """Break a connection with RST, so that it does not look like an orderly end."""
    if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        transport.abort()


Hook = Callable[[Stage, Seen], Awaitable[None] | None]
"""Called at each stage of each call; what it awaits delays the call. A test can kill its client here."""


async def tell(hook: Hook | None, stage: Stage, seen: Seen) -> None:
    """Call a hook, plain or async."""
    if hook is not None and (waiting := hook(stage, seen)) is not None:
        await waiting


@dataclass(frozen=True, slots=True)
class Trouble:
    """How one particular answer is to be disturbed."""

    drop: Drop = "never"
    hang: bool = False
    form: Form = "right"


class Exchange:
    """One request, and the way back to whoever sent it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request = Request(scope, receive)
        self.path: str = scope["path"]
        self.query = str(scope["query_string"], "latin-1")
        self.at = time.monotonic()
        """When the request's headers were complete."""
        self._receive = receive
        self._send = send
        self._transport: asyncio.Transport = scope["state"]["transport"]
        self._stopping: asyncio.Event = scope["state"]["stopping"]

    async def body(self) -> bytes:
        """The whole body. Raises ConnectionResetError when the sender goes away before its end."""
        try:
            return await self.request.body()
        except ClientDisconnect:
            raise ConnectionResetError from None

    async def pause(self, seconds: float) -> None:
        """Wait, whether or not the sender is still there, but not past the end of the simulator."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def finish(self, answer: Answer, trouble: Trouble, hook: Hook | None, seen: Seen) -> None:
        """Send what the call came to, as the trouble has it, and tell the hook."""
        if trouble.drop == "before":
            await self._reset()
            return
        await tell(hook, "processed", seen)
        if trouble.drop == "after":
            await self._reset()
        elif trouble.hang:
            await self._until_gone()
        else:
            if answer.status == 204:  # it has no body that could be spoilt
                answer, trouble = replace(answer, body=b""), replace(trouble, form="right")
            await self._transmit(spoil(answer, trouble.form), trouble)
            await tell(hook, "answered", seen)

    async def _transmit(self, answer: Answer, trouble: Trouble) -> None:
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        if trouble.form == "endless":
            del headers["Content-Length"]
        if answer.status == 204:
            headers = dict(answer.headers)
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw})
        if trouble.drop == "midway":
            await self._part(answer.body[: len(answer.body) // 2])
            await self._reset()
        elif trouble.form == "endless":
            await self._part(answer.body)
            while not self._transport.is_closing():
                await self._part(b" " * 65536)
                await self.pause(_ENDLESS_SECONDS)
        else:
            rest = answer.body
            while trouble.form == "drip" and rest and not self._transport.is_closing():
                await self._part(rest[:1])
                rest = rest[1:]
                await self.pause(_DRIP_SECONDS)
            await self._send({"type": "http.response.body", "body": rest, "more_body": False})

    async def _part(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _reset(self) -> None:
        break_off(self._transport)
        await self._until_gone()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
