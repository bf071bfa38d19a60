"""A connection to a mail server, over which one mail goes after the other."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException

from daemon.contract import Delivered, Outcome
from daemon.http import tls_context
from sinks._email_settings import EmailSettings
from sinks._http import ANSWER_KEPT, safe, safe_line
from sinks._smtp_answer import Unfit, judge_reply, judge_trouble

TROUBLE = (SMTPException, OSError, ValueError, Unfit)
"""What a mail server can bring about, besides silence."""
_GOODBYE = 1.0
"""Seconds that the server has to answer QUIT; the mails are safe by then."""
_CLOSING = 421
"""https://www.rfc-editor.org/rfc/rfc5321#section-3.8"""


class Connection:
    """Opened for the first mail and used for those behind it; given up after any doubt about where the server is."""

    def __init__(self, settings: EmailSettings, password: str) -> None:
        self._settings = settings
        self._password = password
        self.is_open = False
        """Encrypted and logged in as the config demands, and in step with the server."""
        self.unreachable = False
        """The last attempt to open it failed, so that no mail is to blame."""
        self._smtp = SMTP(
            hostname=settings.host,
            port=settings.port_used,
            use_tls=settings.security == "tls",
            start_tls=False,  # done by hand below: never only when the server happens to offer it
            tls_context=tls_context(settings.ca_file),
            local_hostname=settings.sender.rpartition("@")[2],
            timeout=None,  # theirs is for each command, and by asyncio.wait_for, which loses cancellations before 3.12
        )

    async def send(self, mail: bytes, to: Sequence[str]) -> tuple[dict[str, Outcome], str]:
        """A verdict for each recipient, and the server's words. Time is limited by the caller."""
        try:
            await self._make_ready()
            refusals, reply = await self._smtp.sendmail(self._settings.sender, to, mail)
        except SMTPRecipientsRefused as error:
            refused = {one.recipient: judge_reply(one.code, one.message) for one in error.recipients}
            return refused, ""
        except TROUBLE as trouble:
            if not _leaves_no_doubt(trouble):
                self.close()
            return dict.fromkeys(to, judge_trouble(trouble, self._settings.timeout)), ""
        sent = Delivered(safe_line(reply, 100))
        # aiosmtplib takes 252 for a refusal; the first digit says that the mail went there too.
        refused = {one: judge_reply(*refusal) for one, refusal in refusals.items() if refusal[0] // 100 != 2}
        return {one: refused.get(one, sent) for one in to}, safe(reply, ANSWER_KEPT)

    async def _make_ready(self) -> None:
        """Servers limit how long, or for how many mails, a connection is good; then a new one is."""
        if self.is_open:
            try:
                await self._smtp.rset()
            except TROUBLE:
                self.close()
        if not self.is_open:
            await self.open()

    async def open(self) -> None:
        """Connect and log in. Raises Unfit where the server lacks what the config demands, or one of TROUBLE."""
        self.unreachable = True
        try:
            await self._connect()
        except BaseException:
            self.close()
            raise
        self.is_open, self.unreachable = True, False

    async def _connect(self) -> None:
        settings, smtp = self._settings, self._smtp
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

    async def part(self) -> None:
        """Say goodbye; whatever comes of it, the mails have been taken."""
        if self.is_open:
            with suppress(SMTPException, OSError):
                async with asyncio.timeout(_GOODBYE):
                    await self._smtp.quit()
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self.is_open = False
        self._smtp.close()


def _leaves_no_doubt(trouble: Exception) -> bool:
    """Whether server and we still agree on what comes next: it has refused this mail in so many words, no more."""
    return isinstance(trouble, SMTPResponseException) and 400 <= trouble.code < 600 and trouble.code != _CLOSING
