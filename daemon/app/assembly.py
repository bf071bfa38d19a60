"""The parts of one daemon: a lane for each sink, rounds for each source, and what they call on each other for."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import partial

from daemon import log
from daemon.app.advice import advice, restart, typed
from daemon.app.build import BuiltSink, build_sources, is_expected, people_of, route
from daemon.clock import Clock
from daemon.contract import Source
from daemon.lane import Health
from daemon.rounds.acknowledge import Acknowledge
from daemon.rounds.alerts import Alerts
from daemon.rounds.collect import Collect
from daemon.rounds.deliver import Deliver, Shared
from daemon.rounds.lane_news import LaneNews
from daemon.rounds.line import Line
from daemon.rounds.prune import Prune
from daemon.rounds.report import Reports
from daemon.rounds.suspects import Suspects
from daemon.rounds.troubles import Troubles
from daemon.rounds.turnstile import Turnstile
from daemon.schedule import Schedule
from daemon.settings import Loaded
from daemon.store import Store
from daemon.upstream import Polling

SETTLE_PAUSE = timedelta(seconds=1)
"""After a delivery is settled its event is completed this much later, together with others."""

_log = log.get(__name__)


class Assembly:
    """Everything that sends and everything that runs in rounds, by the names of the config; no lane before `build`."""

    def __init__(
        self, loaded: Loaded, sinks: Mapping[str, BuiltSink], store: Store, clock: Clock, schedule: Schedule
    ) -> None:
        self._loaded = loaded
        self._sinks = sinks
        self._store = store
        self._clock = clock
        self._schedule = schedule
        self._news: dict[str, LaneNews] = {}
        self.lanes: dict[str, Deliver] = {}
        self.sources: dict[str, Source] = {}
        self.lines: list[Line] = []
        self.collects: dict[str, Collect] = {}
        self.acknowledges: dict[str, Acknowledge] = {}
        self.suspects = Suspects((), self.wake)
        settings = loaded.settings
        again = restart(loaded)
        self._alerts = Alerts(
            store,
            settings.daemon.alerts,
            self.wake,
            health=self._health,
            advice=partial(advice, loaded, again),
            command=partial(typed, loaded, again),
        )
        self.troubles = Troubles(self.lanes, self.lines, self._alerts)
        self.reports = Reports(store, people_of(loaded), self.wake)
        self.prune = Prune(
            store,
            self._news,
            keep=settings.daemon.keep,
            give_up_after={name: sink.give_up_after for name, sink in settings.sinks.items()},
        )

    async def build(self) -> None:
        """Build lanes and rounds from what the ledger, which is open by now, remembers."""
        await self._store.gates.load()
        await self._store.paces.load()
        await self._rename()
        self.suspects = Suspects(await self._store.deliveries.void_claims(), self.wake)
        await self._build_lanes()
        self.sources |= build_sources(self._loaded, self._store.gates, self._clock)
        for name, source in self.sources.items():
            await self._build_rounds(name, source)

    async def _rename(self) -> None:
        """Let what was stored under an earlier name go on under the present one."""
        settings = self._loaded.settings
        moved = await self._store.renames.carry_out(
            {name: sink.renamed_from for name, sink in settings.sinks.items() if sink.renamed_from},
            {name: source.renamed_from for name, source in settings.sources.items() if source.renamed_from},
        )
        for name, number in moved.items():
            _log.info("ledger.renamed", to=name, count=number)

    async def _build_lanes(self) -> None:
        known = await self._store.sinks.enroll({name: built.enrolled for name, built in self._sinks.items()})
        paused = await self._store.sources.paused()
        shared = Shared(self._store, self._alerts, self.suspects, Turnstile(self._store), self._settled)
        for name, built in self._sinks.items():
            lane = Deliver(name, built.sink, known[name], built.policy, shared)
            lane.paused = paused
            self.lanes[name], self._news[name] = lane, lane.news

    async def _build_rounds(self, name: str, source: Source) -> None:
        settings = self._loaded.settings.sources[name]
        line = Line(source, name)
        self.lines.append(line)
        self.collects[name] = Collect(
            line,
            self._store,
            self._alerts,
            polling=Polling(settings.poll, settings.poll_min, settings.poll_max),
            memory=await self._store.sources.enroll(name),
            first_start=self._loaded.settings.daemon.first_start,
            route=partial(route, self._sinks),
            is_expected=partial(is_expected, self._sinks),
            wake=self.wake,
            on_swept=partial(self._schedule.hasten, f"acknowledge:{name}", SETTLE_PAUSE),
        )
        self.acknowledges[name] = Acknowledge(
            line,
            self._store,
            self._alerts,
            hold=timedelta() if settings.complete == "when-stored" else settings.complete_within,
            on_progress=partial(self._schedule.hasten, f"collect:{name}"),
        )

    def wake(self, names: Collection[str]) -> None:
        """Something may be due to these sinks."""
        for name in names:
            if name in self.lanes:
                self.lanes[name].wake()

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what is known here moves with it at once."""
        for lane in self.lanes.values():
            lane.shift(step)
        for line in self.lines:
            line.shift(step)

    def _health(self, sink: str) -> Health:
        return self.lanes[sink].lane.health if sink in self.lanes else "ok"

    def _settled(self) -> None:
        for name in self.acknowledges:
            self._schedule.hasten(f"acknowledge:{name}", SETTLE_PAUSE)
