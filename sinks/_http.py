"""What an HTTP answer means for a delivery, and what else is alike for all who call somebody over a network."""

from datetime import datetime, timedelta
from http.client import responses
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.expression import clean, cut, one_line
from daemon.http import Answer, CallFailed, retry_after, tls_context
from daemon.quantities import Duration
from daemon.redaction import redact
from daemon.secrets import ConfigPath

ANSWER_LIMIT = 16 * 1024
"""No more of an answer is read, in bytes."""
ANSWER_KEPT = 1024
"""Characters; the ledger keeps no more."""

Timeout = Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=2))]
"""The whole time one attempt may take."""

_REJECTED = {400, 409, 413, 415, 422}
"""What says that this very event is at fault. All else may be the receiver's own trouble, and loses nothing."""
_LATER = {408, 425, 429}
"""Beside 5xx."""


def _holds_certificates(path: Path) -> Path:
    try:
        tls_context(path)
    except OSError:
        raise ValueError("cannot be read as a PEM file of certificates") from None
    return path


CaFile = Annotated[ConfigPath, AfterValidator(_holds_certificates)]
"""A PEM file of the authorities to trust instead of the system's."""


def judge(answer: Answer, now: datetime) -> Outcome:
    """What an answer means for the delivery, by its status alone.

    After https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    status = answer.status
    said = describe(status)
    if 200 <= status < 300:
        return Delivered(f"HTTP {status}")
    if status == 410:
        return Closed(f"{said}: the receiver says that it is gone for good")
    if status in _REJECTED:
        return Rejected(said)
    wait = retry_after(answer.headers, now)
    if 300 <= status < 400:
        # Often a login or maintenance page for a while; and a new address is for people to see and to trust.
        return TryLater(f"{said}: redirects are not followed; put the final URL into the config", wait, refused=True)
    # A deploy of a minute answers 404 or 403, a lapsed plan 402, a proxy of ours 407.
    refused = 400 <= status < 500 and status not in _LATER
    return TryLater(said, wait, throttled=status == 429, refused=refused)


def judge_failure(failure: CallFailed) -> TryLater:
    """What it means that no usable answer came."""
    return TryLater(failure.reason)


def describe(status: int) -> str:
    """The status with its usual name, never the words of the receiver."""
    return f"HTTP {status} {responses.get(status, '')}".rstrip()


def answer_text(answer: Answer) -> str:
    """The beginning of an answer as clean text without secrets: receivers echo what they were sent."""
    if answer.encoding:
        return "(encoded although plain text was asked for; not read)"
    return safe(answer.body.decode("utf-8", "replace"), ANSWER_KEPT)


def safe(text: str, limit: int) -> str:
    """Somebody else's words, fit for a report: clean, short and without secrets."""
    return cut(redact(clean(text)), limit)


def safe_line(text: str, limit: int) -> str:
    """The same on one line, fit for a reason."""
    return safe(one_line(text), limit)
