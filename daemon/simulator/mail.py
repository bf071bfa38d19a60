"""A mail server that takes everything, or answers as scripted, and keeps what it took."""

import asyncio
import email
import email.policy
import hmac
import logging
import random
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from daemon.simulator.exchange import Hook, Seen, break_off, tell
from daemon.simulator.faults import MailBehaviour
from daemon.simulator.limits import Dice

_OK = "250 OK"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it came at the end of DATA."""

    at: float
    """Monotonic seconds."""
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    user: str
    """Who had logged in; empty for nobody."""
    tls: bool
    reply: str
    """What was answered, whether or not it got through; empty when the mail was dropped untaken."""

    @property
    def accepted(self) -> bool:
        """Whether the server has it, even if its reply was lost."""
        return self.reply.startswith("2")

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def id(self) -> str:
        """Its Message-ID, which tells deliveries apart."""
        return str(self.message["Message-ID"] or "").strip()


class Mailbox:
    """What the mail server got, and how it behaves."""

    def __init__(self, hook: Hook | None = None) -> None:
        self.received: list[Mail] = []
        """Everything that reached the end of DATA, accepted or not, in order."""
        self.refused: list[tuple[str, str]] = []
        """Address and reply of each MAIL FROM and RCPT TO that was refused."""
        self.connections = 0
        """How often somebody connected."""
        self._hook = hook
        self.behaviour = MailBehaviour()

    @property
    def behaviour(self) -> MailBehaviour:
        """How the server answers; set it at any time, which also begins the sequences anew."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: MailBehaviour) -> None:
        self._behaviour = behaviour
        self._replies = {verb: deque(getattr(behaviour, verb)) for verb in ("mail", "rcpt", "data")}
        self._dice = Dice(random.Random(0), times=behaviour.times)

    def next_reply(self, verb: str) -> str:
        """The scripted reply to a command, or "250 OK"."""
        return (self._replies[verb].popleft() if self._replies[verb] else "") or _OK

    async def take(self, session: Session, envelope: Envelope) -> tuple[Mail, bool]:
        """Write a whole message down, as it will be answered; and whether its connection is in for trouble."""
        content = envelope.original_content or b""
        seen = Seen("mail", "", "DATA", "", content)
        await tell(self._hook, "received", seen)
        await asyncio.sleep(self.behaviour.latency)
        trouble = self._dice.hit() and (self.behaviour.drop != "never" or self.behaviour.hang)
        reply = "" if trouble and self.behaviour.drop == "before" else self.next_reply("data")
        login: Any = session.auth_data
        mail = Mail(
            at=time.monotonic(), sender=str(envelope.mail_from), recipients=tuple(envelope.rcpt_tos), content=content,
            user=login.login.decode("utf-8", "replace") if login else "", tls=session.ssl is not None, reply=reply,
        )  # fmt: skip
        self.received.append(mail)
        await tell(self._hook, "processed", seen)
        return mail, trouble


class _Handler:
    """What aiosmtpd asks: the hooks carry the names it looks for."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._taking: set[asyncio.Task[tuple[Mail, bool]]] = set()

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._mailbox.behaviour.user and not session.authenticated:
            return "530 5.7.0 Authentication required"
        reply = self._mailbox.next_reply("mail")
        if reply.startswith("2"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self._said(server, address, reply)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self._mailbox.behaviour.recipients.get(address) or self._mailbox.next_reply("rcpt")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return self._said(server, address, reply)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        # aiosmtpd cancels this call when the client dies; what arrived whole must be written down all the same.
        taking = asyncio.create_task(self._mailbox.take(session, envelope))
        self._taking.add(taking)
        taking.add_done_callback(self._taking.discard)
        mail, trouble = await asyncio.shield(taking)
        if trouble:
            if not self._mailbox.behaviour.hang and server.transport is not None:
                break_off(server.transport)
            await _until_gone()
        return self._said(server, "", mail.reply)

    def _said(self, server: SMTP, address: str, reply: str) -> str:
        if address and not reply.startswith("2"):
            self._mailbox.refused.append((address, reply))
        if reply.startswith("421") and server.transport is not None:
            asyncio.get_running_loop().call_soon(server.transport.close)
        return reply

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        behaviour = self._mailbox.behaviour
        right = hmac.compare_digest(
            data.login + b"\0" + data.password, f"{behaviour.user}\0{behaviour.password}".encode()
        )
        # handled=False makes aiosmtpd reply 535; otherwise it would leave the client waiting.
        return AuthResult(success=right or not behaviour.user, handled=False, auth_data=data)


async def _until_gone() -> NoReturn:
    """Wait for aiosmtpd to cancel us, which it does when the connection ends."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


@asynccontextmanager
async def listen(bound: socket.socket, mailbox: Mailbox, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Serve SMTP on a socket (with STARTTLS, if given a certificate); at the end every connection is cut."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # it notes each command at INFO and bad ones at WARNING
    loop = asyncio.get_running_loop()
    connections: weakref.WeakSet[Any] = weakref.WeakSet()
    handler = _Handler(mailbox)

    def connection() -> SMTP:
        made = SMTP(
            handler, hostname="localhost", ident="Eventferry simulator", enable_SMTPUTF8=True, tls_context=tls,
            auth_require_tls=tls is not None, authenticator=handler.authenticate, loop=loop,
        )  # fmt: skip
        connections.add(made)
        mailbox.connections += 1
        return made

    server = await loop.create_server(connection, sock=bound)
    try:
        yield
    finally:
        server.close()
        for one in list(connections):
            if one.transport is not None:
                one.transport.abort()
        await server.wait_closed()
