"""Bytes that no good server would send, and a loop on which a minute passes at once."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.receivers import Answer, Request, Writer

SMALL_PIECE = 16 * 1024
NO_SCRIPT: Mapping[str, Any] = MappingProxyType({})


def head(status: int | str = 200, **headers: str | int) -> bytes:
    """A status line and headers; `_` in a name stands for `-`."""
    lines = [f"HTTP/1.1 {status} Words" if isinstance(status, int) else status]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def raw(*pieces: bytes, then: str = "close") -> Answer:
    """These very bytes; afterwards `close`, `reset`, `wait` (for ever) or `go on` with the next request."""

    async def answer(_: Request, writer: Writer) -> None:
        for piece in pieces:
            for start in range(0, len(piece), SMALL_PIECE):
                writer.write(piece[start : start + SMALL_PIECE])
                await writer.drain()
        match then:
            case "reset":
                writer.transport.abort()
            case "wait":
                await asyncio.Event().wait()
            case "close":
                writer.close()

    return answer


def body(content: bytes, status: int = 200, **headers: str | int) -> Answer:
    """An answer of these bytes with a right length, on a connection that stays open."""
    return raw(head(status, Content_Length=len(content), **headers), content, then="go on")


def endless(start: bytes, piece: bytes) -> Answer:
    """A start, then pieces until the other side has enough."""

    async def answer(_: Request, writer: Writer) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return answer


def drip(start: bytes, piece: bytes = b" ") -> Answer:
    """A start, then a little now and then, for ever: each single read comes in time."""

    async def answer(_: Request, writer: Writer) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


def byte_by_byte(content: bytes) -> Answer:
    """An ordinary answer of which every read brings one byte."""

    async def answer(_: Request, writer: Writer) -> None:
        whole = head(200, Content_Length=len(content)) + content
        for position in range(len(whole)):
            writer.write(whole[position : position + 1])
            await writer.drain()
            await asyncio.sleep(0)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One after the other; the last one again and again."""
    waiting = list(answers)

    async def answer(request: Request, writer: Writer) -> None:
        now = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        await now(request, writer)

    return answer


def paged(content: Callable[[int, int], bytes]) -> Answer:
    """What a function of the page and its size makes."""

    async def answer(request: Request, writer: Writer) -> None:
        asked = parse_qs(urlsplit(request.target).query)
        await body(content(int(asked["page"][0]), int(asked["per_page"][0])))(request, writer)

    return answer


def event(number: Any, **more: Any) -> dict[str, Any]:
    """An entry of the list as BuiltByBit describes it."""
    usual = {"event_id": number, "listener_id": 1, "created_at": 1_770_000_000, "trigger_type": "purchase"}
    return usual | {"trigger_data": {"username": "Steve"}} | more


def listed(*entries: bytes, stats: bytes = b"") -> bytes:
    """The envelope around these entries."""
    tail = b'],"stats":' + stats if stats else b"]"
    return b'{"result":"success","data":{"events":[' + b",".join(entries) + tail + b"}}"


def page(*numbers: Any, total: int | None = None) -> bytes:
    """The envelope around ordinary events with these ids; with a total, it is all there is."""
    stats = b"" if total is None else b'{"total":%d,"per_page":100,"max_page":1}' % total
    return listed(*(json.dumps(event(number)).encode() for number in numbers), stats=stats)


def envelope(data: Any, result: Any = "success") -> bytes:
    return json.dumps({"result": result, "data": data}).encode()


def error(code: Any, message: Any = "") -> bytes:
    return json.dumps({"result": "error", "error": {"code": code, "message": message}}).encode()


def bomb(megabytes: int = 200) -> bytes:
    """A gzip in a gzip: some hundred bytes that would unfold to so much."""
    compressor = gzip.compress(b"\0" * 1_000_000, 9, mtime=0)
    return gzip.compress(compressor * megabytes, 9, mtime=0)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def numbered(low: int, high: int) -> Iterable[bytes]:
    """Ordinary events with these ids, encoded."""
    return (json.dumps(event(number)).encode() for number in range(low, high))


class HastyLoop(asyncio.SelectorEventLoop):
    """Real sockets on a clock that a test can put forward: what waits for a deadline meets it now."""

    hurried = 0.0

    def time(self) -> float:
        return super().time() + self.hurried


class MailServer:
    """Speaks SMTP as its script says, by the verb it was given, and well wherever the script says nothing."""

    def __init__(self, script: Mapping[str, Answer | bytes] = NO_SCRIPT) -> None:
        self.script = script
        self.heard: list[str] = []
        self.mails = 0
        self.arrived = asyncio.Event()
        """Set when the script has its say."""

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._say("greeting", writer)
            while not writer.is_closing() and (line := await reader.readline()):
                verb = line.split(b" ")[0].strip().decode("latin-1").upper()
                self.heard.append(line.decode("latin-1").strip())
                await self._say(verb, writer)
                if verb == "DATA" and self._is_accepted():
                    await reader.readuntil(b"\r\n.\r\n")
                    self.mails += 1
                    await self._say("END", writer)
                if verb == "QUIT":
                    return

    def _is_accepted(self) -> bool:
        said = self.script.get("DATA", b"354 go on\r\n")
        return isinstance(said, bytes) and said.startswith(b"354")

    async def _say(self, verb: str, writer: Writer) -> None:
        usual = {
            "greeting": b"220 mail.example ESMTP\r\n",
            "DATA": b"354 go on\r\n",
            "END": b"250 2.0.0 taken as 77\r\n",
        }
        words = self.script.get(verb, usual.get(verb, b"250 2.0.0 OK\r\n"))
        if verb in self.script:
            self.arrived.set()
        if isinstance(words, bytes):
            words = raw(words, then="go on")
        await words(Request(verb, "", {}, b""), writer)
