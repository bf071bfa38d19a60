"""Rate limits are kept: nothing goes out before its gate opens, in whichever unit and over whichever restart (I11).

The long form is `python -m tests.soak.manners`.
"""

import asyncio
import json
import random
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest

from daemon.retry import DEFAULT_WAITS
from daemon.rounds.policy import LanePolicy
from daemon.simulator.faults import Behaviour, Faults
from tests.daemon.rounds.lanes import running
from tests.daemon.rounds.world import Hand
from tests.receivers import Answer, Request, Writer, http_receiver, reply
from tests.rigs import build
from tests.soak.manners import steady, unsteady, verdict

WAIT = 6.0
"""Seconds for which a gate is shut here, longer than a restart takes."""
PATIENCE = 90.0
SHUT = "SELECT access FROM gates UNION SELECT name FROM sinks WHERE lane LIKE '%held_until%' ORDER BY 1"
LIVES = 24


def on_disk(w: Any, query: str) -> list[tuple[Any, ...]]:
    """What the daemon wrote down, once there is a database."""
    with suppress(OperationalError):
        return w.rows(query)
    return []


def test_no_request_comes_before_its_gate_opens_over_restarts_and_kills():
    """I11, F29, F30, F31: reads and writes, all spellings, both units; at a time that is made up."""
    tried = asyncio.run(unsteady(seed=7, answers=100))
    ledgers = tried.host.ledgers
    assert [ledger.early for ledger in ledgers.values()] == [[], []]
    assert max(ledger.most_in_a_window for ledger in ledgers.values()) == 1, verdict(tried.host)
    for ledger in ledgers.values():
        assert ledger.passed > 5
        assert ledger.told.total() > 15
    assert tried.ends["stopped"]


def test_a_steady_load_below_the_limit_meets_no_429():
    calm = asyncio.run(steady(seed=7, minutes=20))
    assert calm.host.told == 0
    assert all(ledger.passed > 30 for ledger in calm.host.ledgers.values())


def test_gates_and_lanes_stay_shut_for_the_next_process(world):
    """I11, F30 (seconds from the edge), F39: reads, a webhook and a Discord webhook; the first process is killed."""

    async def story():
        async with world() as w:
            w.configure(
                sinks=w.webhook("hook", "concurrency = 1")
                + f'[sinks.chat]\ntype = "discord"\nurl = "{w.sim.discord_url("chat")}"\n',
                source='poll_min = "1s"',
            )
            w.sim.upstream.faults = Faults(read_limit=1, limit_window=WAIT, retry_after="edge")
            for name in ("hook", "chat"):
                w.sim.inbox.behave(name, Behaviour(statuses=(429,), retry_after=f"{WAIT:g}"))
            ids = [w.sim.upstream.add_sample() for _ in range(2)]
            await w.start()
            await w.until(lambda: on_disk(w, SHUT) == [("chat",), ("hook",), ("read",)])
            await w.stop(signal.SIGKILL)
            await w.start()
            await w.until(lambda: set(w.sim.upstream.completed) == set(ids), PATIENCE)
            reads = sum(call.method == "GET" for call in w.sim.upstream.calls)
            await w.until(lambda: sum(call.method == "GET" for call in w.sim.upstream.calls) > reads, PATIENCE)
            assert await w.stop() == 0
            assert [call for call in (*w.sim.upstream.calls, *w.sim.inbox.calls) if call.too_early] == []
            for name in ("hook", "chat"):
                assert [call.status == 429 for call in w.sim.inbox.received(name)].count(True) == 1

    asyncio.run(story())


def test_completing_waits_for_its_gate_in_the_next_process(world):
    """I11, F29: milliseconds from the API itself."""

    async def story():
        async with world() as w:
            w.configure(source='poll_min = "1s"')
            w.sim.upstream.faults = Faults(scope="write", error_status=429, times=1, limit_window=WAIT)
            event_id = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: on_disk(w, "SELECT access FROM gates") == [("write",)])
            await w.stop(signal.SIGKILL)
            await w.start()
            await w.until(lambda: w.sim.upstream.completed == {event_id: 1}, PATIENCE)
            assert await w.stop() == 0
            calls = w.sim.upstream.calls
            assert [call for call in calls if call.too_early] == []
            assert [call.status for call in calls if call.method == "POST"][:2] == [429, 200]

    asyncio.run(story())


class Picky:
    """A receiver that wants fewer calls most of the time, and writes down who comes too early."""

    def __init__(self, clock: Hand, kind: str) -> None:
        self.told, self.passed, self.early = 0, 0, []
        self._clock, self._kind = clock, kind
        self._chance = random.Random(kind)
        self._opens_at = clock.now

    async def answer(self, request: Request, writer: Writer) -> None:
        if self._clock.now < self._opens_at:
            self.early.append(self._opens_at - self._clock.now)
        if self._chance.random() < 0.4:
            self.passed += 1
            await reply(200, b'{"id": "99"}')(request, writer)
            return
        self.told += 1
        answer, owed = self._refusal(round(self._chance.uniform(0.2, 90), 3))
        self._opens_at = self._clock.now + timedelta(seconds=owed)
        await answer(request, writer)

    def _refusal(self, wait: float) -> tuple[Answer, float]:
        """An answer, and the seconds that it obliges to."""
        if self._kind == "webhook":
            return self._chance.choice([
                (reply(429, Retry_After=str(wait)), wait),
                (reply(429, Retry_After=str(round(wait) + 1)), round(wait) + 1),
                (reply(429), 2),
            ])  # fmt: skip
        body = json.dumps({"message": "limited", "retry_after": wait, "global": self._chance.random() < 0.5}).encode()
        return self._chance.choice([
            (reply(429, body), wait),
            (reply(429, body, Retry_After=str(round(wait) + 1)), round(wait) + 1),
            (reply(429, b"error code: 1015", Retry_After=str(wait)), 600),
        ])  # fmt: skip


@pytest.mark.parametrize("kind", ["webhook", "discord"])
def test_a_lane_waits_as_long_as_its_receiver_asks_over_restarts(tmp_path: Path, kind: str) -> None:
    """F39; Discord names seconds with fractions, for one webhook or for all, and is banned at the edge for longer."""

    async def story() -> None:
        clock = Hand()
        picky = Picky(clock, kind)
        async with http_receiver(picky.answer) as receiver:
            for lives in range(LIVES):
                sink: Any = build(kind, url=f"{receiver.url}/api/webhooks/1/token")
                sink.policy = LanePolicy(DEFAULT_WAITS, 1, 1, timedelta(minutes=1))
                async with running(tmp_path, clock, hook=sink) as lanes:
                    await lanes.arrive(3, "hook", first=1 + 3 * lives)
                    for share in (0.0, 0.5, 0.998, 1.0)[: lives % 4 + 2]:
                        held = lanes.of["hook"].lane.held_until or clock.now
                        await lanes.pass_time(clock, seconds=max(0.0, share * (held - clock.now).total_seconds()))
                await sink.close()
                clock.advance(seconds=0.001)
        assert picky.early == []
        assert picky.told > 10

    asyncio.run(story())
