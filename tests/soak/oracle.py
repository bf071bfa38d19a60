"""Judges what a daemon did that was killed again and again: decisions over what was seen, without I/O."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

DEATHS_TO_GIVE_UP = 3


@dataclass(frozen=True, slots=True)
class Call:
    """A delivery as a receiver got it."""

    life: int
    """Of the process that sent it, counted from 0."""
    sink: str
    event: str
    id: str
    """By which the receiver tells deliveries apart."""
    accepted: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt as the daemon wrote it down."""

    life: int
    number: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery in the daemon's database when all was over."""

    event: str
    sink: str
    state: str
    attempts: tuple[Attempt, ...]

    @property
    def cut_off_in(self) -> set[int]:
        """The lives that ended while it was claimed."""
        return {attempt.life for attempt in self.attempts if attempt.outcome == "cut_off"}


@dataclass(frozen=True, slots=True)
class Completion:
    """A request to complete events, to which the source agreed."""

    life: int
    last: bool
    """Nothing came from the same process to the source after it."""
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was seen from outside, and the database at the end."""

    listed: Sequence[str]
    """Every event that the source ever listed."""
    pending: Sequence[str] = ()
    under_way: Mapping[str, int]
    """The sinks, each of which wants everything, and how many deliveries of each may be under way at once."""
    killed: Sequence[bool]
    """For each life, whether it was ended by a kill."""
    calls: Sequence[Call]
    deliveries: Sequence[Delivery]
    completions: Sequence[Completion]
    early: Sequence[str] = ()
    """Events that somebody asked to complete before they were settled on disk."""
    strangers: Sequence[str] = ()
    """Events in the database that the source never listed."""


@dataclass(slots=True)
class Verdict:
    """What is wrong, in sentences; and how much was seen of what may be."""

    lost: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    """Repeats, at a sink or at the source, that no kill and no lost answer accounts for; and whatever else is odd."""
    cut_off: int = 0
    repeats: int = 0
    after_lost_answer: int = 0
    """Of the repeats: the receiver had taken it, but its answer got lost without a kill."""
    completed_again: int = 0
    given_up: int = 0

    @property
    def problems(self) -> list[str]:
        return [*self.lost, *self.early, *self.unexplained]

    def add(self, other: "Verdict") -> None:
        """Sum up."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def details(self) -> str:
        return (
            f"{self.cut_off} attempts cut off, {self.after_lost_answer} of the repeats after a lost answer, "
            f"{self.completed_again} completed again, {self.given_up} given up after {DEATHS_TO_GIVE_UP} deaths (kept)"
        )

    def __str__(self) -> str:
        explained = f"{len(self.unexplained)} things NOT explained" if self.unexplained else "each explained"
        return f"{len(self.lost)} lost, {len(self.early)} early, {self.repeats} repeats, {explained}"


def judge(evidence: Evidence) -> Verdict:
    """Hold what was seen against the promises."""
    verdict = Verdict(early=[f"{event}: completed before it was settled on disk (I2)" for event in evidence.early])
    verdict.lost += _unfinished(evidence)
    verdict.unexplained += _aliens(evidence)
    verdict.unexplained += _beyond_what_was_under_way(evidence)
    calls: dict[tuple[str, str], list[Call]] = {}
    for call in evidence.calls:
        calls.setdefault((call.event, call.sink), []).append(call)
    stored = {(delivery.event, delivery.sink): delivery for delivery in evidence.deliveries}
    deaths: dict[str, set[int]] = {}
    for delivery in evidence.deliveries:
        deaths.setdefault(delivery.event, set()).update(delivery.cut_off_in)
    for event in evidence.listed:
        for sink in evidence.under_way:
            delivery = stored.get((event, sink))
            if delivery is None:
                verdict.lost.append(f"{event}: no delivery to {sink} is stored (I3)")
            else:
                deadly = len(deaths[event]) >= DEATHS_TO_GIVE_UP
                _judge_delivery(delivery, calls.get((event, sink), []), verdict, deadly=deadly)
    _judge_completions(evidence, verdict)
    return verdict


def _unfinished(evidence: Evidence) -> Iterator[str]:
    completed = {event for completion in evidence.completions for event in completion.events}
    for event in evidence.listed:
        if event in evidence.pending or event not in completed:
            yield f"{event}: never completed"


def _aliens(evidence: Evidence) -> Iterator[str]:
    listed = set(evidence.listed)
    for stranger in evidence.strangers:
        yield f"{stranger}: stored, but never listed"
    for call in evidence.calls:
        if call.event not in listed or call.sink not in evidence.under_way:
            yield f"{call.sink} got {call.id}, which nobody sent there"
    for completion in evidence.completions:
        for event in set(completion.events) - listed:
            yield f"{event}: completed, but never listed"


def _beyond_what_was_under_way(evidence: Evidence) -> Iterator[str]:
    """I5: a kill costs at most one repeat for each delivery that was with the receiver, or not yet on record."""
    cut_off = Counter((life, delivery.sink) for delivery in evidence.deliveries for life in delivery.cut_off_in)
    for (life, sink), number in cut_off.items():
        if not evidence.killed[life]:
            yield f"{sink}: {number} attempts cut off in life {life}, which was not killed"
    sent = {(call.life, call.sink, call.event) for call in evidence.calls}
    sent_and_cut_off = Counter(
        (life, delivery.sink)
        for delivery in evidence.deliveries
        for life in delivery.cut_off_in
        if (life, delivery.sink, delivery.event) in sent
    )
    for (life, sink), number in sent_and_cut_off.items():
        if number > evidence.under_way.get(sink, 0):
            yield f"{sink}: {number} were sent and cut off by the end of life {life}, more than may be (I5)"


def _judge_delivery(delivery: Delivery, calls: Sequence[Call], verdict: Verdict, *, deadly: bool) -> None:
    """`deadly`: so many processes died of the event, or beside it, that what still waits of it may be given up (I8)."""
    name = f"{delivery.event} at {delivery.sink}"
    accepted = Counter(call.life for call in calls if call.accepted)
    verdict.cut_off += sum(attempt.outcome == "cut_off" for attempt in delivery.attempts)
    if delivery.state == "gave_up" and deadly:
        verdict.given_up += 1
    elif delivery.state != "delivered":
        verdict.lost.append(f"{name}: {delivery.state}, not delivered")
    elif not accepted:
        verdict.lost.append(f"{name}: said to be delivered, but the receiver has not got it")
    if len({call.id for call in calls}) > 1:
        verdict.unexplained.append(f"{name}: came under several ids (I6)")
    numbers = [attempt.number for attempt in delivery.attempts]
    if len(set(numbers)) < len(numbers):
        verdict.unexplained.append(f"{name}: an attempt is on record twice")
    verdict.repeats += max(0, accepted.total() - 1)
    for life in {call.life for call in calls} | {attempt.life for attempt in delivery.attempts}:
        made = Counter(attempt.outcome for attempt in delivery.attempts if attempt.life == life)
        sent = sum(call.life == life for call in calls)
        if sent > made.total():
            verdict.unexplained.append(f"{name}: {sent} calls in life {life}, {made.total()} attempts on record (I7)")
        if accepted[life] > made["delivered"] + made["cut_off"] + made["try_later"]:
            verdict.unexplained.append(f"{name}: accepted {accepted[life]} times in life {life}: {dict(made)} (I5)")
        if made["delivered"] > accepted[life] or made["delivered"] > 1:
            verdict.unexplained.append(f"{name}: {made['delivered']} times said to be delivered in life {life}")
        verdict.after_lost_answer += max(0, accepted[life] - made["delivered"] - made["cut_off"])


def _judge_completions(evidence: Evidence, verdict: Verdict) -> None:
    """W6: completed again only if the daemon was killed before it wrote down that the source had agreed."""
    before: dict[str, Completion] = {}
    for completion in evidence.completions:
        for event in completion.events:
            earlier = before.get(event)
            before[event] = completion
            if earlier is None:
                continue
            verdict.completed_again += 1
            if not earlier.last or not evidence.killed[earlier.life] or earlier.life == completion.life:
                verdict.unexplained.append(f"{event}: completed again in life {completion.life} without a reason (W6)")
