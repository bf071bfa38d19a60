"""Telling the operator, once, through the sinks that the config names for it."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from daemon import log
from daemon.lane import OUT_OF_ORDER, Health
from daemon.store import Added, DeadLetters, Operation, Store

AGAIN_AFTER = timedelta(hours=24)
"""What goes on is said again each day."""
AT_MOST_EVERY = timedelta(hours=1)
"""What comes and goes, or turns from bad to worse, is told no more often."""

_log = log.get(__name__)


class Alerts:
    """What the daemon itself has to say becomes an event of its own, with deliveries like any other."""

    def __init__(
        self,
        store: Store,
        sinks: Sequence[str],
        wake: Callable[[Collection[str]], None],
        *,
        health: Callable[[str], Health] = lambda _: "ok",
        advice: Callable[[str, str], str] = lambda name, reason: "See: eventferry status",
        command: Callable[[str], str] = "eventferry {}".format,
    ) -> None:
        """`health` tells how a sink is; `advice`, what to do about one that was shut for some reason, in a sentence.

        `command` writes a subcommand as it is to be typed.
        """
        self.store = store
        self._sinks = sinks
        self._wake = wake
        self._health = health
        self.advice = advice
        self.command = command

    async def tell(
        self,
        kind: str,
        key: str,
        text: str,
        *,
        turn: str = "",
        since: datetime | None = None,
        about_sink: str | None = None,
        again_after: timedelta | None = AGAIN_AFTER,
    ) -> bool:
        """Say something once; `key` names the matter, `about_sink` is not used to carry it; whether it was said.

        `turn`: what the matter has come to, if it can come to several things, and `since` when. Another one is news as
        well, and so is the same once more.
        `again_after`: how long the same is not told again; None: until `over` was called.
        """
        added = await self.store.notices.is_news(
            _matter(kind, key),
            turn=turn,
            since=since,
            again_after=again_after,
            at_most_every=AT_MOST_EVERY if turn else timedelta(),
            say=self._own(kind, key, text, about_sink),
        )
        if added is not None:
            self._said(kind, key, text, added)
        return added is not None

    async def over(self, kind: str, key: str, text: str, *, about_sink: str | None = None) -> None:
        """Say that a matter is settled, if it had been told."""
        added = await self.store.notices.is_over(_matter(kind, key), self._own(kind, key, text, about_sink))
        if added is not None:
            _log.info(f"{kind}.over", about=key, text=text)
            self._wake(added.woken)

    async def dead_letters(self, sink: str, text: Callable[[DeadLetters], str]) -> bool:
        """Tell what died since it was last told, if anything did; False: it is too early to tell again."""
        kind = "alert.dead_letter"
        dead = await self.store.notices.dead_letters(
            _matter(kind, sink),
            sink,
            at_most_every=AT_MOST_EVERY,
            say=lambda dead: self._own(kind, sink, text(dead), sink),
        )
        if dead is not None and dead.told is not None:
            self._said(kind, sink, text(dead), dead.told)
        return dead is not None

    def _own(self, kind: str, key: str, text: str, about_sink: str | None) -> Operation[Added]:
        others = [name for name in self._sinks if name != about_sink]
        working = [name for name in others if self._health(name) not in OUT_OF_ORDER]
        moment = self.store.database.clock()
        external_id = f"{kind}-{key}-{moment:%Y%m%dT%H%M%S%f}"[-200:]
        return self.store.events.own(kind, external_id, {"text": text, "about": key}, working or others)

    def _said(self, kind: str, key: str, text: str, added: Added) -> None:
        _log.warning(kind, about=key, **_in_parts(text))
        self._wake(added.woken)


def _in_parts(text: str) -> dict[str, str]:
    """Text for the log, which would cut a long one off just where it says what to do."""
    trouble, end, advice = text.rpartition(". ")
    return {"text": text} if len(text) <= log.LONGEST_VALUE or not end else {"text": f"{trouble}.", "advice": advice}


def _matter(kind: str, key: str) -> str:
    return f"{kind}:{key}"
