"""What a person may do to the ledger and the lanes, with or without a running daemon."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from daemon import log
from daemon.app.trial import LONGEST_TRIGGER, try_out
from daemon.control import Command, CommandRefused
from daemon.lane import Lane, resumed, stopped_by_operator
from daemon.rounds.deliver import Deliver
from daemon.store import Selection, Store
from daemon.store.replays import REPLAYABLE
from daemon.store.text import storable

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Operator:
    """Carries out writing commands; `lanes` is empty where no daemon runs."""

    store: Store
    lanes: Mapping[str, Deliver]
    sources: Collection[str] = ()
    """Those of the daemon that runs."""

    def commands(self) -> Mapping[str, Command]:
        """By the name under which the control socket offers them."""
        return {
            "replay": self.replay,
            "stop_sink": self.stop_sink,
            "resume_sink": self.resume_sink,
            "discard": self.discard,
            "test": self.test,
            "pause": self.pause,
            "resume": self.resume,
        }

    async def replay(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        """Send again: `keys`, `sinks`, `states`, `since`, `add_to`, `count_only`; how many, and how many not.

        Only to sinks of the config; where no daemon runs the caller says which those are: `configured`.
        """
        chosen = selection(arguments)
        add_to = _texts(arguments, "add_to")
        configured = list(self.lanes) or _texts(arguments, "configured")
        for name in [*(chosen.sinks or ()), *add_to]:
            if name not in configured:
                todo = "put it there and restart the daemon, or name another with --to"
                raise CommandRefused(f"{name} is not in the config; {todo}")
        for name in add_to:
            await self._require_sink(name)
        left_out = 0
        if chosen.sinks is None:
            all_sinks, chosen = chosen, replace(chosen, sinks=configured)
            left_out = await self.store.replays.matching(all_sinks) - await self.store.replays.matching(chosen)
        if arguments.get("count_only"):
            return {"deliveries": await self.store.replays.matching(chosen, add_to=add_to), "left_out": left_out}
        number = await self.store.replays.replay(chosen, add_to=add_to)
        for lane in self.lanes.values():
            lane.wake()
        return {"deliveries": number, "left_out": left_out}

    async def stop_sink(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Stop sending to `name`; what it should get waits."""
        return await self._set_lane(storable(str(arguments.get("name"))), stop=True)

    async def resume_sink(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Go on sending to `name`, at once and with all that waits."""
        return await self._set_lane(storable(str(arguments.get("name"))), stop=False)

    async def _set_lane(self, name: str, *, stop: bool) -> dict[str, str]:
        now = self.store.database.clock()
        lane = self.lanes.get(name)
        state: Lane = stopped_by_operator(lane.lane if lane else resumed(now), now) if stop else resumed(now)
        if lane is not None:
            # Before the store is asked: an attempt that ends meanwhile writes down the lane as it finds it.
            lane.lane = state
            _log.warning("sink.stopped" if stop else "sink.resumed", sink=name, reason="by the operator")
        if not await self.store.sinks.set_lane(name, state, release=not stop):
            raise CommandRefused(f"no sink is called {name}; see: eventferry sinks")
        if lane is not None:
            lane.wake()
        return {"sink": name, "health": state.health}

    async def discard(self, arguments: Mapping[str, Any]) -> dict[str, int]:
        """Want nothing more of what is owed to or by `name`, which is not in the config; `count_only`; how much it is.

        Whether it is in the config is for the caller to see where no daemon runs.
        """
        name = storable(str(arguments.get("name")))
        if name in self.lanes:
            raise CommandRefused(f"{name} is a sink of the daemon that runs; take it out of the config and restart")
        present = {*self.sources, *_texts(arguments, "sources")}
        owed = await self.store.orphans.owed(but_sinks=list(self.lanes), but_sources=present)
        if not arguments.get("count_only"):
            await self.store.orphans.discard(name, sink=name in owed.deliveries, source=name in owed.events)
        return {"deliveries": owed.deliveries.get(name, 0), "events": owed.events.get(name, 0)}

    async def test(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Send a made-up event of the `trigger` with this `data` to the sink `name`; what came of it."""
        name, trigger = str(arguments.get("name")), str(arguments.get("trigger"))
        data = arguments.get("data")
        if not isinstance(data, dict) or not 1 <= len(trigger) <= LONGEST_TRIGGER:
            raise CommandRefused(f"a test needs data, and a trigger of 1 to {LONGEST_TRIGGER} characters")
        if name not in self.lanes:
            raise CommandRefused(f"the daemon that runs has no sink called {storable(name)}; was it restarted since?")
        return await try_out(self.store, self.lanes[name], trigger, data)

    async def _require_sink(self, name: str) -> None:
        known = (await self.store.browse.status())["sinks"]
        if not any(sink["name"] == name and sink["kind"] for sink in known):
            raise CommandRefused(f"no sink is called {name}; see: eventferry sinks")

    async def pause(self, arguments: Mapping[str, Any]) -> dict[str, bool]:
        """Stop polling, sending and completing until resumed, over restarts."""
        return await self._set_paused(True)

    async def resume(self, arguments: Mapping[str, Any]) -> dict[str, bool]:
        """Go on after a pause."""
        return await self._set_paused(False)

    async def _set_paused(self, paused: bool) -> dict[str, bool]:
        await self.store.sources.set_paused(paused)
        for lane in self.lanes.values():
            lane.paused = paused
            lane.wake()
        return {"paused": paused}


def selection(arguments: Mapping[str, Any]) -> Selection:
    """Understand which deliveries are meant. Raises CommandRefused."""
    states = _texts(arguments, "states") or list(REPLAYABLE)
    if wrong := [state for state in states if state not in REPLAYABLE]:
        raise CommandRefused(f"{wrong[0]} is no state to replay from; there are {', '.join(REPLAYABLE)}")
    since = arguments.get("since")
    return Selection(
        keys=_texts(arguments, "keys"),
        sinks=_texts(arguments, "sinks") or None,
        states=states,
        since=_moment(since) if since else None,
    )


def _texts(arguments: Mapping[str, Any], name: str) -> list[str]:
    given = arguments.get(name) or []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise CommandRefused(f"{name}: must be a list of texts")
    return [storable(one) for one in given]


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise CommandRefused("since: must be a time in the form 2026-01-31T18:00:00Z") from None
