"""The rim of the machine: a marketplace and receivers that do as they are told and write down everything."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel

from daemon.contract import (
    Access,
    AcknowledgementRefused,
    Closed,
    Delivered,
    Delivery,
    Event,
    Gates,
    Incoming,
    Outcome,
    Page,
    Rejected,
    Report,
    Sink,
    Source,
    SourceRefused,
    SourceUnavailable,
    Summary,
    TryLater,
)
from tests.machine.hours import Hours

PAGE = 3
HOST = "market.example"

Mood = Literal["well", "down", "unauthorised", "answer lost", "forgetful", "refusing"]
"""How the marketplace answers; `answer lost`: it completes, and nobody hears; `forgetful`: it agrees, and does not."""

Answer = Literal[
    "accept", "accept slowly", "later", "later, wait", "throttle", "throttle, wait", "reject", "closed", "gone",
    "hang", "swallow", "raise", "accept and raise", "nonsense", "die", "accept and die",
]  # fmt: skip
"""How a receiver answers; `swallow`: it takes the event and never says so; `die`: our process does."""
ACCEPTING = ("accept", "accept slowly", "swallow", "accept and raise", "accept and die")

OUTCOMES: dict[str, Outcome] = {
    "accept": Delivered("HTTP 200"),
    "accept slowly": Delivered("HTTP 200"),
    "later": TryLater("busy"),
    "later, wait": TryLater("busy", timedelta(seconds=90)),
    "throttle": TryLater("too many", throttled=True),
    "throttle, wait": TryLater("too many", timedelta(seconds=45), throttled=True),
    "reject": Rejected("malformed"),
    "closed": Closed("shut"),
    "gone": Closed("deleted", probe=False),
}
SLOW_SECONDS = 20.0
LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)

Content = tuple[str, int]
"""What an event says: its kind, and a number that changes with its payload."""


@dataclass(slots=True)
class Upstream:
    """The marketplace itself: what waits there, and every request it got."""

    hours: Hours
    on_complete: Callable[[str], None] = lambda external_id: None
    """Told of each id that is asked to be completed, before that has an effect."""
    pending: dict[str, list[Content]] = field(default_factory=dict)
    ever: dict[str, list[Content]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    """Gone there without us."""
    completions: Counter[str] = field(default_factory=Counter)
    """How often each was completed, by whomever."""
    mood: Mood = "well"
    refused: set[str] = field(default_factory=set)
    """Ids that are refused together with the batch they come in."""
    cap: int | None = None
    """Lists only so many of the oldest, as one that does not page."""
    strikes: dict[Access, list[float]] = field(default_factory=dict)
    """Waits that the next requests are told, one each."""
    shut_until: dict[Access, float] = field(default_factory=dict)
    too_early: list[str] = field(default_factory=list)
    swept: dict[str, list[Content]] | None = None
    """What the last sweep that came to its end was shown, until somebody looked."""

    def list_(self, external_id: str, *contents: Content) -> None:
        self.withdrawn.discard(external_id)
        self.pending[external_id] = list(contents)
        self.ever.setdefault(external_id, []).extend(contents)

    def withdraw(self, external_id: str) -> None:
        if self.pending.pop(external_id, []):
            self.withdrawn.add(external_id)
            self.completions[external_id] += 1

    def request(self, access: Access) -> float | None:
        """One request arrives; the wait of a 429, None: it is let in."""
        if self.hours.seconds < self.shut_until.get(access, 0.0):
            self.too_early.append(f"a {access} {self.shut_until[access] - self.hours.seconds:g} s before it may")
        if not self.strikes.get(access):
            return None
        wait = self.strikes[access].pop(0)
        self.shut_until[access] = self.hours.seconds + wait
        return wait

    def complete(self, external_ids: Sequence[str]) -> bool:
        """Whether it agreed; a batch with a refused id changes nothing."""
        for external_id in external_ids:
            self.on_complete(external_id)
        if self.mood == "refusing" or self.refused.intersection(external_ids):
            return False
        for external_id in external_ids:
            self.completions[external_id] += 1
            if self.mood != "forgetful":
                self.pending.pop(external_id, None)
        return True


class Market(Source):
    """The way to the marketplace, as one process has it."""

    host = HOST

    def __init__(self, upstream: Upstream, gates: Gates, at: Callable[[str], Awaitable[None]]) -> None:
        self._upstream = upstream
        self._gates = gates
        self._at = at

    async def _call(self, access: Access) -> None:
        self._gates.require_open(HOST, access)
        if (wait := self._upstream.request(access)) is not None:
            raise await self._gates.shut(HOST, access, timedelta(seconds=wait))
        if self._upstream.mood == "down":
            raise SourceUnavailable("cannot be reached")
        if self._upstream.mood == "unauthorised":
            raise SourceRefused("the token is refused")
        await self._gates.passed(HOST, access)

    async def fetch(self, cursor: str | None) -> AsyncIterator[Page]:
        upstream = self._upstream
        capped = upstream.cap is not None and len(upstream.pending) > upstream.cap
        rows = [(each, content) for each, contents in upstream.pending.items() for content in contents][: upstream.cap]
        for start in range(0, max(len(rows), 1), PAGE):
            await self._call("read")
            await self._at("fetched")
            page = rows[start : start + PAGE]
            last = start + PAGE >= len(rows)
            yield Page(
                [_incoming(*row) for row in page], cursor=_cursor(page), crowded=capped, last=last and not capped
            )
            await self._at("stored")
        upstream.swept = {each: [content for name, content in rows if name == each] for each, _ in rows}

    async def acknowledge(self, external_ids: Sequence[str]) -> AcknowledgementRefused | None:
        await self._call("write")
        await self._at("before completing")
        agreed = self._upstream.complete(external_ids)
        await self._at("after completing")
        if self._upstream.mood == "answer lost":
            raise SourceUnavailable("no answer")
        return None if agreed else AcknowledgementRefused("HTTP 422")


def _incoming(external_id: str, content: Content) -> Incoming:
    kind, number = content
    return Incoming(Event("shop", external_id, "1", kind, LONG_AGO, {"n": number}))


def _cursor(page: Sequence[tuple[str, Any]]) -> str | None:
    return page[-1][0] if page else None


@dataclass(slots=True)
class Call:
    """One delivery that was handed to a receiver."""

    life: int
    sink: str
    delivery: Delivery
    answer: Answer
    accepted: bool = False
    heard: bool = False
    """The receiver's answer came to whom it was meant for."""
    recorded: bool = True
    """The process did not die before the verdict was on disk."""
    over: bool = False


class Receiver(Sink):
    """A receiver with the way to it, as one process has it."""

    Settings = BaseModel

    def __init__(
        self,
        answer: Callable[[Delivery], Answer],
        began: Callable[[Delivery, Answer], Call],
        die: Callable[[], None],
    ) -> None:
        self._answer = answer
        self._began = began
        self._die = die

    async def deliver(self, delivery: Delivery) -> Report:
        return (await self.deliver_batch([delivery]))[0]

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        calls: list[Call] = []
        reports = [await self._one(delivery, calls) for delivery in deliveries]
        for call in calls:
            # A batch is heard as a whole or not at all.
            call.heard = all(one.answer in OUTCOMES for one in calls)
        return reports

    async def deliver_summary(self, summary: Summary) -> Report:
        """One message, one answer: poisoned if any of it is."""
        answers = [self._answer(delivery) for delivery in summary.deliveries]
        answer: Answer = "die" if "die" in answers else answers[0]
        calls = [self._began(delivery, answer) for delivery in summary.deliveries]
        for call in calls:
            call.accepted, call.heard = answer in ACCEPTING, answer in OUTCOMES
        try:
            report: Report = await self._report(answer)
        finally:
            for call in calls:
                call.over = True
        return report

    async def _one(self, delivery: Delivery, calls: list[Call]) -> Any:
        answer = self._answer(delivery)
        call = self._began(delivery, answer)
        calls.append(call)
        call.accepted = answer in ACCEPTING
        try:
            return await self._report(answer)
        finally:
            call.over = True

    async def _report(self, answer: Answer) -> Any:
        if answer in OUTCOMES:
            if answer == "accept slowly":
                await asyncio.sleep(SLOW_SECONDS)
            return Report(OUTCOMES[answer], body=b"sent")
        if answer in ("raise", "accept and raise"):
            raise RuntimeError("a mistake in the sink")
        if answer == "nonsense":
            return None
        if answer in ("die", "accept and die"):
            self._die()
        return await asyncio.Event().wait()
