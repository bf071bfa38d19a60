"""What the daemon hands to a source or a sink, and what it wants back."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from daemon.clock import Clock
from daemon.http import Http

OWN_SOURCE = "eventferry"
"""The source of what the daemon itself has to say (alerts, tests, reports)."""

Access = Literal["read", "write"]
"""BuiltByBit counts reads and writes apart; so do our gates."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at a source; the same type before and after it was stored."""

    source: str
    external_id: str
    channel: str | None
    """The listener (or saved search) that brought it, where the source has such a thing."""
    kind: str
    """The trigger as the source spells it; never empty."""
    occurred_at: datetime
    data: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for every repeat of this event, whoever repeats it."""
        return f"{self.source}:{self.external_id}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one sink."""

    id: str
    """What receivers see: the same at every attempt, after every restart, and on replay."""
    event: Event
    attempt: int
    """1 at the first attempt."""
    progress: Mapping[str, Any] = field(default_factory=dict)
    """What an earlier attempt reported as already done, e.g. recipients already served."""
    replays: int = 0
    """How often a person asked for this delivery again."""


_PLAIN_ID = re.compile("[A-Za-z0-9_-]{1,64}")


def delivery_id(source: str, external_id: str, sink: str) -> str:
    """Name a delivery for receivers: at most 64 characters of `[A-Za-z0-9_-]`, no dots.

    Standard Webhooks joins id, time and body with dots, so an id must not hold one:
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    plain = f"{source}-{external_id}-{sink}"
    if _PLAIN_ID.fullmatch(plain):
        return plain
    digest = hashlib.sha256(json.dumps([source, external_id, sink]).encode()).hexdigest()
    return f"d-{digest[:48]}"


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


class Unreachable(Exception):
    """A sink's or source's connection test failed; the text is fit for people and holds no secret."""


class Sink(ABC):
    """Where events go. A simple sink is a subclass with a nested `Settings` and `deliver`."""

    Settings: type[BaseModel]
    """The keys this kind understands in its `[sinks.NAME]` table; unknown keys are refused."""
    concurrency = 4
    """How many batches may be under way at once, unless the config says otherwise."""
    batch_limit = 1
    """How many deliveries one call can carry."""

    @abstractmethod
    async def deliver(self, delivery: Delivery) -> Report:
        """Hand one event over. Raising counts as TryLater; time is limited by the caller."""

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        """Hand over up to `batch_limit` events; one report each, in order."""
        return [await self.deliver(delivery) for delivery in deliveries]

    def render(self, delivery: Delivery) -> str:
        """Show, for people, what `deliver` would send; used by `check` and `run --dry-run`."""
        event = delivery.event
        return json.dumps({"key": event.key, "kind": event.kind, "data": dict(event.data)}, indent=2, default=str)

    async def check(self) -> str:
        """Reach the receiver without sending anything; one sentence on success.

        Raises Unreachable with a sentence fit for people.
        """
        return "nothing to connect to"

    async def close(self) -> None:
        """Let go of connections and files."""


@dataclass(frozen=True, slots=True)
class SinkKind:
    """A kind of sink as the registry knows it."""

    settings: type[BaseModel]
    build: Callable[[Any, Http], Sink]
    """Takes the checked settings and an HTTP client that only this sink uses."""
    concurrency: int
    batch_limit: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event as a source listed it."""

    event: Event
    raw: str | None = None
    """The JSON the source sent, kept where `event` cannot hold all of it."""


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Something listed without a usable id. It may be a sale, so it is set aside and shown."""

    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to a source brought."""

    events: Sequence[Incoming]
    unidentified: Sequence[Unidentified] = ()
    cursor: str | None = None
    """To be stored with the events of this page; None leaves the stored one."""
    crowded: bool = False
    """The page looks full: more may wait behind it."""
    last: bool = False
    """The whole pending list has now been seen, so what was not listed is gone there."""


@dataclass(frozen=True, slots=True)
class AcknowledgementRefused:
    """The source will not take this batch as a whole."""

    reason: str
    too_large: bool = False
    """Only the size was wrong; no id is to blame."""


class SourceTrouble(Exception):
    """A source could not do as asked; the text is fit for people and holds no secret."""


class SourceUnavailable(SourceTrouble):
    """Network, 5xx, nonsense: nothing was learned, ask again later."""


class SourceThrottled(SourceTrouble):
    """A gate is shut: nothing goes out before `until`."""

    def __init__(self, reason: str, access: Access, until: datetime) -> None:
        super().__init__(reason)
        self.access = access
        self.until = until


class SourceRefused(SourceTrouble):
    """The credentials are not accepted (401, 403)."""


class Gates(Protocol):
    """What a source asks before each request, and tells after each answer."""

    def require_open(self, host: str, access: Access) -> None:
        """Raises SourceThrottled while the gate is shut."""

    async def shut(self, host: str, access: Access, wait: timedelta | None) -> SourceThrottled:
        """Shut the gate for `wait` (None: back off), durably; returns what to raise."""

    async def passed(self, host: str, access: Access) -> None:
        """A request was answered without a rate limit: forget earlier strikes."""


class Source(ABC):
    """Where events come from. A source raises SourceTrouble when it cannot do as asked."""

    host: str

    @abstractmethod
    def fetch(self, cursor: str | None) -> AsyncIterator[Page]:
        """List what waits, page by page, each page once."""

    @abstractmethod
    async def acknowledge(self, external_ids: Sequence[str]) -> AcknowledgementRefused | None:
        """Tell the source these are done with, in one request; None when it agreed."""

    def credentials_changed(self) -> bool:
        """Re-read the credentials; whether they differ from those last used."""
        return False

    async def check(self) -> str:
        """Reach the source, changing nothing there; one sentence on success.

        Raises Unreachable with a sentence fit for people.
        """
        return "nothing to connect to"

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source as the registry knows it."""

    settings: type[BaseModel]
    build: Callable[[str, Any, Http, Gates, Clock], Source]
    """Takes the source's name, its checked settings, an HTTP client of its own, the gates and the time."""


class Kinds(Protocol):
    """The kinds of sink there are; each is imported when it is first loaded."""

    def names(self) -> Sequence[str]:
        """All kinds, ours first."""

    def load(self, name: str) -> SinkKind:
        """Import one. Raises KeyError if unknown, ImportError with what to install if it cannot be imported."""
