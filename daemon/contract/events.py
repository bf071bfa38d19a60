"""What happened, and what is on its way to whom."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

OWN_SOURCE = "eventferry"
"""The source of what the daemon itself has to say (alerts, tests, reports)."""
_TEST = "test."


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

    @property
    def is_test(self) -> bool:
        """Whether an operator made it to try a sink out; it is counted nowhere."""
        return is_test(self.source, self.kind)

    @property
    def trigger(self) -> str:
        """The kind; of a test, the kind that it stands for."""
        return self.kind.removeprefix(_TEST) if self.is_test else self.kind

    @property
    def facts(self) -> dict[str, str | None]:
        """What every event has beside its data, by the names that templates, conditions and bodies may use."""
        return {
            "trigger": self.trigger,
            "event_id": self.external_id,
            "listener_id": self.channel,
            "source": self.source,
        }


def is_test(source: str, kind: str) -> bool:
    """Whether events of this source and kind are made by operators to try a sink out."""
    return source == OWN_SOURCE and kind.startswith(_TEST)


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


Cause = Literal["digest", "burst", "late", "quiet"]
"""Why deliveries are told together: at their time, too many at once, long overdue, or held back overnight."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Several deliveries on their way to people as one message; each keeps its own place in the ledger."""

    id: str
    """What receivers see: the same whenever the same deliveries are told together again."""
    cause: Cause
    deliveries: Sequence[Delivery]
    """Oldest first, at least one."""
    progress: Mapping[str, Any] = field(default_factory=dict)
    """What an earlier attempt reported as already done; the same for all of them."""


def summary_id(deliveries: Sequence[Delivery]) -> str:
    """Name a summary for receivers, as `delivery_id` does a delivery."""
    digest = hashlib.sha256(json.dumps([delivery.id for delivery in deliveries]).encode()).hexdigest()
    return f"s-{digest[:48]}"


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
