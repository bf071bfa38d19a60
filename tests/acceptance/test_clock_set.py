"""A start on a clock that was set, after a reboot, in an odd zone: nothing comes early, late or twice."""

import asyncio
import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from daemon.simulator.faults import Behaviour
from tests.acceptance.conftest import PATIENCE
from tests.soak.clock import EARLY, LIBRARIES, WallClock

needs_libfaketime = pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime")
WAIT = 4.0
BUSY = 60.0
"""Seconds of delay that a busy machine explains; a clock that was believed would cost an hour, or years."""


@needs_libfaketime
def test_a_start_on_a_clock_that_was_set_back_waits_no_longer_than_it_should(world):
    """F46, F48, I12: the retry was planned by a clock that was two days ahead."""

    async def story():
        async with world() as w:
            clock = WallClock(w.folder)
            clock.set(timedelta(days=2))
            w.configure(sinks=w.webhook("hook", f'retries = ["{WAIT:g}s"]'))
            w.sim.inbox.behave("hook", Behaviour(statuses=(503,)))
            w.sim.upstream.add_sample()
            await w.start(under=clock.under)
            await w.until(lambda: "delivery.postponed" in w.log() and w.rows("SELECT 1 FROM attempts"))
            assert await w.stop() == 0
            clock.set(timedelta(hours=-1))
            await w.start(under=clock.under)
            await w.until(lambda: w.accepted("hook"), BUSY)
            assert await w.stop() == 0
            failed, accepted = w.sim.inbox.received("hook")
            assert accepted.at - failed.at > WAIT - EARLY

    asyncio.run(story())


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs the program unshare")
def test_after_a_reboot_a_retry_waits_for_the_rest_of_its_time(world):
    """F48: monotonic time begins anew, so what waits must not be measured by it."""

    async def story():
        async with world() as w:
            w.configure(sinks=w.webhook("hook", f'retries = ["{WAIT:g}s"]'))
            w.sim.inbox.behave("hook", Behaviour(statuses=(503,)))
            w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: "delivery.postponed" in w.log() and w.rows("SELECT 1 FROM attempts"))
            w.kill()
            await w.process.wait()
            # The clocks of the new "machine" are a month ahead; that they jump at all is the point.
            moved = ("--monotonic", "2592000", "--boottime", "2592000")
            await w.start(under=("unshare", "-T", *moved, "--fork", "--kill-child=TERM", "--"))
            await w.until(lambda: w.accepted("hook"), BUSY)
            w.kill()
            await w.process.wait()
            failed, accepted = w.sim.inbox.received("hook")
            assert accepted.at - failed.at > WAIT - EARLY

    asyncio.run(story())


@pytest.mark.parametrize("zone", ["Pacific/Apia", "America/St_Johns"])
def test_whatever_the_zone_and_the_leap_second_events_go_through_and_moments_are_stored_in_utc(world, zone):
    """F47: an odd zone, with and without daylight saving; a second that is no second of Python's."""

    async def story():
        async with world() as w:
            w.configure(daemon=f'timezone = "{zone}"')
            leap = w.sim.upstream.add("purchase", {}, created_at="2016-12-31T23:59:60Z")
            plain = w.sim.upstream.add("purchase", {}, created_at=1_483_228_799)
            await w.start("once", under=("env", f"TZ={zone}"))
            async with asyncio.timeout(PATIENCE):
                assert await w.process.wait() == 0
            assert sorted(w.accepted("hook")) == sorted(f"builtbybit-{each}-hook" for each in (leap, plain))
            assert w.sim.upstream.pending == []
            moments = dict(w.rows("SELECT external_id, occurred_at FROM events WHERE source = 'builtbybit'"))
            assert moments[plain].startswith("2016-12-31 23:59:59")
            for (stored_at,) in w.rows("SELECT stored_at FROM events"):
                moment = datetime.fromisoformat(stored_at).replace(tzinfo=UTC)
                assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
            (sent,) = [call for call in w.sim.inbox.received("hook") if call.id == f"builtbybit-{plain}-hook"]
            assert "2016-12-31T23:59:59" in json.dumps(sent.json())

    asyncio.run(story())
