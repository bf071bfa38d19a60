"""The attempts of one lane that have no verdict yet."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta

from daemon import log
from daemon.store import StoreBroken, StoreClosed

CANCEL_SECONDS = 5.0

_log = log.get(__name__)


class UnderWay:
    """Runs them side by side; `on_end` is called after each."""

    def __init__(self, sink: str, on_end: Callable[[], None]) -> None:
        self._sink = sink
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, sending: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Make one more attempt."""
        task = asyncio.create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._on_end()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreClosed | StoreBroken):
            _log.error("delivery.crashed", sink=self._sink, exc_info=error)

    async def end(self, within: timedelta) -> int:
        """Give them so long, then cut them off; how many were."""
        late: set[asyncio.Task[None]] = set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within.total_seconds())
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=CANCEL_SECONDS)
        return len(late)
