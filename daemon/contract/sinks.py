"""What the daemon hands to a sink, and what it wants back."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from pydantic import BaseModel

from daemon.contract.events import Delivery, Summary
from daemon.contract.outcomes import Report
from daemon.http import Http


class Unreachable(Exception):
    """A sink's or source's connection test failed; the text is fit for people and holds no secret."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A limit on messages that all sinks share which name it: one at a time, and no more than its rate."""

    name: str
    """Names what is limited, such as a kind of receiver or one address, and holds no secret."""
    messages: int | None = None
    """So many at most within any `per`; None: as many as the receiver takes."""
    per: timedelta = timedelta(minutes=1)


class Sink(ABC):
    """Where events go. A simple sink is a subclass with a nested `Settings` and `deliver`."""

    Settings: type[BaseModel]
    """The keys this kind understands in its `[sinks.NAME]` table; unknown keys are refused."""
    concurrency = 4
    """How many batches may be under way at once, unless the config says otherwise."""
    batch_limit = 1
    """How many deliveries one call can carry."""
    paces: Sequence[Pace] = ()
    """The limits that each of its messages counts against; shared with other sinks, kept over restarts."""

    @abstractmethod
    async def deliver(self, delivery: Delivery) -> Report:
        """Hand one event over. Raising counts as TryLater; time is limited by the caller."""

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        """Hand over up to `batch_limit` events; one report each, in order."""
        return [await self.deliver(delivery) for delivery in deliveries]

    async def deliver_summary(self, summary: Summary) -> Report:
        """Tell several events in one message; asked only of kinds whose Settings are PeopleSettings."""
        raise NotImplementedError  # the registry refuses a kind for people without it; no other is asked

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


class Kinds(Protocol):
    """The kinds of sink there are; each is imported when it is first loaded."""

    def names(self) -> Sequence[str]:
        """All kinds, ours first."""

    def load(self, name: str) -> SinkKind:
        """Import one. Raises KeyError if unknown, ImportError with what to install if it cannot be imported."""
