"""Telling the operator, once, through the sinks that the config names for it."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from daemon import log
from daemon.store import Store

AGAIN_AFTER = timedelta(hours=24)
"""What goes on is said again each day."""

_log = log.get(__name__)


class Alerts:
    """What the daemon itself has to say becomes an event of its own, with deliveries like any other."""

    def __init__(self, store: Store, sinks: Sequence[str], wake: Callable[[Collection[str]], None]) -> None:
        self._store = store
        self._sinks = sinks
        self._wake = wake

    async def tell(
        self,
        kind: str,
        key: str,
        text: str,
        *,
        about_sink: str | None = None,
        again_after: timedelta | None = AGAIN_AFTER,
    ) -> None:
        """Say something once; `key` names the matter, `about_sink` is not used to carry it.

        `again_after`: how long the same matter is not told again; None: until `over` was called.
        """
        if not await self._store.notices.is_news(f"{kind}:{key}"[:200], again_after=again_after):
            return
        _log.warning(kind, about=key, text=text)
        await self._send(kind, key, text, about_sink)

    async def over(self, kind: str, key: str, text: str, *, about_sink: str | None = None) -> None:
        """Say that a matter is settled, if it had been told."""
        if await self._store.notices.is_over(f"{kind}:{key}"[:200]):
            _log.info(f"{kind}.over", about=key, text=text)
            await self._send(kind, key, text, about_sink)

    async def _send(self, kind: str, key: str, text: str, about_sink: str | None) -> None:
        sinks = [name for name in self._sinks if name != about_sink]
        moment = self._store.database.clock()
        external_id = f"{kind}-{key}-{moment:%Y%m%dT%H%M%S%f}"[-200:]
        added = await self._store.events.add_own(kind, external_id, {"text": text, "about": key}, sinks)
        self._wake(added.woken)
