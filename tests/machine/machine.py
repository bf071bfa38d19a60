"""The rules by which Hypothesis plays with the world, and what must come of it in the end."""

from datetime import timedelta
from typing import get_args

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.machine.process import BATCH, Plan
from tests.machine.rim import Answer, Mood
from tests.machine.world import EVERYTHING, World

KINDS = ("purchase", "review", "refund")
PLANS = (
    EVERYTHING,
    Plan({"one": (), "two": ("purchase",), "three": ("!review",), "people": ()}, "other settings"),
    Plan({"one": ("refund",), "two": ()}, "other settings"),
)
POINTS = ("fetched", "stored", "before completing", "after completing")
ROUNDS_TO_HEAL = 80

sinks = st.sampled_from(sorted(BATCH))
which = st.integers(0, 5)
answers = st.sampled_from(get_args(Answer))


class Machine(RuleBasedStateMachine):
    """Anything that can happen, in any order."""

    examples = steps = 0
    """Played so far, by all machines."""

    def __init__(self) -> None:
        super().__init__()
        Machine.examples += 1
        self.world = World()
        self.number = 0

    def _some(self, index: int) -> str | None:
        ever = list(self.world.upstream.ever)
        return ever[-1 - index % len(ever)] if ever else None

    # The marketplace

    @rule(number=st.integers(1, 4), kind=st.sampled_from(KINDS), sweep=st.booleans())
    def happen(self, number: int, kind: str, sweep: bool = True) -> None:
        for _ in range(number):
            self.number += 1
            self.world.upstream.list_(str(self.number), (kind, self.number))
        if sweep:
            self.world.sweep()

    @rule(index=which, beside=st.booleans())
    def change(self, index: int, beside: bool) -> None:
        """Another payload under the same id, in place of the first or beside it."""
        if (external_id := self._some(index)) is not None:
            self.number += 1
            kind, _ = self.world.upstream.ever[external_id][0]
            before = self.world.upstream.pending.get(external_id, []) if beside else []
            self.world.upstream.list_(external_id, *before, (kind, self.number))

    @rule(index=which)
    def list_again(self, index: int) -> None:
        if (external_id := self._some(index)) is not None and external_id not in self.world.upstream.pending:
            self.world.upstream.list_(external_id, self.world.upstream.ever[external_id][0])

    @rule(index=which)
    def unlist(self, index: int) -> None:
        """Somebody else completes it."""
        if (external_id := self._some(index)) is not None:
            self.world.upstream.withdraw(external_id)

    @rule(mood=st.sampled_from(get_args(Mood)))
    def market_is(self, mood: Mood) -> None:
        self.world.upstream.mood = mood

    @rule(cap=st.sampled_from([None, 2, 5]))
    def market_lists_only(self, cap: int | None) -> None:
        self.world.upstream.cap = cap

    @rule(access=st.sampled_from(["read", "write"]), waits=st.lists(st.sampled_from([1.0, 30.0, 900.0]), max_size=3))
    def market_throttles(self, access: str, waits: list[float]) -> None:
        self.world.upstream.strikes["read" if access == "read" else "write"] = list(waits)

    @rule(index=which)
    def market_refuses(self, index: int) -> None:
        if (external_id := self._some(index)) is not None:
            self.world.upstream.refused.add(external_id)

    # The daemon

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(seconds=st.sampled_from([1.0, 20.0, 400.0]))
    def wait_and_sweep(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        self.world.sweep()

    @rule()
    def complete(self) -> None:
        self.world.complete()

    @rule(seconds=st.sampled_from([1.0, 6.0, 31.0, 61.0, 130.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(minutes=st.sampled_from([11, 45, 150, 600]))
    def wait_long(self, minutes: int) -> None:
        self.world.pass_time(60.0 * minutes)

    @rule(after_hours=st.sampled_from([0, 3, 10]))
    def prune(self, after_hours: int) -> None:
        self.world.pass_time(3600.0 * after_hours)
        self.promises_hold()  # what settled meanwhile may be pruned, and is to be seen settled before it is
        self.world.prune()

    # The receivers

    @rule(sink=sinks, answer=answers)
    def receiver_answers(self, sink: str, answer: Answer) -> None:
        self.world.answers[sink] = answer

    @rule(sink=sinks)
    def receiver_is_well(self, sink: str) -> None:
        self.world.answers[sink] = "accept"

    @rule(sink=sinks, index=which)
    def poison(self, sink: str, index: int) -> None:
        """From now on, sending this kills the process."""
        if (external_id := self._some(index)) is not None:
            self.world.poison.add((sink, external_id))

    # What befalls the process

    @rule(seconds=st.sampled_from([5, 300, 7200, 2 * 86400]), noticed=st.booleans())
    def clock_is_set_back(self, seconds: int, noticed: bool) -> None:
        self.world.set_wall(timedelta(seconds=-seconds), noticed=noticed)

    @rule(seconds=st.sampled_from([65.0, 130.0, 7200.0]))
    def machine_is_suspended(self, seconds: float) -> None:
        """Everything falls due at once, deadlines and leases too."""
        self.world.hours.seconds += seconds
        self.world.pass_time(0)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule(what=st.sampled_from(["sweep", "complete", "replay", "stop", "nothing"]), turns=st.integers(0, 60))
    def crash_during(self, what: str, turns: int) -> None:
        self.world.crash_during(what, turns)

    @rule(point=st.sampled_from(POINTS))
    def crash_at(self, point: str) -> None:
        self.world.die_at = point
        self.world.sweep()
        self.world.die_at = None

    @rule(crash=st.booleans())
    def disk_is_full(self, crash: bool) -> None:
        self.world.full_disk(crash=crash)

    # The operator

    @rule(plan=st.sampled_from(PLANS))
    def restart(self, plan: Plan) -> None:
        self.world.restart(plan)

    @rule(states=st.sampled_from([(), ("rejected", "gave_up"), ("delivered",)]), add_to=st.sampled_from([(), ("two",)]))
    def replay(self, states: tuple[str, ...], add_to: tuple[str, ...]) -> None:
        self.world.replay(states=list(states), add_to=list(add_to))

    @rule(sink=sinks)
    def stop_sink(self, sink: str) -> None:
        self.world.stop_sink(sink)

    @rule(sink=sinks)
    def resume_sink(self, sink: str) -> None:
        self.world.resume_sink(sink)

    @invariant()
    def promises_hold(self) -> None:
        Machine.steps += 1
        self.world.model.check()

    def teardown(self) -> None:
        """Once everything is mended, everything comes to its end; a poison stays poison (I8)."""
        try:
            if not self.world.model.wrong:
                self._heal()
                self._comes_to_its_end()
        finally:
            self.world.close()

    def _heal(self) -> None:
        world = self.world
        world.upstream.mood, world.upstream.cap = "well", None
        world.upstream.refused.clear()
        world.upstream.strikes.clear()
        world.answers = dict.fromkeys(BATCH, "accept")
        world.restart(EVERYTHING)
        for sink in BATCH:
            world.resume_sink(sink)

    def _comes_to_its_end(self) -> None:
        world = self.world
        for number in range(ROUNDS_TO_HEAL):
            world.sweep()
            world.model.check()
            world.pass_time(10 if number < 10 else 3600 * 7)
            if self._is_over():
                break
        snapshot = world.model.check()
        assert not world.upstream.pending, f"I1, I19: never completed: {sorted(world.upstream.pending)}"
        for (key, sink), owed in snapshot.deliveries.items():
            assert owed.settled, f"I4, I8: {key} to {sink} never came to its end: {owed}"
        open_ = [key for key, stored in snapshot.events.items() if not stored.acknowledged]
        assert not open_, f"I19: not known to be completed: {open_}"

    def _is_over(self) -> bool:
        snapshot = self.world.model.check()
        completed = all(stored.acknowledged for stored in snapshot.events.values())
        settled = all(owed.settled for owed in snapshot.deliveries.values())
        return completed and settled and not self.world.upstream.pending
