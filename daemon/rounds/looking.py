"""When a lane looks at what it may do: as soon as somebody wakes it, and when a time comes that it named itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from daemon import log
from daemon.store import StoreBroken, StoreClosed

CRASH_WAIT = timedelta(seconds=5)

_log = log.get(__name__)


class Looking:
    """Calls `look`, which starts what may be started and says how long until that may change by itself."""

    def __init__(self, sink: str, look: Callable[[], Awaitable[timedelta | None]]) -> None:
        self._sink = sink
        self._look = look
        self._woken = asyncio.Event()
        self._woken.set()
        self._calm = asyncio.Event()
        self.under_way = False
        """It is just looking."""
        self.stopping = False

    @property
    def busy(self) -> bool:
        """Whether it looks, or is about to."""
        return self.under_way or self._woken.is_set()

    def wake(self) -> None:
        """Look again: something may have changed."""
        self._woken.set()

    def stop(self) -> None:
        """Let `run` end, after one last look at the most."""
        self.stopping = True
        self.wake()

    def rest(self) -> None:
        """Something has ended: let those in `wait_while` ask again."""
        self._calm.set()

    async def wait_while(self, is_busy: Callable[[], bool]) -> bool:
        """Return once it is not busy, of which `rest` has to tell; whether there was anything to wait for."""
        waited = False
        while is_busy():
            waited = True
            self._calm.clear()
            await self._calm.wait()
        return waited

    async def run(self) -> None:
        """Look again and again, until stopped or until the store is closed or broken."""
        while not self.stopping:
            self._woken.clear()
            self.under_way = True
            try:
                wait = await self._look()
            except (StoreClosed, StoreBroken):
                return
            except Exception as error:  # noqa: BLE001 - a lane that ended would leave its sink without a word
                _log.error("lane.crashed", sink=self._sink, exc_info=error)
                wait = CRASH_WAIT
            finally:
                self.under_way = False
                self.rest()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else max(wait.total_seconds(), 0)):
                    await self._woken.wait()
