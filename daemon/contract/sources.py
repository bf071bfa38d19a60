"""What the daemon hands to a source, and what it wants back."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from daemon.clock import Clock
from daemon.contract.events import Event
from daemon.http import Http

Access = Literal["read", "write"]
"""BuiltByBit counts reads and writes apart; so do our gates."""


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
