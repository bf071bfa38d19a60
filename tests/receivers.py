"""Receivers on loopback that answer as a test tells them, and remember what they got."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")

USERNAME, PASSWORD = "sales@shop.example", "correct horse battery"


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


Writer = asyncio.StreamWriter
Answer = Callable[[Request, Writer], Awaitable[None]]


def reply(status: int = 200, body: bytes = b"ok", **headers: str) -> Answer:
    """Answer with these; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status} Words", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    carries_body = status not in (204, 304) and status >= 200
    if carries_body:
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body if carries_body else b"")

    async def answer(_: Request, writer: Writer) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


async def drip(_: Request, writer: Writer) -> None:
    """Never end, but never pause for long either."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hang_up(_: Request, writer: Writer) -> None:
    writer.transport.abort()


async def keep_silent(_: Request, writer: Writer) -> None:
    await asyncio.Event().wait()


@dataclass
class HttpReceiver:
    """Answers each request with `answer`, which may be changed at any time."""

    answer: Answer = field(default_factory=reply)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").rstrip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, target, _ = first.split(" ")
                self.requests.append(Request(method, target, headers, body))
                self.arrived.set()
                await self.answer(self.requests[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def http_receiver(answer: Answer | None = None) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver(answer or reply())
    async with served(receiver.serve) as receiver.port:
        yield receiver


@asynccontextmanager
async def served(
    serve: Callable[[asyncio.StreamReader, Writer], Awaitable[None]], certificate: Path | None = None
) -> AsyncIterator[int]:
    """Listen on a free port; what is under way is cancelled at the end."""
    running: set[asyncio.Task[None]] = set()

    async def track(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task
        running.add(task)
        try:
            with suppress(asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            running.discard(task)
            writer.close()

    tls = server_context(certificate) if certificate else None
    server = await asyncio.start_server(track, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def make_certificate(folder: Path, name: str = "localhost") -> Path:
    """A key and a certificate for this name, signed by itself, in one PEM file."""
    assert OPENSSL
    pem, key = folder / "server.pem", folder / "key.pem"
    options = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    extensions = ["-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    command = [OPENSSL, *options, *extensions, "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    pem.write_text(key.read_text() + pem.read_text())
    return pem


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@dataclass
class Mailbox:
    """What a mail server took, and what it says to whom."""

    port: int = 0
    mails: list[tuple[list[str], bytes]] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    """By recipient, or by "MAIL" and "DATA"; all else is accepted."""
    logins: list[str] = field(default_factory=list)
    silent_at_data: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    sessions: list[SMTP] = field(default_factory=list)

    async def until_left(self) -> None:
        """Wait until nobody is connected any more."""
        while any(session.transport is not None for session in self.sessions):  # noqa: ASYNC110  aiosmtpd tells nobody
            await asyncio.sleep(0.01)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        self.arrived.set()
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.silent_at_data:
            await asyncio.Event().wait()
        if "DATA" not in self.replies:
            self.mails.append((list(envelope.rcpt_tos), envelope.original_content))
        return self.replies.get("DATA", "250 2.0.0 taken as 77")

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        fits = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USERNAME.encode(),
            PASSWORD.encode(),
        )
        self.logins.append(mechanism)
        return AuthResult(success=fits, handled=False)


@asynccontextmanager
async def mailbox(certificate: Path | None = None, *, tls: bool = False, **options: Any) -> AsyncIterator[Mailbox]:
    """A mail server: with STARTTLS and a login if it has a certificate, with TLS at once if told so."""
    box = Mailbox()
    context = None
    if certificate:
        context = server_context(certificate)
        login = {"authenticator": box.authenticate, "auth_require_tls": not tls}
        demands = {} if tls else {"tls_context": context, "require_starttls": True, "auth_required": True}
        options = login | demands | options
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        box.sessions.append(SMTP(box, hostname="mail.shop.example", loop=loop, **options))
        return box.sessions[-1]

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if tls else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        tasks = [one._handler_coroutine for one in box.sessions if one._handler_coroutine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in box.sessions:
            if one.transport:
                one.transport.close()
