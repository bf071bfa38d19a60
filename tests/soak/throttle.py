"""A host that says 429 in every way there is, and writes down who comes back too early."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import get_args

from daemon.contract import Access
from daemon.simulator.answers import PORTAL
from daemon.simulator.faults import RetryAfter
from daemon.simulator.limits import Limits, announce
from daemon.simulator.upstream import Upstream
from tests.receivers import Request, Writer, reply
from tests.soak.lifetimes import BEGINNING, SharedClock

FORMS: tuple[RetryAfter, ...] = get_args(RetryAfter)
EDGE = ("edge", "edge_date")
FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 900.0
"""What is owed where no sensible wait is named: from one second, doubled with each 429 in a row, to 15 minutes."""
ROUNDING = timedelta(microseconds=2)
TOO_MANY = '{"result":"error","error":{"code":"RateLimitError","message":"Too many requests."}}'
MOST_PENDING = 3


@dataclass(frozen=True)
class Promise:
    """What a client has been told for one class of requests, as far as it can know."""

    opens_at: datetime = BEGINNING
    in_a_row: int = 0


@dataclass
class Ledger:
    """How one class of requests was kept."""

    promise: Promise = Promise()
    told_at: datetime = BEGINNING
    before: Promise = Promise()
    """What held before the last 429."""
    told: Counter[str] = field(default_factory=Counter)
    """429s, by how the wait was spelt."""
    passed: int = 0
    early: list[str] = field(default_factory=list)
    further: int = 0
    most_in_a_window: int = 0
    lost: int = 0
    """429s that nobody lived to write down."""
    _in_this_window: int = 0

    def arrived(self, now: datetime) -> None:
        if now < self.promise.opens_at - ROUNDING:
            self.early.append(f"at {now} instead of {self.promise.opens_at}, told at {self.told_at}")

    def admitted(self) -> None:
        self.passed += 1
        self.promise = replace(self.promise, in_a_row=0)

    def refused(self, now: datetime, spelt: str, seconds: float | None) -> None:
        """A 429 went out. A window is the wait that one begins; who is refused in it or right after it is counted."""
        self.told[spelt] += 1
        if self.promise.in_a_row:
            self.further += 1
            self._in_this_window += 1
            self.most_in_a_window = max(self.most_in_a_window, self._in_this_window)
        if now >= self.promise.opens_at - ROUNDING:
            self._in_this_window = 0
        owed = seconds if seconds is not None else FIRST_BACK_OFF * 2 ** min(self.promise.in_a_row, 10)
        owed = min(owed, LONGEST_BACK_OFF) if seconds is None else owed
        self.before, self.told_at = self.promise, now
        opens_at = max(now + timedelta(seconds=owed), self.promise.opens_at)
        self.promise = Promise(opens_at, self.promise.in_a_row + 1)

    def ended(self, now: datetime, *, killed: bool, on_disk: datetime | None) -> None:
        """A process that died in the very moment of a 429 may not have written it: time moves on only after that."""
        written = on_disk is not None and on_disk >= self.promise.opens_at - ROUNDING
        if killed and self.told_at == now and self.promise != self.before and not written:
            self.promise, self.lost = self.before, self.lost + 1
        self.before = self.promise


class Host:
    """Answers as BuiltByBit and the edge before it would; `on_429` is told of each 429 before and after it goes out."""

    def __init__(self, clock: SharedClock, seed: int, on_429: Callable[[], None] = lambda: None) -> None:
        self.ledgers: dict[Access, Ledger] = {"read": Ledger(), "write": Ledger()}
        self.limit: tuple[int, float] | None = None
        """So many requests per so many seconds, and nobody else is refused; None: whoever has bad luck is."""
        self._upstream = Upstream(seed)
        self._limits = Limits()
        self._clock = clock
        self._chance = random.Random(seed)
        self._on_429 = on_429
        self._share = 0.5

    @property
    def told(self) -> int:
        """How many 429s went out."""
        return sum(ledger.told.total() for ledger in self.ledgers.values())

    async def answer(self, request: Request, writer: Writer) -> None:
        now = self._clock()
        access: Access = "read" if request.method == "GET" else "write"
        ledger = self.ledgers[access]
        ledger.arrived(now)
        wait = self._wait(access, now)
        if wait:
            form = self._chance.choice(FORMS)
            said = announce(form, wait, now.timestamp())
            headers = {} if said.header is None else {"Retry-After": said.header}
            edge = form in EDGE or (form == "missing" and self._chance.random() < 0.5)
            ledger.refused(now, f"{form}, {'edge' if edge else 'envelope'}", said.seconds)
            self._on_429()
            await reply(429, PORTAL if edge else TOO_MANY.encode(), **headers)(request, writer)
            self._on_429()
            return
        ledger.admitted()
        await reply(200, self._body(request).encode())(request, writer)

    def _wait(self, access: Access, now: datetime) -> float:
        """How many seconds the caller is sent away for; 0: not at all."""
        if self.limit is not None:
            return self._limits.admit(access, *self.limit, now.timestamp())
        if self._chance.random() < 0.02:
            self._share = self._chance.choice((0.2, 0.5, 0.8, 0.95))
        return 10 ** self._chance.uniform(-3, 4.93) if self._chance.random() < self._share else 0.0

    def _body(self, request: Request) -> str:
        upstream = self._upstream
        if request.method == "POST":
            upstream.complete([str(each) for each in json.loads(request.body)["event_ids"]])
            data = '"done"'
        elif "/events" in request.target:
            if len(upstream.pending) < MOST_PENDING:
                upstream.add_sample()
            data = upstream.page(1, 100)
        else:
            data = '"ok"'
        return f'{{"result":"success","data":{data}}}'
