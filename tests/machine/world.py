"""A daemon between a marketplace and receivers, in a time of its own; everything that can happen to it is a method."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from daemon.contract import Delivery, Gates
from daemon.store import Store
from tests.machine.hours import Died, Hours, Loop, Stuck, drive, pass_time, rest, run
from tests.machine.model import Model
from tests.machine.process import BATCH, Plan, Process
from tests.machine.rim import Answer, Call, Market, Receiver, Upstream

EVERYTHING = Plan(dict.fromkeys(BATCH, ()))
MEMORY = Path("/dev/shm")
"""Faster than a disk, where there is such a place: no power is cut here, so nothing needs to be flushed."""
TURNS_TO_IDLE = 30
MOMENT = 0.05


@cache
def _blank_database() -> dict[str, bytes]:
    """The files of a database that was opened once; making them takes longer than a whole life."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "eventferry.db", Hours().wall)

        async def make() -> None:
            await store.database.open()
            await store.database.close()

        asyncio.run(make())
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


class World:
    """What rules do; the model looks at it afterwards."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-", dir=MEMORY if MEMORY.is_dir() else None))
        for name, content in _blank_database().items():
            (self.folder / name).write_bytes(content)
            (self.folder / name).chmod(0o600)
        self.hours = Hours()
        self.plan = EVERYTHING
        self.life = 0
        self.answers: dict[str, Answer] = dict.fromkeys(BATCH, "accept")
        self.poison: set[tuple[str, str]] = set()
        self.die_at: str | None = None
        """The point of a call to the marketplace at which the process dies, once."""
        self.upstream = Upstream(self.hours)
        self.model = Model(self.folder / "eventferry.db", self.upstream, self.hours)
        self.upstream.on_complete = self.model.completing
        self.process: Process
        self._loop: Loop
        self._live()

    # What happens to it

    def sweep(self) -> None:
        """Poll, as the schedule does: a sweep, then what can be completed."""
        self._do(lambda: self.process.collect(), lambda: self.process.acknowledge())

    def complete(self) -> None:
        self._do(lambda: self.process.acknowledge())

    def prune(self) -> None:
        self.model.expect_pruning()
        self._do(lambda: self.process.prune())

    def pass_time(self, seconds: float, *, turns: int | None = None) -> None:
        self._run(lambda: pass_time(self.hours, self.process.barrier, seconds), turns)

    def set_wall(self, by: timedelta, *, noticed: bool) -> None:
        """Somebody sets the clock; without notice the process dies before it looks."""
        self.hours.set_wall(by)
        if noticed:
            self._do(lambda: self.process.notice_clock())
        else:
            self.crash()

    def crash(self) -> None:
        self._die()
        self._live()

    def crash_during(self, what: str, turns: int) -> None:
        """Die so many turns of the event loop after something began, or at its end."""
        works: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "sweep": self._polled,
            "complete": lambda: self.process.acknowledge(),
            "replay": lambda: self.process.operator.replay({}),
            "stop": lambda: self.process.settle(),
            "nothing": lambda: asyncio.sleep(0),
        }
        if what == "replay":
            self.model.expect_replay()
        life = self.life
        self._do(works[what], turns=turns)
        if life == self.life:
            self.crash()

    def restart(self, plan: Plan) -> None:
        self.plan = plan
        life = self.life
        self._do(lambda: self.process.settle())
        if life == self.life:
            self._end()
            self._live()

    def replay(self, **arguments: Any) -> None:
        self.model.expect_replay()
        self._do(lambda: self.process.operator.replay(arguments))

    def stop_sink(self, sink: str) -> None:
        if sink in self.process.lanes:
            self._do(lambda: self.process.operator.stop_sink({"name": sink}))
            self.model.stopped.add(sink)

    def resume_sink(self, sink: str) -> None:
        if sink in self.process.lanes:
            self.model.stopped.discard(sink)
            self._do(lambda: self.process.operator.resume_sink({"name": sink}))

    def full_disk(self, *, crash: bool) -> None:
        """Poll while nothing can be written; either there is room again, or the process dies of something else."""

        async def work() -> None:
            async with self.process.full_disk():
                before = self.model.effects()
                polling = asyncio.ensure_future(self._polled())
                for name in self.process.lanes:
                    self.process.lanes[name].wake()
                for _ in range(TURNS_TO_IDLE):
                    await asyncio.sleep(0)
                self.model.require(self.model.effects() == before, "F9: sent or completed while the disk was full")
                if crash:
                    self._loop.die_after(0)
                    await asyncio.Event().wait()
            await drive(self.hours, self.process.barrier, _wait(polling))

        self._run(work)

    # How it lives and dies

    async def _polled(self) -> None:
        await self.process.collect()
        await self.process.acknowledge()

    def _do(self, *works: Callable[[], Coroutine[Any, Any, object]], turns: int | None = None) -> None:
        """Do one thing after the other, each until nothing moves any more, and what was put off a moment is done."""

        async def whole() -> None:
            for work in works:
                await drive(self.hours, self.process.barrier, work())
                await pass_time(self.hours, self.process.barrier, MOMENT)

        self._run(whole, turns)

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]], turns: int | None = None) -> None:
        self._loop.die_after(turns)
        coroutine = work()
        try:
            run(self._loop, self.hours, coroutine)
        except Died:
            self._die()
            self._live()
        except Stuck as stuck:
            self.model.require(False, str(stuck))
            raise AssertionError("\n".join(self.model.wrong)) from None
        finally:
            self._loop.die_after(None)
            coroutine.close()

    def _live(self) -> None:
        """Start; what kills it at once makes it start again, as the service manager does."""
        self.life += 1
        self._loop = Loop()
        self.model.begin(self.plan, self.life)
        sinks = {name: Receiver(self._answer_of(name), self._began(name), self._kill) for name in BATCH}
        database = self.folder / "eventferry.db"
        self.process = Process(database, self.hours, self.plan, self._market, sinks)
        run(self._loop, self.hours, self.process.open())

        async def whole() -> None:
            await self.process.start()
            await rest(self.process.barrier)

        self._run(whole)

    def _die(self) -> None:
        """Nothing of it runs on. What its writer was given is written: it died just after, unheard."""
        asyncio.run(self.process.close())
        self.model.died(self.life)
        self._loop.bury()

    def _end(self) -> None:
        asyncio.run(self.process.close())
        self._loop.bury()

    def close(self) -> None:
        self._end()
        self.model.close()
        shutil.rmtree(self.folder)

    def _market(self, gates: Gates) -> Market:
        async def at(point: str) -> None:
            if point == self.die_at:
                self.die_at = None
                self._kill()
                await asyncio.Event().wait()

        return Market(self.upstream, gates, at)

    def _answer_of(self, sink: str) -> Callable[[Delivery], Answer]:
        def answer(delivery: Delivery) -> Answer:
            if (sink, delivery.event.external_id) in self.poison:
                self.model.kills(delivery)
                return "die"
            return self.answers[sink]

        return answer

    def _began(self, sink: str) -> Callable[[Delivery, Answer], Call]:
        life = self.life
        return lambda delivery, answer: self.model.handed(Call(life, sink, delivery, answer))

    def _kill(self) -> None:
        self._loop.die_after(0)


async def _wait(task: "asyncio.Future[None]") -> None:
    await task
