"""Mails each event, and keeps count of who already has it."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from daemon import log
from daemon.clock import wall_now
from daemon.contract import (
    Closed,
    Delivered,
    Delivery,
    Event,
    Outcome,
    Rejected,
    Report,
    Sink,
    Summary,
    TryLater,
    Unreachable,
)
from daemon.http import Http
from daemon.redaction import remember
from sinks._email_settings import EmailSettings
from sinks._layout import compose, filled
from sinks._mail import (
    Content,
    build,
    message_content,
    overview_content,
    plain_html,
    python_injects_headers,
    subject_line,
)
from sinks._smtp import TROUBLE, Connection
from sinks._smtp_answer import judge_trouble, settle
from sinks._summary import summarize

_SHARE = 0.5
"""No mail is begun after this share of the time, so that a server that is merely slow is not cut off half-way."""
_NOT_YET = TryLater("not sent yet: the mail server broke off, or took too long", timedelta(seconds=1), throttled=True)
_STOPPED = TryLater("stopped while under way; the mail server may have it", timedelta(seconds=1), throttled=True)

_log = log.get(__name__)


@cache
def _warn_of_old_python() -> None:
    """Once in a process, however many sinks there are."""
    if python_injects_headers():
        _log.warning("email.python_is_old", flaw="CVE-2024-6923", hint="kept off here; update Python all the same")


class EmailSink(Sink):
    """A mail server that takes mail from us, by STARTTLS or TLS unless told otherwise."""

    Settings = EmailSettings
    concurrency = 1
    batch_limit = 20

    def __init__(self, settings: EmailSettings, http: Http) -> None:
        self._settings = settings
        self._password = settings.password.reveal() if settings.password else ""
        if settings.username:
            remember(base64.b64encode(f"\0{settings.username}\0{self._password}".encode()).decode())
        _warn_of_old_python()

    async def deliver(self, delivery: Delivery) -> Report:
        """Send one mail to all who do not have it yet; each gets a verdict of their own."""
        return (await self._hand_over([delivery]))[0]

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        """Send the mails one after the other over one connection, for as long as one may take."""
        return await self._hand_over(deliveries)

    async def deliver_summary(self, summary: Summary) -> Report:
        """Send one mail about all of them."""
        return (await self._hand_over([summary]))[0]

    async def _hand_over(self, all_of: Sequence[Delivery | Summary]) -> list[Report]:
        """A report for each; what was accepted is reported so, whatever becomes of those behind it."""
        reports: list[Report] = []
        behind: Outcome = _NOT_YET
        connection = Connection(self._settings, self._password)
        try:
            behind = await self._send_in_time(all_of, connection, reports)
            await connection.part()
        except TimeoutError as late:
            reports.append(Report(judge_trouble(late, self._settings.timeout)))
        except asyncio.CancelledError:
            # A stop. To pass it on would have those sent again that were accepted.
            if not reports:
                raise
            reports.append(Report(_STOPPED))
        finally:
            connection.close()
        return [*reports, *(Report(behind) for _ in all_of[len(reports) :])][: len(all_of)]

    async def _send_in_time(
        self, all_of: Sequence[Delivery | Summary], connection: Connection, reports: list[Report]
    ) -> Outcome:
        """Add a report for each that was sent; what holds for the rest. Raises TimeoutError for the next of them."""
        clock, seconds = asyncio.get_running_loop().time, self._settings.timeout.total_seconds()
        last_start = clock() + seconds * _SHARE
        async with asyncio.timeout(seconds):
            for one in all_of:
                reports.append(await self._send(one, connection))
                behind = _behind(reports[-1].outcome, connection)
                if behind is not None:
                    return behind
                if clock() > last_start:
                    break
        return _NOT_YET

    async def _send(self, one: Delivery | Summary, connection: Connection) -> Report:
        done, refused = _listed(one.progress, "done"), _listed(one.progress, "refused")
        waiting = [address for address in self._settings.to if address not in {*done, *refused}]
        mail = self._mail(one)
        verdicts, answer = await connection.send(mail, waiting) if waiting else ({}, "")
        done += [address for address, verdict in verdicts.items() if isinstance(verdict, Delivered)]
        refused += [address for address, verdict in verdicts.items() if isinstance(verdict, Rejected)]
        outcome = settle(verdicts, done=done, refused=refused)
        # None where nobody has an answer yet: what differs in its progress is not told in the same mail.
        return Report(outcome, mail, answer, {"done": done, "refused": refused} if done or refused else None)

    def render(self, delivery: Delivery) -> str:
        """The mail as it goes over the wire."""
        return self._mail(delivery).decode("ascii", "replace").replace("\r\n", "\n")

    async def check(self) -> str:
        """Connect, log in and hang up again."""
        connection = Connection(self._settings, self._password)
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await connection.open()
            await connection.part()
        except TROUBLE as trouble:
            raise Unreachable(_reason(judge_trouble(trouble, self._settings.timeout))) from None
        finally:
            connection.close()
        return "the mail server takes the login" if self._settings.username else "the mail server takes connections"

    def _mail(self, one: Delivery | Summary) -> bytes:
        settings = self._settings
        if isinstance(one, Summary):
            overview = summarize(one, settings)
            content, subject = overview_content(overview, settings), overview.title
        else:
            content, subject = self._content(one.event)
        line = subject_line(subject)
        return build(content, line, mail_id=one.id, sender=settings.sender, to=settings.to, now=wall_now())

    def _content(self, event: Event) -> tuple[Content, str]:
        """The two parts and the subject, by the owner's templates where there are any."""
        settings, message = self._settings, compose(event, self._settings)
        subject = filled(settings.subject, event, settings, message.title) or message.title
        built_in = message_content(message, settings)
        text = filled(settings.body, event, settings, "") if settings.body else ""
        html = filled(settings.html, event, settings, plain_html(text) if text else built_in.html)
        return Content(text or built_in.text, html or built_in.html), subject


def _behind(outcome: Outcome, connection: Connection) -> Outcome | None:
    """What an outcome means for the mails behind, which are then not sent now; None: nothing."""
    match outcome:
        case Closed() | TryLater(wait=timedelta()):
            return outcome
        case TryLater() if connection.unreachable:
            return outcome
        case TryLater() if not connection.is_open:
            return _NOT_YET
    return None


def _listed(progress: Mapping[str, Any], name: str) -> list[str]:
    addresses = progress.get(name)
    return [one for one in addresses if isinstance(one, str)] if isinstance(addresses, list) else []


def _reason(outcome: Outcome) -> str:
    return outcome.detail if isinstance(outcome, Delivered) else outcome.reason
