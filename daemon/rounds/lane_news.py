"""What the operator should hear about one sink."""

from collections.abc import Sequence
from datetime import timedelta

from daemon import log
from daemon.lane import Lane
from daemon.rounds.alerts import Alerts
from daemon.store import Attempted

DEAD_LETTERS_AGAIN = timedelta(hours=1)

_log = log.get(__name__)


class LaneNews:
    """Logs and tells changes of a lane, never through the sink that they are about."""

    def __init__(self, sink: str, alerts: Alerts) -> None:
        self._sink = sink
        self._alerts = alerts

    async def health(self, before: Lane, lane: Lane) -> None:
        """The sink stopped, works again, or is otherwise not as it was."""
        if lane.health == before.health:
            return
        if lane.health == "ok":
            _log.info("sink.recovered", sink=self._sink, after=str(lane.since - before.since))
        else:
            _log.warning(f"sink.{lane.health}", sink=self._sink, reason=lane.reason)
        if lane.health == "stopped":
            text = (
                f"{self._sink} stopped: {lane.reason}. What it should get waits, nothing is lost. Mend it in the "
                f"config and restart, or: eventferry sinks resume {self._sink}"
            )
            await self._alerts.tell("alert.sink", self._sink, text, about_sink=self._sink)
        elif lane.health == "ok":
            await self._alerts.over("alert.sink", self._sink, f"{self._sink} works again.", about_sink=self._sink)

    async def dead_letters(self, attempted: Sequence[Attempted]) -> None:
        """Deliveries that will not be tried again by themselves."""
        if dead := [item.verdict for item in attempted if item.verdict.state in ("rejected", "gave_up")]:
            fate = "given up" if dead[0].state == "gave_up" else "rejected"
            await self._tell_dead(f"{_number(len(dead))} {fate}: {dead[0].reason}")

    async def quarantined(self, number: int) -> None:
        """Deliveries that were given up without being sent."""
        if number:
            await self._tell_dead(f"{_number(number)} not sent: the content is damaged, or sending it killed us")

    async def _tell_dead(self, what: str) -> None:
        await self._alerts.tell(
            "alert.dead_letter",
            self._sink,
            f"{self._sink}: {what}. Such deliveries are kept: eventferry events --dead",
            about_sink=self._sink,
            again_after=DEAD_LETTERS_AGAIN,
        )


def _number(deliveries: int) -> str:
    return "a delivery was" if deliveries == 1 else f"{deliveries} deliveries were"
