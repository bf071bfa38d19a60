"""The pending events of a made-up BuiltByBit account, and a ledger of what became of them."""

import itertools
import json
import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.simulator.faults import Faults
from daemon.simulator.limits import Dice
from daemon.simulator.samples import Kind, Samples

DEFAULT_PER_PAGE = 25
LISTENER = 7001
_FIRST_ID = 910_001


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came to the API; what it carried in Authorization is not kept."""

    at: float
    """Monotonic seconds at which its headers were complete."""
    method: str
    path: str
    query: str
    status: int
    """What was answered, whether or not it got through; 0 when the call was dropped unprocessed."""
    too_early: bool
    """It came within the wait that an earlier answer had announced."""
    event_ids: tuple[str, ...] = ()
    """What it asked to complete."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One event marked complete."""

    at: float
    event_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch is not completed, none of it."""

    status: int
    code: str
    message: str


@dataclass(slots=True)
class _Listed:
    number: int
    event_id: str | None
    content: Mapping[str, Any] | str
    """Fields, or the JSON text itself."""
    shows_left: int | None = None
    """None: pending. Else completed, and listed so many times more."""


class Upstream:
    """What the API knows. Ids in the ledgers are text, whatever type they have on the wire."""

    def __init__(self, seed: int = 1, faults: Faults | None = None) -> None:
        self.calls: list[Call] = []
        """Every request, in the order in which answers were decided."""
        self.completions: list[Completion] = []
        """Every completion that took effect, in order; a repeat is a further one."""
        self.unknown: list[str] = []
        """Ids that somebody asked to complete though no such event ever was."""
        self._seed = seed
        self._samples = Samples(seed)
        self._numbers = itertools.count()
        self._ids = itertools.count(_FIRST_ID)
        self._listed: dict[int, _Listed] = {}
        self._pending: dict[str, list[_Listed]] = {}
        self._completed: Counter[str] = Counter()
        self._ever: set[str] = set()
        self.faults = faults or Faults()

    @property
    def faults(self) -> Faults:
        """How the API behaves; set it at any time, which also begins `times` anew."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self.dice = Dice(random.Random(self._seed), faults.share, faults.times)

    @property
    def pending(self) -> list[str]:
        """Ids of what waits to be completed, oldest first."""
        return list(self._pending)

    @property
    def completed(self) -> dict[str, int]:
        """How often each event was completed, in the order of the first time."""
        return dict(self._completed)

    def add(self, kind: str, data: Mapping[str, Any], **odd: Any) -> str:
        """Let something happen; `odd` replaces or adds fields of the event itself. Answers its id.

        A value of None in `data` is a placeholder without a value and appears as `Faults.blanks` has it.
        """
        event = {
            "event_id": next(self._ids), "listener_id": LISTENER, "created_at": int(time.time()),
            "trigger_type": kind, "trigger_data": dict(data), **odd,
        }  # fmt: skip
        event_id = str(event["event_id"])
        self._list(event_id, event)
        return event_id

    def add_sample(self, kind: Kind | None = None) -> str:
        """Let something realistic happen: of this kind, or of any. Answers its id."""
        trigger, data = self._samples.make(kind or self._samples.any_kind(), self.faults.names, int(time.time()))
        return self.add(trigger, data)

    def add_raw(self, event: Any) -> str | None:
        """List this very JSON: text as it stands, even malformed, or anything that can be dumped.

        Answers its id if it has one (an int or text in `event_id`); without one it can never be completed.
        """
        text = event if isinstance(event, str) else json.dumps(event)
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        found = parsed.get("event_id") if isinstance(parsed, dict) else None
        usable = isinstance(found, int | str) and not isinstance(found, bool) and found != ""
        event_id = str(found) if usable else None
        self._list(event_id, text)
        return event_id

    def withdraw(self, event_id: str) -> None:
        """Let an event vanish, as if another program had completed it."""
        self._pending.pop(event_id, None)
        self._listed = {number: one for number, one in self._listed.items() if one.event_id != event_id}

    def page(self, page: int, per_page: int) -> str:
        """The data of GET /v2/events, as JSON text; what it holds counts as listed once more."""
        size = min(per_page, self.faults.cap_per_page or per_page)
        if self.faults.ignore_paging:
            page, size = 1, self.faults.cap_per_page or DEFAULT_PER_PAGE
        first = (page - 1) * size
        start = first - 1 if self.faults.repeat_across_pages and page > 1 else first
        rows = self._ordered()
        stats = self._stats(len(rows), page, size)
        shown = rows[start : first + size] if first < len(rows) else []
        events = ",".join(self._rendered(one) for one in shown)
        for one in shown:
            if one.shows_left is not None:
                one.shows_left -= 1
                if one.shows_left == 0:
                    del self._listed[one.number]
        return f'{{"events":[{events}]{stats}}}'

    def complete(self, event_ids: Sequence[str]) -> Refusal | None:
        """Mark events complete, all of them or none; None when that was done."""
        faults = self.faults
        self.unknown += [event_id for event_id in event_ids if event_id not in self._ever]
        if faults.batch_limit is not None and len(event_ids) > faults.batch_limit:
            return Refusal(413, "TooManyEventsError", f"At most {faults.batch_limit} events can be completed at once.")
        if not event_ids and faults.empty_list is not None:
            return Refusal(faults.empty_list, "EmptyListError", "No events were given.")
        good = [event_id for event_id in event_ids if event_id not in faults.bad_ids]
        absent = [event_id for event_id in good if event_id not in self._pending]
        if faults.repeated_id is not None and any(event_id in self._completed for event_id in absent):
            return Refusal(faults.repeated_id, "EventCompletedError", "An event is complete already.")
        known = [event_id for event_id in good if event_id in self._pending or event_id in self._completed]
        if faults.unknown_id is not None and len(known) < len(event_ids):
            return Refusal(faults.unknown_id, "EventNotFoundError", "An event was not found.")
        now = time.monotonic()
        for event_id in known:
            self.completions.append(Completion(now, event_id))
            self._completed[event_id] += 1
            for one in self._pending.pop(event_id, ()):
                one.shows_left = faults.relist
                if not faults.relist:
                    del self._listed[one.number]
        return None

    def _list(self, event_id: str | None, content: Mapping[str, Any] | str) -> None:
        one = _Listed(next(self._numbers), event_id, content)
        self._listed[one.number] = one
        if event_id is not None:
            self._ever.add(event_id)
            self._pending.setdefault(event_id, []).append(one)

    def _ordered(self) -> list[_Listed]:
        rows = list(self._listed.values())
        match self.faults.order:
            case "oldest":
                return rows
            case "newest":
                return rows[::-1]
            case "shuffled":  # the same way at each call, or a sweep would miss events
                return sorted(rows, key=lambda one: random.Random(f"{self._seed}:{one.number}").random())

    def _stats(self, listed: int, page: int, size: int) -> str:
        match self.faults.stats:
            case "missing":
                return ""
            case "nonsense":
                return ',"stats":{"total":"many","page":-1,"per_page":0,"max_page":null}'
            case "stale":
                total = listed + len(self._completed)
            case "right":
                total = listed
        stats = {"total": total, "page": page, "per_page": size, "max_page": max(1, math.ceil(total / size))}
        return f',"stats":{json.dumps(stats, separators=(",", ":"))}'

    def _rendered(self, one: _Listed) -> str:
        if isinstance(one.content, str):
            return one.content
        event, faults = dict(one.content), self.faults
        data = event["trigger_data"]
        if isinstance(data, Mapping):
            data = {name: _blank(name, faults) if value is None else value for name, value in data.items()}
            if faults.blanks == "omitted":
                data = {name: value for name, value in data.items() if value is not None}
            event["trigger_data"] = [] if not data and faults.empty_data == "list" else data
        if faults.created_at == "ms" and isinstance(event["created_at"], int):
            event["created_at"] *= 1000
        if faults.ids == "str":
            event |= {name: str(event[name]) for name in ("event_id", "listener_id")}
        return json.dumps(event, separators=(",", ":"))


def _blank(name: str, faults: Faults) -> str | None:
    """What stands for a placeholder without a value."""
    match faults.blanks:
        case "null" | "omitted":
            return None
        case "empty":
            return ""
        case "zero":
            return "0"
        case "usual":
            return "0" if name.endswith("_id") else ""
