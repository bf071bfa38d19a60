"""What arrived where during the demo, and what that proves."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.cli.text import line, painted
from daemon.clock import wall_now
from daemon.contract import Delivery, Event, delivery_id, summary_id
from daemon.simulator import Simulator
from daemon.store import Store

AT_ONCE = ("webhook", "file", "discord", "email")
DIGEST = "evening"
SINKS = (*AT_ONCE, DIGEST)
_SOURCE = "builtbybit"


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver got in one piece."""

    sink: str
    events: tuple[str, ...]
    """The ids of those that it tells each by itself."""
    summary: str = ""
    """The id of the summary that it is instead."""
    title: str = ""


@dataclass(slots=True)
class Ledger:
    """Counts each arrival of each event, as the receivers tell of it."""

    sim: Simulator
    file: Path
    ids: list[str] = field(default_factory=list)
    """The events that happened, in order."""
    messages: list[Message] = field(default_factory=list)
    """All that receivers got, in order."""
    arrivals: dict[str, Counter[str]] = field(default_factory=lambda: {sink: Counter() for sink in SINKS})
    unread: list[Message] = field(default_factory=list)
    """Summaries of which it is not yet known which events they tell of: see `open_summaries`."""
    _event: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _read: Counter[str] = field(default_factory=Counter)
    """How much of each receiver's own ledger was looked at."""

    def look(self) -> None:
        """Take in what is new."""
        for message in self._news():
            self.messages.append(message)
            self.arrivals[message.sink].update(message.events)
            if message.summary:
                self.unread.append(message)

    def _news(self) -> Iterator[Message]:
        for call in self.sim.inbox.calls[self._read["inbox"] :]:
            self._read["inbox"] += 1
            if not call.accepted:
                continue
            if call.kind == "webhook":
                self._event[call.json()["event_id"]] = call.json()
                yield Message("webhook", (call.json()["event_id"],))
            else:
                yield _posted(call.name, call.json()["embeds"])
        for mail in self.sim.mail.received[self._read["mail"] :]:
            self._read["mail"] += 1
            if mail.accepted:
                name = mail.id.partition("@")[0].removeprefix("<")
                event_id = name.removeprefix(f"{_SOURCE}-").removesuffix("-email")
                yield (
                    Message("email", (event_id,))
                    if event_id != name
                    else Message("email", (), name, mail.message["Subject"])
                )
        lines = self.file.read_bytes().split(b"\n")[:-1] if self.file.exists() else []
        for written in lines[self._read["file"] :]:
            self._read["file"] += 1
            yield Message("file", (json.loads(written)["event_id"],))

    async def open_summaries(self, store: Store) -> None:
        """Learn which events were told together: a summary's id follows from the ids of its deliveries."""
        together: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for number, event_id in enumerate(self.ids):
            for found in await store.browse.show(f"{_SOURCE}:{event_id}"):
                for sent in found["deliveries"]:
                    if sent["gathered"] and sent["tried_at"]:
                        told = together.setdefault((sent["sink"], sent["tried_at"]), [])
                        told.append((found["occurred_at"], number))
        named = {
            (sink, _summary_of(sink, [self.ids[number] for _, number in sorted(told)])): told
            for (sink, _), told in together.items()
        }
        for message in [*self.unread]:
            if (message.sink, message.summary) in named:
                told = named[message.sink, message.summary]
                self.arrivals[message.sink].update(self.ids[number] for _, number in told)
                self.unread.remove(message)

    def reached(self, sinks: Sequence[str], ids: Sequence[str]) -> bool:
        """Whether all these events are at all these sinks."""
        return all(self.arrivals[sink][event_id] for sink in sinks for event_id in ids)

    def way(self, event_id: str) -> str:
        """An event that got everywhere by itself, and in which order."""
        event = self._event[event_id]
        data = event["data"]
        more = next((data[name] for name in ("final_price", "rating", "version", "coupon") if name in data), "")
        sinks = [message.sink for message in self.messages if event_id in message.events]
        what = f"{line(event['type'])[:16]:<16} {line(data.get('resource_title', ''))[:19]:<19} {line(more)[:8]:>8}"
        return f"  {what} {painted('->', 'green')} {' '.join(sinks)}"

    def sums(self, stored: int) -> str:
        """All of it in two lines."""
        reached = [f"{sink} {len(self.arrivals[sink].keys() & set(self.ids))}/{len(self.ids)}" for sink in SINKS]
        upstream = self.sim.upstream
        last = f"stored {stored} | completed {len(upstream.completed)} | pending upstream {len(upstream.pending)}"
        return f"{' | '.join(reached)}\n{last}"

    def doubts(self) -> Iterator[str]:
        """What speaks against "each event arrived once, and was completed once"; nothing when all is well."""
        counted = {**self.arrivals, "BuiltByBit, as completed,": self.sim.upstream.completed}
        for place, times in counted.items():
            missing = [event_id for event_id in self.ids if not times.get(event_id)]
            repeated = [event_id for event_id, number in times.items() if number > 1]
            unknown = times.keys() - set(self.ids)
            for what, which in (("never got", missing), ("got more than once", repeated), ("got unasked", unknown)):
                if which:
                    yield f"{place} {what}: {', '.join(sorted(which))}"
        for message in self.unread:
            yield f'{message.sink} got a summary of who knows what: "{line(message.title)}"'
        if self.sim.upstream.pending:
            yield f"still pending upstream: {', '.join(self.sim.upstream.pending)}"


def _posted(sink: str, embeds: Sequence[Mapping[str, Any]]) -> Message:
    """A message at Discord: the footer of each embed names the event's key, or of the first the summary's id."""
    keys = [str(embed["footer"]["text"]) for embed in embeds if "footer" in embed]
    if keys[0].startswith(f"{_SOURCE}:"):
        return Message(sink, tuple(key.removeprefix(f"{_SOURCE}:") for key in keys))
    return Message(sink, (), keys[0], embeds[0]["title"])


def _summary_of(sink: str, ids: Sequence[str]) -> str:
    deliveries = [
        Delivery(delivery_id(_SOURCE, event_id, sink), Event(_SOURCE, event_id, None, "", wall_now(), {}), 1)
        for event_id in ids
    ]
    return summary_id(deliveries)
