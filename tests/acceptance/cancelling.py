"""Cancels one task of a daemon: the one that comes to the n-th await of them all, counted from the start."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar, copy_context
from typing import Any

from daemon.app.daemon import Daemon
from daemon.settings import Loaded

_ours: ContextVar[bool] = ContextVar("_ours", default=False)
"""Whether a task belongs to the daemon; what runs beside it in the same loop is left alone."""
PATIENCE = 30.0


class Blade:
    """Counts the awaits of the daemon's tasks, and cancels the task that comes to the n-th."""

    def __init__(self, nth: int) -> None:
        self._left = nth
        self.fell = asyncio.Event()
        self.tasks: set[asyncio.Task[Any]] = set()

    def make(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        """For `loop.set_task_factory`."""
        context = more.get("context")
        if not (context or copy_context()).get(_ours, False):
            return asyncio.Task(coroutine, loop=loop, **more)
        counted = _Counted(coroutine, self)
        task = counted.task = asyncio.Task(counted, loop=loop, **more)
        self.tasks.add(task)
        return task

    def awaited(self, task: asyncio.Task[Any]) -> None:
        self._left -= 1
        if self._left == 0:
            task.cancel()
            self.fell.set()

    def pending(self) -> list[asyncio.Task[Any]]:
        return [task for task in self.tasks if not task.done()]


class _Counted(Coroutine[Any, Any, Any]):
    """A task's coroutine that tells each time it waits for something."""

    task: asyncio.Task[Any]

    def __init__(self, inner: Coroutine[Any, Any, Any], blade: Blade) -> None:
        self._inner = inner
        self._blade = blade

    def send(self, value: Any) -> Any:
        waits_for = self._inner.send(value)
        self._blade.awaited(self.task)
        return waits_for

    def throw(self, *error: Any) -> Any:
        waits_for = self._inner.throw(*error)
        self._blade.awaited(self.task)
        return waits_for

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError


async def live(loaded: Loaded, nth: int, until: Callable[[], bool] | None = None) -> bool:
    """One life, in which one task is cancelled, then a stop; whether it came to the n-th await.

    It is a single round; or, with `until`, a daemon that runs, on its schedule, until something is the case. Nothing
    may be pending afterwards. What waits from an earlier life is due at once, as on an operator's word.
    """
    loop, blade, daemon = asyncio.get_running_loop(), Blade(nth), Daemon(loaded)
    loop.set_task_factory(blade.make)
    context = copy_context()
    context.run(_ours.set, True)
    try:
        opened = loop.create_future()
        life = loop.create_task(_life(daemon, loaded, opened, until), context=context)
        fell = loop.create_task(blade.fell.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({life, fell}, return_when=asyncio.FIRST_COMPLETED)
            while until is not None and not until() and not blade.fell.is_set():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            if not blade.fell.is_set():
                life.result()
            await asyncio.wait({life, opened}, return_when=asyncio.FIRST_COMPLETED)
            if opened.done():
                await daemon.stop()
            else:
                # Never open, it is not stopped; the process would end, and the file be free, here.
                await daemon.store.database.close()
            # It may wait for what will not come any more.
            life.cancel()
            fell.cancel()
            opened.cancel()
            await asyncio.gather(life, fell, opened, return_exceptions=True)
    finally:
        loop.set_task_factory(None)
    assert not blade.pending(), f"await {nth}: still pending: {blade.pending()}"
    return blade.fell.is_set()


async def _life(
    daemon: Daemon, loaded: Loaded, opened: "asyncio.Future[None]", until: Callable[[], bool] | None
) -> None:
    await daemon.open()
    opened.set_result(None)
    for sink in loaded.settings.sinks:
        await daemon.operator.resume_sink({"name": sink})
    await (daemon.once() if until is None else daemon.start())
