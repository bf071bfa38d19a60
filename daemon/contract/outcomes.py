"""What a sink answers about a delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    detail: str = ""
    """How we know: the HTTP status, a message id, the SMTP reply."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """It did not work now and may work later."""

    reason: str
    wait: timedelta | None = None
    """The receiver's own wish (Retry-After). Obeyed when longer than our own wait."""
    throttled: bool = False
    """The receiver is up and merely wants fewer calls: counts as no failure."""
    refused: bool = False
    """The receiver turns us away, perhaps only for now: after several different events so, the sink stops."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The same event would get the same answer: settle it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The receiver itself is gone or shut: stop the sink, keep what waits, tell the operator."""

    reason: str
    probe: bool = True
    """Whether it may be tried again now and then by itself (a deleted Discord webhook must not)."""


Outcome = Delivered | TryLater | Rejected | Closed


@dataclass(frozen=True, slots=True)
class Report:
    """What a sink answers about one delivery. Failing is an everyday answer, never an exception."""

    outcome: Outcome
    body: bytes = b""
    """What was sent, without headers; kept (16 KiB) as proof, with secrets replaced."""
    answer: str = ""
    """The beginning of the receiver's reply, at most 1 KiB is kept."""
    progress: Mapping[str, Any] | None = None
    """Given back at the next attempt; None leaves what was there."""
    holds: Mapping[str, timedelta] = field(default_factory=dict)
    """By the name of a pace: for how long nothing more may be sent under it, by whichever sink."""
