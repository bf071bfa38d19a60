"""A machine that slept: what waits is looked at as soon as it wakes (F6)."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from daemon.clock import SteadyClock
from daemon.schedule import watch_clock


def test_a_machine_that_slept_is_told_of_as_a_step_of_nothing() -> None:
    """Timers of the loop do not count the time asleep, so whoever waits must be woken."""

    async def scenario() -> None:
        began, asleep = datetime.now(UTC), 0.0

        def even() -> float:
            return time.monotonic() + asleep

        first, told = even(), asyncio.Queue[timedelta]()
        clock = SteadyClock(lambda: began + timedelta(seconds=even() - first), even)
        watching = asyncio.create_task(watch_clock(clock, told.put))
        await asyncio.sleep(0)
        asleep = 8 * 3600.0
        assert await asyncio.wait_for(told.get(), 20) == timedelta()
        watching.cancel()

    asyncio.run(scenario())
