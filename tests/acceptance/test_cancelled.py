"""F55: whatever is cancelled at whichever await, nothing is half done, and the next life finishes it."""

import asyncio
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from daemon.app.build import load_settings
from daemon.simulator.server import Simulator
from tests.acceptance.cancelling import live

EVENTS, SINKS = 3, ("one", "two")
UNTOUCHED = 10**9


class Round:
    """Three events on their way from the simulator to two webhooks, in a database of their own."""

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self.sim = sim
        self.folder = folder
        config = folder / "config.toml"
        sinks = "".join(f'[sinks.{name}]\ntype = "webhook"\nurl = "{sim.webhook_url(name)}"\n' for name in SINKS)
        config.write_text(
            f'[daemon]\nstop_timeout = "5s"\n[sources.shop]\ntype = "builtbybit"\nbase_url = "{sim.api_url}"\n'
            f'token = "{sim.token}"\n{sinks}'
        )
        config.chmod(0o600)
        self.loaded = load_settings(config, {})

    async def cut_at(self, nth: int, *, running: bool) -> bool:
        """A life that is cancelled at its n-th await, and one that is not; whether the first came that far."""
        for path in self.folder.glob("eventferry.db*"):
            path.unlink()
        ids = [self.sim.upstream.add_sample() for _ in range(EVENTS)]
        seen = {name: len(self.sim.inbox.received(name)) for name in SINKS}
        over = (lambda: set(ids) <= self.sim.upstream.completed.keys()) if running else None
        cut = await live(self.loaded, nth, over)
        self._nothing_is_half_done(nth, ids)
        await live(self.loaded, UNTOUCHED)
        assert set(ids) <= self.sim.upstream.completed.keys(), f"await {nth}: not completed"
        assert self._rows("SELECT DISTINCT state FROM deliveries") == [("delivered",)], f"await {nth}"
        for name in SINKS:
            self._each_arrived(nth, name, ids, seen[name])
        return cut

    def _nothing_is_half_done(self, nth: int, ids: list[str]) -> None:
        """M7: a cancelled commit happened or it did not; nothing was completed that is not settled on disk (I2, I3)."""
        if not (self.folder / "eventferry.db").exists() or not self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
            assert not self.sim.upstream.completed.keys() & set(ids), f"await {nth}: completed, and nothing is on disk"
            return
        owed = self._rows(
            "SELECT external_id, count(*), sum(state != 'waiting') FROM deliveries "
            "JOIN events ON events.id = event_id WHERE source = 'shop' GROUP BY 1"
        )
        stored = {row[0] for row in self._rows("SELECT external_id FROM events WHERE source = 'shop'")}
        assert {row[0]: row[1] for row in owed} == dict.fromkeys(stored, len(SINKS)), f"await {nth}: half stored"
        settled = {external_id for external_id, number, done in owed if number == done}
        assert self.sim.upstream.completed.keys() & set(ids) <= settled, f"await {nth}: completed too early"

    def _each_arrived(self, nth: int, name: str, ids: list[str], seen: int) -> None:
        """Every event, each under one id; a repeat only where an attempt has no verdict (I5, I6)."""
        accepted = Counter(call.id for call in self.sim.inbox.received(name)[seen:] if call.accepted)
        assert set(accepted) == {f"shop-{external_id}-{name}" for external_id in ids}, f"await {nth}: {accepted}"
        unheard = Counter(
            f"shop-{external_id}-{name}"
            for (external_id,) in self._rows(
                "SELECT external_id FROM attempts JOIN deliveries ON deliveries.id = delivery_id JOIN events ON "
                "events.id = event_id WHERE attempts.outcome != 'delivered' AND sink = ?",
                name,
            )
        )
        for delivery, times in accepted.items():
            assert times <= 1 + unheard[delivery], f"await {nth}: {delivery} came {times} times, {unheard}"

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "eventferry.db")) as connection:
            return connection.execute(query, values).fetchall()


def cut_at_each(folder: Path, *, running: bool, stride: int) -> int:
    """Cut lives, one at each so-manieth await, until one comes to its end untouched; how many there were."""

    async def scenario() -> int:
        async with Simulator.start() as sim:
            one, nth = Round(sim, folder), 1
            while await one.cut_at(nth, running=running):
                nth += stride
            return nth // stride

    return asyncio.run(scenario())


def test_a_round_that_is_cancelled_at_any_await_leaves_nothing_half_done_lost_or_running(tmp_path: Path) -> None:
    """F55, M7, I1 to I3, I5, I6, I13: every single await of a daemon's tasks, from its start to the end of a round."""
    assert cut_at_each(tmp_path, running=False, stride=1) > 30


def test_a_daemon_of_which_a_task_is_cancelled_stops_and_the_next_one_finishes(tmp_path: Path) -> None:
    """F55, I13: the same on the schedule, whose pauses take time; every await by `CANCEL_STRIDE=1 pytest` this file."""
    assert cut_at_each(tmp_path, running=True, stride=int(os.environ.get("CANCEL_STRIDE", "9"))) > 4
