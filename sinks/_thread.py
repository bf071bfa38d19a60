"""Calls that may never come back, each in a thread that nobody has to wait for."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_PATIENCE = 1.0
"""Seconds that one call waits for another which was given up, before it is given up too."""


class Hanging(Exception):
    """An earlier call has not come back yet."""


def start(function: Callable[[], _Result]) -> Future[_Result]:
    """Call it in a thread of its own, which nobody has to wait for, not even the end of the process.

    The event loop's own threads are few, shared by all, and waited for at the end.
    """
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - a thread has nobody else to tell
            future.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))

    threading.Thread(target=run, name="left-alone", daemon=True).start()
    return future


class OneByOne:
    """Calls one after the other; while one hangs that was given up, no further one is begun."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._left: tuple[object, Future[Any]] | None = None
        """The call that was given up last, and what it does."""

    async def call(self, what: object, function: Callable[[], _Result]) -> _Result:
        """Do it; what was given up and is asked for again is waited for once more, not done twice.

        Raises Hanging, and whatever `function` raises.
        """
        async with self._turn:
            given_up, call = self._left or (None, None)
            if call is not None and given_up != what and not call.done():
                await asyncio.wait([asyncio.wrap_future(call)], timeout=_PATIENCE)
                if not call.done():
                    raise Hanging
            if call is None or given_up != what:
                call = start(function)
            try:
                result: _Result = await asyncio.wrap_future(call)
                return result
            finally:
                if not call.done():
                    self._left = what, call
                elif given_up == what:
                    self._left = None
