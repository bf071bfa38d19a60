"""What can be seen of a daemon from outside: the ledgers of those it talks to, and its database."""

import json
import re
import time
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from daemon.rounds.deliver import MOST_UNRECORDED
from daemon.simulator.exchange import Seen, Stage
from sinks.registry import SinkKinds
from tests.acceptance.conftest import World
from tests.soak.oracle import Attempt, Call, Completion, Delivery, Evidence

KINDS = {"hook": "webhook", "slow": "webhook", "flaky": "webhook", "chat": "discord", "post": "email", "lines": "file"}
"""The sinks in an ordeal, with their kinds."""
LINES = "sales.jsonl"
SPEECHLESS = 0.25
"""Seconds for which a new process has not called anybody yet: what still comes is from the one that died before."""
_EVENT = re.compile(r"builtbybit[:-](\w+)")


@dataclass(slots=True)
class Life:
    """One process, from its start to the start of the next."""

    began: float
    """Monotonic seconds; what comes before cannot be its own."""
    began_at: str
    """UTC, as the database writes it."""
    lines: int
    """Bytes in the file of lines when it began."""
    killed: bool = False


def born(world: World) -> Life:
    """A process begins now."""
    file = world.folder / LINES
    moment = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return Life(time.monotonic() + SPEECHLESS, moment, file.stat().st_size if file.exists() else 0)


def under_way() -> dict[str, int]:
    """How many deliveries of each sink may be with the receiver, or answered and not yet on record."""
    kinds = {kind: SinkKinds().load(kind) for kind in set(KINDS.values())}
    at_once = {kind: each.concurrency * each.batch_limit for kind, each in kinds.items()}
    return {name: max(at_once[kind], MOST_UNRECORDED) + at_once[kind] for name, kind in KINDS.items()}


def unsettled(world: World, stage: Stage, seen: Seen) -> list[str]:
    """I2: if this call asks to complete events, those of them that are not on disk with all deliveries settled."""
    if stage != "received" or not seen.path.endswith("/events/complete"):
        return []
    asked = [str(event_id) for event_id in json.loads(seen.body)["event_ids"]]
    settled = world.rows(
        "SELECT e.external_id FROM events e JOIN deliveries d ON d.event_id = e.id WHERE e.external_id IN "
        f"({','.join('?' * len(asked))}) GROUP BY e.id HAVING sum(d.state <> 'waiting') = {len(KINDS)}",
        *asked,
    )
    return sorted(set(asked) - {row[0] for row in settled})


def gather(world: World, lives: Sequence[Life], listed: Sequence[str], early: Sequence[str]) -> Evidence:
    """Read all ledgers when it is over."""
    began_at = [life.began_at for life in lives]
    rows = world.rows(
        "SELECT e.external_id, d.sink, d.state, a.attempt, a.outcome, a.started_at FROM deliveries d "
        "JOIN events e ON e.id = d.event_id LEFT JOIN attempts a ON a.delivery_id = d.id "
        "WHERE e.source = 'builtbybit' ORDER BY d.id, a.attempt"
    )
    deliveries = []
    for (event, sink, state), of_one in groupby(rows, key=lambda row: row[:3]):
        attempts = tuple(
            Attempt(bisect(began_at, started_at) - 1, number, outcome)
            for *_, number, outcome, started_at in of_one
            if number is not None
        )
        deliveries.append(Delivery(event, sink, state, attempts))
    stored = world.rows("SELECT external_id FROM events WHERE source = 'builtbybit'")
    return Evidence(
        listed=listed,
        pending=world.sim.upstream.pending,
        under_way=under_way(),
        killed=[life.killed for life in lives],
        calls=list(_calls(world, lives)),
        deliveries=deliveries,
        completions=list(_completions(world, lives)),
        early=early,
        strangers=sorted({row[0] for row in stored} - set(listed)),
    )


def _calls(world: World, lives: Sequence[Life]) -> Iterator[Call]:
    began = [life.began for life in lives]
    for got in world.sim.inbox.calls:
        # A Discord message carries the key of each of its events at the foot of an embed, and no id of ours.
        for key in [*_EVENT.finditer(got.body.decode() if got.kind == "discord" else got.id)] or [None]:
            name = key[0] if key else got.id
            yield Call(bisect(began, got.at) - 1, got.name, key[1] if key else "", name, got.accepted)
    for mail in world.sim.mail.received:
        key = _EVENT.search(mail.id)
        yield Call(bisect(began, mail.at) - 1, "post", key[1] if key else "", mail.id, mail.accepted)
    yield from _lines(world, [life.lines for life in lives])


def _lines(world: World, began: Sequence[int]) -> Iterator[Call]:
    offset = 0
    file = world.folder / LINES
    for line in file.read_bytes().splitlines(keepends=True) if file.exists() else ():
        life, offset = bisect(began, offset) - 1, offset + len(line)
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a kill; what is missing then is found missing
        yield Call(life, "lines", entry["event_id"], entry["delivery_id"])


def _completions(world: World, lives: Sequence[Life]) -> Iterator[Completion]:
    began = [life.began for life in lives]
    calls = [(bisect(began, call.at) - 1, call) for call in world.sim.upstream.calls]
    last = dict(calls)
    for life, call in calls:
        if call.method == "POST" and call.status == 200:
            yield Completion(life, last[life] is call, call.event_ids)
