"""Kill -9 under load: nothing is lost, nothing is completed early, and each repeat is explained (I1-I8, F1-F3, F8).

The long forms are `python -m tests.soak`, `python -m tests.soak.syscalls` and `python -m tests.soak.powercut`.
"""

import asyncio
import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from daemon.simulator.faults import Behaviour
from tests.acceptance.conftest import PATIENCE
from tests.soak.oracle import DEATHS_TO_GIVE_UP, judge
from tests.soak.ordeal import POINTS, ordeal
from tests.soak.powercut import cut_power, require_whole
from tests.soak.recording import Flush, record
from tests.soak.syscalls import under_strace


def test_a_daemon_that_is_killed_again_and_again_loses_nothing_and_completes_nothing_early(tmp_path):
    """I1 to I7. F2: at each named point, W1 to W6; F1: at any moment. Each life finds what the one before it left."""

    async def story():
        async with ordeal(tmp_path, seed=1) as one:
            for name, point in POINTS.items():
                assert await one.live(point, events=3), name
            for moment in (0.3, *(replace(POINTS["fetched"], delay=seconds) for seconds in (0.03, 0.2, 0.7))):
                await one.live(moment, events=8)
            return judge(await one.live_on())

    verdict = asyncio.run(story())
    assert verdict.problems == []
    assert verdict.repeats
    assert verdict.completed_again, "W6 happened"


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace")
def test_a_daemon_killed_as_it_flushes_loses_nothing(tmp_path):
    """F3, F56, I13: the first start of all, a start after a kill, then the flushes of add, claim and record."""

    async def story():
        async with ordeal(tmp_path, seed=1) as one:
            for number in (2, 0, 2, 4, 6):
                under = under_strace("fdatasync", number, tmp_path) if number else ()
                assert await one.round(events=2, under=under) == bool(number), "it was killed as it was meant to be"
            return judge(await one.rounds())

    assert asyncio.run(story()).problems == []


@pytest.mark.parametrize("deadly", [("one",), ("one", "other")])
def test_an_event_that_kills_the_process_is_given_up_after_three_deaths_and_the_rest_flows(world, deadly):
    """I8, F8, at however many sinks; what was under way beside it died with it and must not be given up with it."""
    poison = {"id": "", "deaths": 0}

    def kill(stage, seen):
        if stage == "received" and seen.name in deadly and json.loads(seen.body)["event_id"] == poison["id"]:
            poison["world"].kill()

    async def story():
        async with world(on_request=kill) as w:
            poison["world"] = w
            w.configure(sinks=w.webhook("one") + w.webhook("other"))
            for name in ("one", "other"):
                w.sim.inbox.behave(name, Behaviour(latency=0.2))
            ids = [w.sim.upstream.add_sample() for _ in range(7)]
            poison["id"] = ids[2]
            while w.sim.upstream.pending:
                await w.start()
                await w.sim.until(lambda: not w.sim.upstream.pending or w.process.returncode is not None, PATIENCE)
                poison["deaths"] += w.process.returncode is not None
                assert poison["deaths"] <= DEATHS_TO_GIVE_UP, "it dies and dies"
            assert await w.stop() == 0
            assert poison["deaths"] == DEATHS_TO_GIVE_UP
            states = dict(
                w.rows("SELECT external_id || d.sink, state FROM deliveries d JOIN events e ON e.id = event_id")
            )
            assert [states.pop(f"{poison['id']}{name}") for name in deadly] == ["gave_up"] * len(deadly)
            assert set(states.values()) == {"delivered"}
            for name in ("one", "other"):
                counts = Counter(w.accepted(name))
                assert set(counts) >= {f"builtbybit-{each}-{name}" for each in ids if each != poison["id"]}
                assert counts.total() <= 7 + 4 + 2, "one repeat for what was under way, two more for the poison"

    asyncio.run(story())


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace")
def test_a_power_cut_loses_nothing_that_the_source_was_told_is_complete(tmp_path):
    """F4, I2, I3, W1 to W8, W11: whatever of the unflushed writes the disk kept, torn or not."""
    steps = asyncio.run(record(tmp_path, events=20))
    require_whole(steps, tmp_path)
    remains = tmp_path / "remains"
    remains.mkdir()
    tally = cut_power(steps, 300, seed=1, folder=remains)
    assert (tally.lost, tally.broken) == ([], [])
    assert tally.opened
    unheeded = [step for step in steps if not isinstance(step, Flush) or not step.name.endswith("-wal")]
    assert cut_power(unheeded, 60, seed=1, folder=remains).lost, "a disk that does not flush would be found out"
