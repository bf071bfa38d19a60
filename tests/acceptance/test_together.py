"""What people are told together waits in a real process over its deaths, and comes once its time has come."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.soak.clock import LIBRARIES, WallClock

HOUR = timedelta(hours=1)
HOOK_WAITS = "SELECT count(*) FROM deliveries WHERE sink = 'hook' AND state = 'waiting'"
KEPT_BACK = "SELECT sink, gathered, count(*), max(attempt) FROM deliveries WHERE state = 'waiting' GROUP BY 1"


def chat(w, name, more):
    return f'[sinks.{name}]\ntype = "discord"\nurl = "{w.sim.discord_url(name)}"\naudience = "full"\n{more}\n'


def keys(w, name):
    """How often each message arrived, by the id at its foot."""
    bodies = [json.loads(call.body) for call in w.sim.inbox.received(name)]
    return Counter(body["embeds"][0]["footer"]["text"] for body in bodies)


@pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime")
def test_a_digest_and_quiet_hours_outlive_kills_and_then_come_as_one_message(world):
    """I2, I5: meanwhile the events are completed upstream, since they are on disk here; a kill repeats one message."""
    killer = {"armed": False}

    def kill(stage, seen):
        if stage == "answered" and seen.name == "day" and killer.pop("armed", False):
            killer["world"].kill()

    async def story():
        async with world(on_request=kill) as w:
            killer["world"] = w
            clock, now = WallClock(w.folder), datetime.now(UTC)
            quiet = f'quiet_hours = "{now - HOUR:%H:%M}-{now + 2 * HOUR:%H:%M}"'
            sinks = w.webhook("hook") + chat(w, "day", f'digest = "{now + 6 * HOUR:%H:%M}"') + chat(w, "night", quiet)
            w.configure(sinks=sinks, source='complete_within = "1s"', daemon='timezone = "UTC"')
            for number in (3, 1):
                for _ in range(number):
                    w.sim.upstream.add_sample()
                await w.start(under=clock.under)
                await w.until(lambda: not w.sim.upstream.pending and w.rows(HOOK_WAITS) == [(0,)])
                w.kill()
                await w.process.wait()
            assert w.rows(KEPT_BACK) == [("day", "digest", 4, 0), ("night", "quiet", 4, 0)]
            assert (keys(w, "day"), keys(w, "night"), len(w.accepted("hook"))) == ({}, {}, 4)
            # Three hours after the quiet ones, and a day after the digest.
            clock.set(27 * HOUR)
            killer["armed"] = True
            await w.start(under=clock.under)
            await w.process.wait()
            await w.start(under=clock.under)
            await w.until(lambda: w.rows("SELECT state, count(*) FROM deliveries GROUP BY 1") == [("delivered", 12)])
            assert await w.stop() == 0
            assert list(keys(w, "day").values()) == [2], "the kill came before the answer was on disk"
            assert len(keys(w, "night")) == 1
            for name in ("day", "night"):
                assert all(key.startswith("s-") for key in keys(w, name))

    asyncio.run(story())
