"""What the operator should hear about one sink."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from daemon import log
from daemon.contract import OWN_SOURCE
from daemon.lane import Health, Lane
from daemon.quantities import many, span
from daemon.rounds.alerts import Alerts
from daemon.store import Attempted, DeadLetters

PATIENCE: dict[Health, timedelta] = {
    "stopped": timedelta(),
    "failing": timedelta(minutes=10),
    "slowed": timedelta(hours=1),
}
"""Trouble that ends sooner by itself is nobody's business."""

_log = log.get(__name__)


class LaneNews:
    """Logs and tells changes of a lane, never through the sink that they are about."""

    def __init__(self, sink: str, alerts: Alerts) -> None:
        self._sink = sink
        self._alerts = alerts
        # An earlier process may have told of trouble that is over now, and may have left dead letters untold.
        self._end_untold = self._dead_untold = True

    async def recorded(self, attempted: Sequence[Attempted], before: Lane, lane: Lane) -> None:
        """Verdicts are on disk, and with them the lane as they left it."""
        self._log_change(before, lane)
        states = {item.verdict.state for item in attempted}
        if lane.health == "ok" and states & {"delivered", "rejected"}:
            await self._works()
        if lane.health != before.health:
            await self._trouble(lane)
        if any(_died(item) for item in attempted):
            await self.died()

    async def quarantined(self, number: int) -> None:
        """So many deliveries were given up without being sent."""
        if number:
            await self.died()

    async def died(self) -> None:
        """Deliveries will not be tried again by themselves."""
        self._dead_untold = True
        await self._dead_letters()

    async def review(self, lane: Lane) -> None:
        """Tell what is the case by now: trouble that has lasted, or still does after a day; what was folded."""
        await self._trouble(lane)
        await self._dead_letters()

    def _log_change(self, before: Lane, lane: Lane) -> None:
        if lane.health == before.health:
            return
        if lane.health == "ok":
            _log.info("sink.recovered", sink=self._sink, after=str(lane.since - before.since))
        else:
            _log.warning(f"sink.{lane.health}", sink=self._sink, reason=lane.reason)

    async def _trouble(self, lane: Lane) -> None:
        now = self._alerts.store.database.clock()
        if lane.health == "ok" or timedelta() <= now - lane.since < PATIENCE[lane.health]:
            return
        number = await self._alerts.store.orphans.waiting(self._sink)
        text = f"{_what(self._sink, lane, now)} {_waiting(number)}, nothing is lost. {self._next_step(lane)}"
        self._end_untold |= await self._alerts.tell(
            "alert.sink", self._sink, text, turn=lane.health, since=lane.since, about_sink=self._sink
        )

    async def _works(self) -> None:
        if self._end_untold:
            number = await self._alerts.store.orphans.waiting(self._sink)
            text = f"{self._sink} works again. {f'{_waiting(number)}, to go out now' if number else 'Nothing waits'}."
            await self._alerts.over("alert.sink", self._sink, text, about_sink=self._sink)
            self._end_untold = False

    def _next_step(self, lane: Lane) -> str:
        if lane.stopped_by == "operator":
            return f"Let it go on: {self._alerts.command(f'sinks resume {self._sink}')}"
        if lane.health == "stopped":
            return self._alerts.advice(self._sink, lane.reason)
        return f"It is tried again by itself. See: {self._alerts.command('status')}"

    async def _dead_letters(self) -> None:
        if self._dead_untold and await self._alerts.dead_letters(self._sink, self._what_died):
            self._dead_untold = False

    def _what_died(self, dead: DeadLetters) -> str:
        number = dead.rejected + dead.gave_up
        fate = "rejected" if not dead.gave_up else "given up" if not dead.rejected else "rejected or given up"
        one = number == 1
        return (
            f"{self._sink}: {'a delivery was' if one else f'{number} deliveries were'} {fate}"
            f"{': ' if one else ', the last because: '}{dead.last_reason.rstrip('. ')}. "
            f"{'It is' if one else 'They are'} kept. "
            f"See: {self._alerts.command(f'events --dead --sink {self._sink}')}"
        )


def _died(item: Attempted) -> bool:
    return item.verdict.state in ("rejected", "gave_up") and item.claim.delivery.event.source != OWN_SOURCE


def _waiting(number: int) -> str:
    return many(number, "delivery waits", "deliveries wait")


def _what(sink: str, lane: Lane, now: datetime) -> str:
    lasted = now - lane.since
    if lane.stopped_by == "operator":
        return f"{sink} was stopped by the operator {span(lasted)} ago."
    reason = lane.reason.rstrip(". ") or "it does not answer as it should"
    if lane.health == "stopped":
        ago = f" {span(lasted)} ago" if lasted >= timedelta(hours=1) else ""
        return f"{sink} stopped{ago}: {reason}."
    return f"{sink} has been {lane.health} for {span(lasted)}: {reason}."
