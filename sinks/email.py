"""Mails each event, and keeps count of who already has it."""

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused
from pydantic import Field, field_validator, model_validator

from daemon.clock import wall_now
from daemon.contract import Delivered, Delivery, Outcome, Rejected, Report, Sink, Unreachable
from daemon.expression import Template
from daemon.http import Http, tls_context
from daemon.people import PeopleSettings
from daemon.redaction import remember
from daemon.secrets import ConfigPath, Secret
from sinks._http import SHORTEST_TOKEN, Timeout, safe, safe_line
from sinks._layout import compose, headline
from sinks._mail import build, subject_line
from sinks._smtp_answer import Unfit, judge_reply, judge_trouble, settle

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS = re.compile(
    r"(?=.{3,254}$)(?!.*=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|::1")
_GOODBYE = 1.0
"""Seconds that the server has to answer QUIT; the mail is safe by then."""


class EmailSink(Sink):
    """A mail server that takes mail from us, by STARTTLS or TLS unless told otherwise."""

    class Settings(PeopleSettings):
        """The keys of a `type = "email"` sink."""

        host: str
        port: int | None = Field(default=None, ge=1, le=65535)
        security: Literal["starttls", "tls", "none"] = "starttls"
        username: str | None = None
        password: Secret | None = None
        sender: str = Field(alias="from")
        to: list[str] = Field(min_length=1, max_length=50)
        subject: Template | None = None
        ca_file: ConfigPath | None = None
        timeout: Timeout = timedelta(seconds=30)

        @field_validator("host")
        @classmethod
        def _host_is_a_name(cls, host: str) -> str:
            if not _HOST.fullmatch(bare := host.strip().strip("[]")):
                raise ValueError('must be the name or address of a server alone, such as "smtp.example.com"')
            return bare

        @field_validator("sender")
        @classmethod
        def _sender_is_an_address(cls, sender: str) -> str:
            return _require_address(sender)

        @field_validator("to")
        @classmethod
        def _recipients_are_addresses(cls, to: list[str]) -> list[str]:
            return list(dict.fromkeys(_require_address(address) for address in to))

        @field_validator("username")
        @classmethod
        def _username_is_one_line(cls, username: str | None) -> str | None:
            if username is not None and not username.isprintable():
                raise ValueError("must hold no line ends or control characters")
            if username is not None and "@" not in username and len(username) >= SHORTEST_TOKEN:
                remember(username)
            return username

        @field_validator("ca_file")
        @classmethod
        def _ca_file_holds_certificates(cls, ca_file: ConfigPath | None) -> ConfigPath | None:
            try:
                tls_context(ca_file)
            except OSError:
                raise ValueError("cannot be read as a PEM file of certificates") from None
            return ca_file

        @model_validator(mode="after")
        def _login_is_whole_and_safe(self) -> "EmailSink.Settings":
            if (self.username is None) != (self.password is None):
                raise ValueError('"username" and "password" go together: give both, or neither')
            if self.password and self.security == "none" and not _LOOPBACK.fullmatch(self.host):
                raise ValueError('security = "none" would send the password readable for all; use "starttls" or "tls"')
            return self

    def __init__(self, settings: Settings, http: Http) -> None:
        self._settings = settings
        self._password = settings.password.reveal() if settings.password else ""
        if settings.username:
            remember(base64.b64encode(f"\0{settings.username}\0{self._password}".encode()).decode())

    async def deliver(self, delivery: Delivery) -> Report:
        """Send one mail to all who do not have it yet; each gets a verdict of their own."""
        done, refused = _listed(delivery.progress, "done"), _listed(delivery.progress, "refused")
        waiting = [address for address in self._settings.to if address not in {*done, *refused}]
        mail, answer = self._mail(delivery), ""
        smtp = self._client()
        try:
            verdicts, answer = await self._send(smtp, mail, waiting) if waiting else ({}, "")
            await _part(smtp)
        except (SMTPException, OSError, ValueError, Unfit) as trouble:
            verdicts = dict.fromkeys(waiting, judge_trouble(trouble, self._settings.timeout))
        finally:
            smtp.close()
        done += [address for address, verdict in verdicts.items() if isinstance(verdict, Delivered)]
        refused += [address for address, verdict in verdicts.items() if isinstance(verdict, Rejected)]
        outcome = settle(verdicts, done=done, refused=refused)
        return Report(outcome, mail, answer, {"done": done, "refused": refused})

    def render(self, delivery: Delivery) -> str:
        """The mail as it goes over the wire."""
        return self._mail(delivery).decode("ascii", "replace").replace("\r\n", "\n")

    async def check(self) -> str:
        """Connect, log in and hang up again."""
        smtp = self._client()
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await self._connect(smtp)
            await _part(smtp)
        except (SMTPException, OSError, ValueError, Unfit) as trouble:
            raise Unreachable(_reason(judge_trouble(trouble, self._settings.timeout))) from None
        finally:
            smtp.close()
        return "the mail server takes the login" if self._settings.username else "the mail server takes connections"

    def _mail(self, delivery: Delivery) -> bytes:
        message, settings = compose(delivery.event, self._settings), self._settings
        subject = subject_line(headline(settings.subject, delivery.event, message.title))
        return build(message, subject, delivery_id=delivery.id, sender=settings.sender, to=settings.to, now=wall_now())

    def _client(self) -> SMTP:
        settings = self._settings
        return SMTP(
            hostname=settings.host,
            port=settings.port or _PORTS[settings.security],
            use_tls=settings.security == "tls",
            start_tls=False,  # done by hand below: never only when the server happens to offer it
            tls_context=tls_context(settings.ca_file),
            local_hostname=settings.sender.rpartition("@")[2],
            timeout=None,  # ours is for the whole; and theirs, by asyncio.wait_for, loses cancellations before 3.12
        )

    async def _connect(self, smtp: SMTP) -> None:
        """Raises Unfit where the server lacks what the config demands."""
        settings = self._settings
        await smtp.connect()
        await smtp.ehlo()
        if settings.security == "starttls":
            if not smtp.supports_extension("starttls"):
                raise Unfit('the mail server offers no STARTTLS; for port 465 write security = "tls"')
            await smtp.starttls()
            await smtp.ehlo()
        if settings.username:
            if not smtp.supported_auth_methods:
                raise Unfit("the mail server offers no login that we know; check port and security, or use no username")
            await smtp.login(settings.username, self._password)

    async def _send(self, smtp: SMTP, mail: bytes, to: Sequence[str]) -> tuple[dict[str, Outcome], str]:
        """A verdict for each recipient, and the server's words."""
        async with asyncio.timeout(self._settings.timeout.total_seconds()):
            await self._connect(smtp)
            try:
                refusals, reply = await smtp.sendmail(self._settings.sender, to, mail)
            except SMTPRecipientsRefused as error:
                return {one.recipient: judge_reply(one.code, one.message) for one in error.recipients}, ""
        answer = safe(reply, 1024)
        sent = Delivered(safe_line(reply, 100))
        return {one: judge_reply(*refusals[one]) if one in refusals else sent for one in to}, answer


async def _part(smtp: SMTP) -> None:
    """Say goodbye; whatever comes of it, the mail has been taken."""
    with suppress(SMTPException, OSError):
        async with asyncio.timeout(_GOODBYE):
            await smtp.quit()


def _listed(progress: Mapping[str, Any], name: str) -> list[str]:
    addresses = progress.get(name)
    return [one for one in addresses if isinstance(one, str)] if isinstance(addresses, list) else []


def _reason(outcome: Outcome) -> str:
    return outcome.detail if isinstance(outcome, Delivered) else outcome.reason


def _require_address(text: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2, without quoted names, literals and names to display."""
    address = text.strip()
    if not _ADDRESS.fullmatch(address):
        raise ValueError('every address must be a plain one, such as "sales@example.com", without a name around it')
    return address
