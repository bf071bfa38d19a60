"""Tell what only time brings to light: trouble that lasts, news that was held back, what nobody in the config owns."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from daemon.quantities import many, span
from daemon.rounds.alerts import Alerts
from daemon.rounds.deliver import Deliver
from daemon.rounds.line import Line
from daemon.store import Owed
from daemon.store.orphans import SINK_ALERT, SOURCE_ALERT

EVERY = timedelta(minutes=1)
PATIENCE = timedelta(minutes=10)
"""A source that fails for less is nobody's business."""


class Troubles:
    """The round that looks at each sink and source, and at what is orphaned."""

    def __init__(self, lanes: Mapping[str, Deliver], lines: Sequence[Line], alerts: Alerts) -> None:
        self._lanes = lanes
        self._lines = lines
        self._alerts = alerts

    async def __call__(self) -> timedelta:
        """Tell what is due to be told; how long until the next look."""
        for lane in self._lanes.values():
            await lane.news.review(lane.lane)
        for line in self._lines:
            await self._source(line)
        sources = [line.name for line in self._lines]
        await self._orphans(await self._alerts.store.orphans.owed(but_sinks=list(self._lanes), but_sources=sources))
        return EVERY

    async def _source(self, line: Line) -> None:
        name, now = line.name, self._alerts.store.database.clock()
        for access, kind, what in (
            ("read", "alert.source", "has not answered as it should"),
            ("write", "alert.completion", "has taken no completions"),
        ):
            upstream = line.health.get(access)
            if upstream is None or upstream.health != "failing" or timedelta() <= now - upstream.since < PATIENCE:
                continue
            text = (
                f"{name} {what} for {span(now - upstream.since)}: {upstream.reason.rstrip('. ')}. Events wait there, "
                f"nothing is lost; it is asked again by itself. See: {self._alerts.command('status')}"
            )
            await self._alerts.tell(kind, name, text, turn="failing")

    async def _orphans(self, owed: Owed) -> None:
        for name, number in owed.deliveries.items():
            text = f"{many(number, 'delivery waits', 'deliveries wait')} for {name}, {self._left_over('sink', name)}"
            await self._alerts.tell(SINK_ALERT, name, text)
        for name, number in owed.events.items():
            what = many(number, f"event of {name} is", f"events of {name} are")
            text = f"{what} not completed upstream, {self._left_over('source', name)}"
            await self._alerts.tell(SOURCE_ALERT, name, text)

    def _left_over(self, thing: str, name: str) -> str:
        return (
            f'but no {thing} of this name is in the config. If it was renamed, write renamed_from = "{name}" into its '
            f"new table; if not, and nobody wants them any more: {self._alerts.command(f'sinks discard {name}')}"
        )
