"""What must hold, whatever happens: the promises I1 to I9, I11 and I19 (their texts are in docs/reliability.md)."""

import re
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

from daemon.contract import Delivery
from daemon.routing import parse_filter
from tests.machine.endings import DEATHS, deserved
from tests.machine.hours import Hours
from tests.machine.process import GIVE_UP_AFTER, HOLD, IN_HAND, KEEP, Plan
from tests.machine.rim import Call, Content, Upstream
from tests.machine.snapshot import Key, Owed, Snapshot, Stored, Witness

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
FIRST_RELIST_WAIT, LONGEST_RELIST_WAIT = timedelta(seconds=30), timedelta(hours=6)
RETURNS_TO_ALERT = 3
LONGEST_POSTPONEMENT = timedelta(hours=24)
ROUNDING = timedelta(milliseconds=1)
MOST_EARLIER = 20
"""Calls of one delivery that are compared with a further one: enough for one that repeats without end."""


class Model:
    """Sees every call at the rim as it comes, and the file after each step; remembers what it saw last."""

    def __init__(self, database: Path, upstream: Upstream, hours: Hours) -> None:
        self.wrong: list[str] = []
        self.calls: dict[str, list[Call]] = defaultdict(list)
        """By delivery id."""
        self.stopped: set[str] = set()
        """Sinks that the operator stopped."""
        self.killed: dict[tuple[str, int], set[int]] = defaultdict(set)
        """The lives that an event ended, by its key and how often somebody had asked for a replay."""
        self._replays = 0
        self._cut: dict[Key, set[int]] = defaultdict(set)
        """The lives that ended while a delivery of this event was under way."""
        self._now = hours.wall
        self._upstream = upstream
        self._witness = Witness(database)
        self._seen = self._witness.look()
        self._plan: Plan
        self._life = 0
        self._completions = 0
        self._replaying = self._pruning = False
        self._names: dict[tuple[Key, str], str] = {}
        self._not_before: dict[str, datetime] = {}

    def require(self, holds: bool, what: str) -> None:
        """Note what is wrong; said after the step, since the daemon survives what its sinks raise."""
        if not holds:
            self.wrong.append(what)

    def begin(self, plan: Plan, life: int) -> None:
        self._plan, self._life = plan, life

    def expect_replay(self) -> None:
        self._replaying = True
        self._replays += 1

    def expect_pruning(self) -> None:
        self._pruning = True

    def effects(self) -> int:
        """How often something went out."""
        return self._completions + sum(len(calls) for calls in self.calls.values())

    def handed(self, call: Call) -> Call:
        """A sink is given a delivery."""
        delivery, event = call.delivery, call.delivery.event
        key = event.source, event.external_id
        what = f"{call.sink} gets {delivery.id} (attempt {delivery.attempt}, life {call.life})"
        earlier = self.calls[delivery.id][-MOST_EARLIER:]
        self.require(bool(ID.fullmatch(delivery.id)), f"I6: {what}: not a good id")
        self.require(self._names.setdefault((key, call.sink), delivery.id) == delivery.id, f"I6: {what}: a second id")
        known = {one.sink for one in earlier} <= {call.sink} and {one.delivery.event.key for one in earlier} <= {
            event.key
        }
        self.require(known, f"I6: {what}: the id was another delivery's")
        on_disk = self._witness.owed(*key, call.sink)
        self.require(on_disk == ("waiting", delivery.attempt, True), f"I7: {what}: on disk it is {on_disk}")
        self.require(all(one.over or one.life < call.life for one in earlier), f"I5: {what}: it is under way already")
        for one in [one for one in earlier if one.accepted and one.delivery.replays == delivery.replays][-1:]:
            self.require(
                not (one.heard and one.recorded), f"I5: {what}: accepted before (attempt {one.delivery.attempt})"
            )
        self.require(key not in self._seen.tombstones, f"I9: {what}: it was pruned")
        self.require(call.sink not in self.stopped, f"{what}: the operator had stopped it")
        gathering = self._plan.gathering(call.sink)
        at_once = event.source == "eventferry" or delivery.replays
        quiet = gathering is not None and gathering.quiet_until(self._now()) is not None
        self.require(at_once or not quiet, f"{what}: in quiet hours")
        if event.source == "shop" and key in self._seen.events:
            said = event.kind, event.data.get("n")
            self.require(said == self._seen.events[key].content, f"I9: {what}: it says {said}, not what came first")
        self.calls[delivery.id].append(call)
        return call

    def kills(self, delivery: Delivery) -> None:
        """The process dies of a delivery."""
        lives = self.killed[delivery.event.key, self._replays]
        lives.add(self._life)
        self.require(len(lives) <= DEATHS, f"I8: {delivery.event.key} kills the process for the {len(lives)}th time")

    def completing(self, external_id: str) -> None:
        """The marketplace is asked to complete an event."""
        self._completions += 1
        key, now = ("shop", external_id), self._now()
        disk = self._witness.look()
        if key in disk.tombstones:
            return
        stored = disk.events.get(key)
        if stored is None:
            self.require(False, f"I2: {external_id} is completed and was never stored")
            return
        self.require(
            stored.content in self._upstream.ever[external_id], f"I2: {external_id} is stored as {stored.content}"
        )
        age = now - stored.stored_at + ROUNDING
        held = age >= HOLD or -age >= HOLD or self._upstream.cap is not None
        settled = all(owed.settled for owed in disk.of(key).values())
        self.require(settled or held, f"I2: {external_id} is completed, neither settled nor held for long")
        not_before = self._not_before.get(external_id, now)
        postponed = now + ROUNDING < not_before <= now + LONGEST_POSTPONEMENT
        self.require(not postponed, f"I19: {external_id} is completed again {not_before - now} too early")

    def died(self, life: int) -> None:
        """The process is gone; look which answers it had put on disk."""
        disk = self._witness.look()
        for calls in self.calls.values():
            for call in calls:
                if call.life == life:
                    key = call.delivery.event.source, call.delivery.event.external_id
                    owed = disk.deliveries.get((key, call.sink))
                    call.recorded = owed is None or not (owed.claimed and owed.attempt == call.delivery.attempt)
        for (key, _), owed in disk.deliveries.items():
            if owed.claimed:
                self._cut[key].add(life)
        for sink, most in IN_HAND.items():
            lost = sum(owed.claimed for (_, name), owed in disk.deliveries.items() if name == sink)
            self.require(lost <= most, f"I5: {lost} deliveries of {sink} were under way at once")

    def check(self) -> Snapshot:
        """Hold the file against the promises, and against what it was after the last step."""
        before, now = self._seen, self._witness.look()
        self._no_gap(now)
        self._nothing_vanished(before, now)
        for key in now.events.keys() - before.events.keys():
            self._arrived(key, now)
        for (key, sink), owed in now.deliveries.items():
            self._owed(key, sink, owed, before.deliveries.get((key, sink)))
        for key, stored in now.events.items():
            if key in before.events:
                self._listed_again(key, before.events[key], stored, now)
        if self._upstream.swept is not None:
            self._stored_as_listed(self._upstream.swept, now)
            self._upstream.swept = None
        self.wrong += [f"I11: {each}" for each in self._upstream.too_early]
        self._seen, self._replaying, self._pruning = now, False, False
        assert not self.wrong, "\n".join(self.wrong)
        return now

    def _no_gap(self, now: Snapshot) -> None:
        durable = {external_id for source, external_id in now.events.keys() | now.tombstones.keys() if source == "shop"}
        gone = self._upstream.ever.keys() - self._upstream.pending.keys() - self._upstream.withdrawn - durable
        self.require(not gone, f"I1: neither pending nor on disk: {sorted(gone)}")
        self.require(now.rows == len(now.events), "I9: an event is stored twice")
        self.require(
            now.cursor is None or now.cursor in durable, f"I3: the cursor is at {now.cursor}, which is not stored"
        )

    def _nothing_vanished(self, before: Snapshot, now: Snapshot) -> None:
        for key in before.events.keys() - now.events.keys():
            old = before.events[key]
            due = self._pruning and old.acknowledged and old.stored_at < self._now() - KEEP
            given_up = old.stored_at < self._now() - GIVE_UP_AFTER
            settled = given_up or all(owed.settled for owed in before.of(key).values())
            buried = key in now.tombstones or key[0] != "shop"
            what = f"pruning {self._pruning}, old enough {due}, settled {settled}, buried {buried}"
            self.require(due and settled and buried, f"I4: {key} vanished ({what}): {old}")
        for key, sink in before.deliveries.keys() - now.deliveries.keys():
            self.require(key not in now.events, f"I4: the delivery of {key} to {sink} vanished")
        self.require(before.tombstones.keys() <= now.tombstones.keys(), "I9: a tombstone vanished before its time")
        risen = now.events.keys() & before.tombstones.keys()
        self.require(not risen, f"I9: stored again after it was pruned: {sorted(risen)}")

    def _arrived(self, key: Key, now: Snapshot) -> None:
        if key[0] != "shop":
            return
        kind = now.events[key].content[0]
        wanted = {sink for sink, filter_ in self._plan.sinks.items() if parse_filter(filter_).matches(kind)}
        self.require(
            now.of(key).keys() == wanted, f"I3: {key} ({kind}) has {sorted(now.of(key))}, not {sorted(wanted)}"
        )

    def _owed(self, key: Key, sink: str, owed: Owed, before: Owed | None) -> None:
        what = f"{key} to {sink}"
        calls = self.calls[self._names[key, sink]] if (key, sink) in self._names else []
        made = max((call.delivery.attempt for call in calls), default=0)
        self.require(made <= owed.attempt, f"I7: {what}: attempt {made} was made, {owed.attempt} is on record")
        if before is not None and before.settled and owed.replays == before.replays:
            same = owed.state == before.state and owed.attempt == before.attempt
            self.require(same, f"I4: {what}: was {before}, is {owed}")
        self.require(
            before is None or owed.replays == before.replays or self._replaying, f"I4: {what}: nobody replayed it"
        )
        if not owed.settled or before == owed:
            return
        self.require(owed.settled_at is not None and bool(owed.reason), f"I4: {what} ended without a word: {owed}")
        self.require(
            deserved(owed, calls, deaths=len(self._cut[key]), pruning=self._pruning),
            f"I4, I8: {what} ended as nothing says it should: {owed}, {calls}",
        )

    def _listed_again(self, key: Key, before: Stored, now: Stored, disk: Snapshot) -> None:
        self.require(now.content == before.content, f"I9: {key} was overwritten: {before.content}, {now.content}")
        self.require(before.variants <= now.variants, f"I9: a variant of {key} vanished")
        if now.relisted == before.relisted:
            return
        ended = self._upstream.completions[key[1]]
        self.require(
            now.relisted <= ended, f"I19: {key} counts as returned {now.relisted} times, was completed {ended}"
        )
        if now.relisted > 1:
            wait = min(FIRST_RELIST_WAIT * 2 ** (now.relisted - 2), LONGEST_RELIST_WAIT)
            self._not_before[key[1]] = self._now() + wait
            self.require(not now.acknowledged, f"I19: {key} returned {now.relisted} times and is completed at once")
        if now.relisted >= RETURNS_TO_ALERT:
            self.require(disk.told("alert.returned"), f"I19: {key} returned {now.relisted} times and nobody was told")

    def _stored_as_listed(self, listed: dict[str, list[Content]], now: Snapshot) -> None:
        for external_id, contents in listed.items():
            stored = now.events.get(("shop", external_id))
            if stored is None:
                self.require(("shop", external_id) in now.tombstones, f"I1: {external_id} was listed and is not stored")
            else:
                missing = set(contents) - {stored.content} - stored.variants
                self.require(not missing, f"I9: {external_id} was listed with {missing}, which is not kept")
                again = stored.acknowledged and external_id in self._upstream.pending
                again = again and self._upstream.mood != "forgetful"
                self.require(not again, f"I19: {external_id} is listed again and counts as completed")

    def close(self) -> None:
        self._witness.close()
