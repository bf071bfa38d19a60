"""What arrived where during the demo, and what that proves."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.cli.text import line, painted
from daemon.simulator import Simulator

SINKS = ("webhook", "discord", "email", "file")
_SOURCE = "builtbybit"


@dataclass(slots=True)
class Ledger:
    """Counts each arrival of each event, as the receivers tell of it."""

    sim: Simulator
    file: Path
    ids: list[str] = field(default_factory=list)
    """The events that happened, in order."""
    arrivals: dict[str, Counter[str]] = field(default_factory=lambda: {sink: Counter() for sink in SINKS})
    _way: dict[str, list[str]] = field(default_factory=dict)
    """For each event the sinks in the order in which they got it."""
    _event: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _read: Counter[str] = field(default_factory=Counter)
    """How much of each receiver's own ledger was looked at."""

    def look(self) -> Iterator[str]:
        """Take in what is new; a line for each event that now is everywhere."""
        for sink, event_id in self._news():
            self.arrivals[sink][event_id] += 1
            way = self._way.setdefault(event_id, [])
            if sink not in way:
                way.append(sink)
                if len(way) == len(SINKS):
                    yield self._line(event_id, way)

    def _news(self) -> Iterator[tuple[str, str]]:
        for call in self.sim.inbox.calls[self._read["inbox"] :]:
            self._read["inbox"] += 1
            if not call.accepted:
                continue
            if call.kind == "webhook":
                self._event[call.json()["event_id"]] = call.json()
            event_id = call.json()["event_id"] if call.kind == "webhook" else _key_in(call.json())
            yield call.kind, event_id
        for mail in self.sim.mail.received[self._read["mail"] :]:
            self._read["mail"] += 1
            if mail.accepted:
                yield "email", mail.id.partition("@")[0].removeprefix(f"<{_SOURCE}-").removesuffix("-email")
        lines = self.file.read_bytes().split(b"\n")[:-1] if self.file.exists() else []
        for written in lines[self._read["file"] :]:
            self._read["file"] += 1
            yield "file", json.loads(written)["event_id"]

    def _line(self, event_id: str, way: Sequence[str]) -> str:
        event = self._event[event_id]
        data = event["data"]
        what = data.get("resource_title", "")
        more = next((data[name] for name in ("final_price", "rating", "version", "coupon") if name in data), "")
        arrows = "".join(f" {painted('->', 'green')} {sink}" for sink in way)
        return f"  {line(event['type']):<16} {line(what):<20} {line(more):>8} {arrows}"

    @property
    def everywhere(self) -> bool:
        """Whether all that happened has reached every sink."""
        return all(self.arrivals[sink][event_id] for sink in SINKS for event_id in self.ids)

    def sums(self, stored: int) -> str:
        """All of it in one line."""
        reached = [f"{sink} {len(self.arrivals[sink].keys() & set(self.ids))}/{len(self.ids)}" for sink in SINKS]
        upstream = self.sim.upstream
        last = [f"completed {len(upstream.completed)}", f"pending upstream {len(upstream.pending)}"]
        return " | ".join([f"stored {stored}", *reached, *last])

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
        if self.sim.upstream.pending:
            yield f"still pending upstream: {', '.join(self.sim.upstream.pending)}"


def _key_in(message: Mapping[str, Any]) -> str:
    """The event's id in a Discord message, whose footer names the event's key."""
    return str(message["embeds"][0]["footer"]["text"]).removeprefix(f"{_SOURCE}:")
