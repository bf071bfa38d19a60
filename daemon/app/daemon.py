"""The daemon as a whole: started in the order in which parts need each other, stopped in the reverse."""

import asyncio
import gc
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from daemon import __version__, log
from daemon.app.advice import advice, restart
from daemon.app.build import BuiltSink, build_sinks, build_sources, is_expected, people_of, route
from daemon.app.guard import watches
from daemon.app.operator import Operator
from daemon.app.signals import stop_on_signals
from daemon.clock import SteadyClock
from daemon.contract import Sink, Source
from daemon.control import ControlServer, socket_path
from daemon.lane import Health
from daemon.rounds.acknowledge import Acknowledge
from daemon.rounds.alerts import Alerts
from daemon.rounds.collect import Collect
from daemon.rounds.deliver import Deliver
from daemon.rounds.line import Line
from daemon.rounds.prune import Prune
from daemon.rounds.report import Reports
from daemon.rounds.suspects import Suspects
from daemon.rounds.troubles import Troubles
from daemon.rounds.turnstile import Turnstile
from daemon.schedule import Round, Schedule, after_one, watch_clock
from daemon.settings import Loaded, SourceCommon
from daemon.store import Store
from daemon.upstream import Pace

SETTLE_PAUSE = timedelta(seconds=1)
"""After a delivery is settled its event is completed this much later, together with others."""
FLUSH_SECONDS = 5.0
RECORD_SECONDS = 3.0
LARGEST_STEP = timedelta(days=1)
HELD_LOOK = timedelta(seconds=1)
PRUNE_AFTER_START = timedelta(minutes=2)
GARBAGE_THRESHOLD = 10_000
"""Objects. With the usual 700 a delivery or two would set off a collection."""

_log = log.get(__name__)


class Daemon:
    """Everything that runs, built from one configuration."""

    def __init__(
        self, loaded: Loaded, *, sinks: Mapping[str, BuiltSink] | None = None, acknowledging: bool = True
    ) -> None:
        self._loaded = loaded
        self._clock = SteadyClock()
        self.store = Store(loaded.database, self._clock)
        self._sinks = build_sinks(loaded) if sinks is None else sinks
        self._acknowledging = acknowledging
        self._sources: dict[str, Source] = {}
        self._schedule = Schedule()
        self._lanes: dict[str, Deliver] = {}
        self._lines: list[Line] = []
        self._suspects = Suspects((), self._wake)
        self._collects: dict[str, Collect] = {}
        self._acknowledges: dict[str, Acknowledge] = {}
        self._reports = Reports(self.store, people_of(loaded), self._wake)
        self._tasks: list[asyncio.Task[Any]] = []
        self._control: ControlServer | None = None
        self._prune: Prune | None = None
        self._troubles: Troubles | None = None
        self._stepped_by = timedelta()
        self.operator = Operator(self.store, self._lanes, tuple(loaded.settings.sources))
        self.stop_wanted = asyncio.Event()

    async def open(self) -> None:
        """Take the database, remember what was, build lanes and rounds. Raises StoreRefused."""
        await self.store.database.open()
        await self.store.database.unless_full(self._build())

    async def _build(self) -> None:
        settings = self._loaded.settings
        await self.store.gates.load()
        await self.store.paces.load()
        await self._rename()
        self._suspects = Suspects(await self.store.deliveries.void_claims(), self._wake)
        mend = partial(advice, self._loaded, restart(self._loaded))
        alerts = Alerts(self.store, settings.daemon.alerts, self._wake, health=self._health, advice=mend)
        lanes = await self.store.sinks.enroll({name: built.enrolled for name, built in self._sinks.items()})
        paused = await self.store.sources.paused()
        turnstile = Turnstile(self.store)
        for name, built in self._sinks.items():
            self._lanes[name] = Deliver(
                name,
                built.sink,
                lanes[name],
                built.policy,
                self.store,
                alerts,
                self._suspects,
                self._settled,
                turnstile,
            )
            self._lanes[name].paused = paused
        self._sources = build_sources(self._loaded, self.store.gates, self._clock)
        for name, source in self._sources.items():
            await self._add_source(name, source, settings.sources[name], alerts)
        self._prune = Prune(
            self.store,
            {name: lane.news for name, lane in self._lanes.items()},
            keep=settings.daemon.keep,
            give_up_after={name: sink.give_up_after for name, sink in settings.sinks.items()},
        )
        self._troubles = Troubles(self._lanes, self._lines, alerts)

    async def _rename(self) -> None:
        """Let what was stored under an earlier name go on under the present one."""
        settings = self._loaded.settings
        moved = await self.store.renames.carry_out(
            {name: sink.renamed_from for name, sink in settings.sinks.items() if sink.renamed_from},
            {name: source.renamed_from for name, source in settings.sources.items() if source.renamed_from},
        )
        for name, number in moved.items():
            _log.info("ledger.renamed", to=name, count=number)

    def _health(self, sink: str) -> Health:
        return self._lanes[sink].lane.health if sink in self._lanes else "ok"

    async def _add_source(self, name: str, source: Source, settings: SourceCommon, alerts: Alerts) -> None:
        line = Line(source, name)
        self._lines.append(line)
        self._collects[name] = Collect(
            line,
            self.store,
            alerts,
            pace=Pace(settings.poll, settings.poll_min, settings.poll_max),
            memory=await self.store.sources.enroll(name),
            first_start=self._loaded.settings.daemon.first_start,
            route=partial(route, self._sinks),
            is_expected=partial(is_expected, self._sinks),
            wake=self._wake,
            on_swept=partial(self._schedule.hasten, f"acknowledge:{name}", SETTLE_PAUSE),
        )
        hold = timedelta() if settings.complete == "when-stored" else settings.complete_within
        self._acknowledges[name] = Acknowledge(
            line, self.store, alerts, hold=hold, on_progress=partial(self._schedule.hasten, f"collect:{name}")
        )

    async def start(self) -> None:
        """Begin to send, to complete what was left over, then to poll."""
        self._tasks = [asyncio.create_task(lane.run(), name=f"lane:{name}") for name, lane in self._lanes.items()]
        self._tasks.append(asyncio.create_task(watch_clock(self._clock, self._stepped), name="clock"))
        looks = watches(self.store.database, on_room=partial(self._wake, self._lanes))
        self._tasks += [asyncio.create_task(look, name="database") for look in looks]
        self._control = ControlServer(
            socket_path(self._loaded.database), {**self.operator.commands(), "ping": self._ping}
        )
        await self._control.start()
        self._schedule.start()
        for name, collect in self._collects.items():
            acknowledge = self._acknowledge_round(name)
            self._schedule.add(f"acknowledge:{name}", self._unless_held(acknowledge), first=SETTLE_PAUSE)
            # What an earlier process delivered but did not complete is completed before the first sweep.
            self._schedule.add(f"collect:{name}", self._unless_held(after_one(acknowledge, collect)))
        # Before the first pruning, so that a report that is made is known to be even if it was not noted.
        self._schedule.add("report", self._unless_held(self._reports))
        if self._prune is not None:
            self._schedule.add("prune", self._prune, first=PRUNE_AFTER_START)
        if self._troubles is not None:
            self._schedule.add("troubles", self._troubles, first=SETTLE_PAUSE)
        # What was made up to here lives as long as the process: no use in looking through it for garbage.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        _log.info(
            "daemon.started",
            version=__version__,
            pid=os.getpid(),
            database=str(self._loaded.database),
            sources=list(self._sources),
            sinks=list(self._lanes),
        )

    def _acknowledge_round(self, name: str) -> Round:
        return self._acknowledges[name] if self._acknowledging else _nothing

    def _unless_held(self, round_: Round) -> Round:
        async def look() -> timedelta | None:
            if self.store.database.disk_full or any(lane.paused for lane in self._lanes.values()):
                return HELD_LOOK
            return await round_()

        return look

    async def serve(self) -> int:
        """Run until told to stop, or until the database breaks; the exit code."""
        stop_on_signals(self.stop_wanted)
        stop = asyncio.ensure_future(self.stop_wanted.wait())
        broken = self.store.database.broken
        waited: set[asyncio.Future[Any]] = {stop, broken}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            stop.cancel()
            _log.error("store.broken", reason=str(broken.result()))
            await self.abandon()
            return 74
        await self.stop()
        return 0

    async def once(self) -> list[str]:
        """One full round: complete, poll, deliver what is due, complete; the troubles there were."""
        self._suspects.hurry()
        self._tasks = [asyncio.create_task(lane.run()) for lane in self._lanes.values()]
        for name, collect in self._collects.items():
            await after_one(self._acknowledge_round(name), collect)()
        await self._reports()
        # A lane that is done may be given a suspect when another lane's has its verdict.
        while any([await lane.drained() for lane in self._lanes.values()]):
            pass
        if self._troubles is not None:
            await self._troubles()
        while any([await lane.drained() for lane in self._lanes.values()]):
            pass
        for name in self._acknowledges:
            await self._acknowledge_round(name)()
        return [trouble for line in self._lines for trouble in line.troubles()]

    async def stop(self) -> None:
        """Start nothing new, let what runs end, flush verdicts and completions, close everything."""
        within = self._loaded.settings.daemon.stop_timeout
        lanes = [asyncio.create_task(lane.stop(within)) for lane in self._lanes.values()]
        schedule = asyncio.create_task(self._schedule.stop(min(within, timedelta(seconds=5))))
        # Verdicts that wait for room on the disk must not keep the process from ending.
        ended, _ = await asyncio.wait([schedule, *lanes], timeout=within.total_seconds() + RECORD_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                for name in self._acknowledges:
                    await self._acknowledge_round(name)()
        await self._close()
        _log.info("daemon.stopped", cut_off=sum(lane.result() for lane in lanes if lane in ended))

    async def abandon(self) -> None:
        """Stop without writing: the database cannot be trusted any more."""
        await self._schedule.stop(timedelta())
        await self._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._control is not None:
            await self._control.stop()
        open_ends: list[Sink | Source] = [*(built.sink for built in self._sinks.values()), *self._sources.values()]
        for end in open_ends:
            with suppress(Exception):
                await end.close()
        await self.store.database.close()

    def _wake(self, names: Collection[str]) -> None:
        for name in names:
            if name in self._lanes:
                self._lanes[name].wake()

    def _settled(self) -> None:
        for name in self._acknowledges:
            self._schedule.hasten(f"acknowledge:{name}", SETTLE_PAUSE)

    async def _stepped(self, step: timedelta) -> None:
        self._stepped_by += step
        if abs(self._stepped_by) > LARGEST_STEP and self._prune is not None:
            self._prune.suspended = True
        # What is known here moves with the clock at once; what is stored, in its turn among the writes.
        for lane in self._lanes.values():
            lane.shift(step)
        for line in self._lines:
            line.shift(step)
        self._schedule.rearm()
        self._schedule.hasten("report")
        await self.store.shift(step, {name: lane.lane for name, lane in self._lanes.items()})
        self._wake(self._lanes)

    async def _ping(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "disk_full": self.store.database.disk_full,
            "restart": restart(self._loaded),
            "held": {name: until.isoformat() for name, lane in self._lanes.items() if (until := lane.turn.held())},
        }


async def _nothing() -> None:
    """A round that is not to take place."""
