"""What a mail server's answers mean for a delivery."""

import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta

from aiosmtplib import SMTPAuthenticationError, SMTPConnectError, SMTPDataError, SMTPResponseException

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from sinks._http import safe_line

_ABOUT_THIS_MAIL = re.compile(r"#?5\.[16]\.\d{1,3}\b")
"""Addresses (5.1.x) and content (5.6.x): https://www.rfc-editor.org/rfc/rfc3463"""
_LOGIN = {530, 534, 535, 538}
"""https://www.rfc-editor.org/rfc/rfc4954#section-6"""
_QUOTA_WAIT = timedelta(hours=1)
"""Other 5xx are a quota or a policy as a rule (Gmail's daily limit is 550 5.4.5), which pass."""


class Unfit(Exception):
    """The server lacks what the config demands; the text is ours."""


def judge_reply(code: int, words: str) -> Outcome:
    """What a negative reply means for the recipients it concerns."""
    if not 400 <= code < 600:
        return TryLater("the mail server answered with something that is no SMTP")
    said = safe_line(f"{code} {words}", 160)
    if code < 500:
        return TryLater(f"the mail server says: {said}")
    if code in _LOGIN:
        return Closed(f"the mail server does not let us in: {said}")
    if _ABOUT_THIS_MAIL.match(words):
        return Rejected(f"the mail server refuses: {said}")
    return TryLater(f"the mail server takes no more for now: {said}", _QUOTA_WAIT, throttled=True)


def judge_trouble(trouble: Exception, timeout: timedelta) -> Outcome:
    """What it means that the mail could not be handed over; never in the words of the exception."""
    causes = (trouble, trouble.__cause__, trouble.__context__)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = f"{cause.verify_message} (is this machine's clock right?)"
            return TryLater(f"the mail server's certificate is not accepted: {why}")
        if isinstance(cause, ssl.SSLError):
            return TryLater("no TLS with the mail server; check port and security")
    match trouble:
        case Unfit():
            return Closed(str(trouble))
        case SMTPAuthenticationError() if 500 <= trouble.code < 600:
            said = safe_line(f"{trouble.code} {trouble.message}", 160)
            return Closed(f"the mail server refuses the login: {said}")
        case SMTPDataError():
            return judge_reply(trouble.code, trouble.message)
        case SMTPResponseException():
            verdict = judge_reply(trouble.code, trouble.message)
            # Before the first recipient was named, nothing can be wrong with this mail in particular.
            return TryLater(verdict.reason, _QUOTA_WAIT, True) if isinstance(verdict, Rejected) else verdict
        case TimeoutError():
            return TryLater(f"no answer from the mail server within {timeout.total_seconds():g} s")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return TryLater("the mail server's name could not be resolved")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return TryLater("the mail server refused the connection")
    if isinstance(trouble, SMTPConnectError):
        return TryLater("no connection to the mail server")
    if isinstance(trouble, OSError):
        return TryLater("the connection to the mail server broke")
    return TryLater("the mail server and Eventferry do not understand each other")


def settle(verdicts: Mapping[str, Outcome], *, done: Sequence[str], refused: Sequence[str]) -> Outcome:
    """One outcome for all recipients: of this attempt, and those who were served or refused by now."""
    closed = [verdict for verdict in verdicts.values() if isinstance(verdict, Closed)]
    if closed:
        return closed[0]
    later = [verdict for verdict in verdicts.values() if isinstance(verdict, TryLater)]
    if later:
        waits = [verdict.wait for verdict in later if verdict.wait]
        throttled = all(verdict.throttled for verdict in later)
        return TryLater(later[0].reason, max(waits, default=None), throttled)
    if not done:
        reasons = [verdict.reason for verdict in verdicts.values() if isinstance(verdict, Rejected)]
        return Rejected(reasons[0] if reasons else "every recipient was refused before")
    details = [verdict.detail for verdict in verdicts.values() if isinstance(verdict, Delivered)]
    failed = [f"refused for {', '.join(refused)}"] if refused else []
    return Delivered(safe_line("; ".join([*details[:1], *failed]), 300))
