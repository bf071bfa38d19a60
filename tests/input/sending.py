"""The real sinks in real lanes on a real ledger, against receivers that send any bytes."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daemon.contract import Sink
from daemon.lane import resumed
from tests.daemon.rounds.lanes import Lanes, Scripted, running
from tests.daemon.rounds.world import Hand, look
from tests.input.answers import HastyLoop, MailServer
from tests.input.watch import one_line, watched
from tests.mailers import ANN
from tests.receivers import PASSWORD, USERNAME, Answer, http_receiver, reply, served
from tests.rigs import HTTP_SETTINGS, SECRETS, TOKEN, build

BEN = "ben@y.example"
LOGIN = base64.b64encode(f"\0{USERNAME}\0{PASSWORD}".encode()).decode()
SECRETS_OF = {"webhook": SECRETS, "discord": [TOKEN], "email": [PASSWORD, LOGIN]}
GOOD_LOGIN = {"EHLO": b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n", "AUTH": b"235 2.7.0 welcome\r\n"}
MOST = 200
"""Cases of one kind."""
DEADLINE = 30.0
State = Literal["delivered", "waiting", "rejected"]


@dataclass(frozen=True)
class Case:
    """What a receiver answers, and what must come of it."""

    answer: Answer | Mapping[str, Answer | bytes]
    """Over HTTP; or a script of a mail server."""
    state: State
    says: str
    """A part of the reason."""
    health: Literal["ok", "slowed", "stopped"] = "ok"
    wait: float = 0.0
    """Nothing more goes out for so many seconds at least."""
    hangs: bool = False
    """It would never end, and must be given up at the deadline."""
    then: Literal["goes on", "waits for people"] = "goes on"
    """What the next good answer meets: a sink at work, or one that was stopped for good."""
    progress: Mapping[str, Any] | None = None
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass
class Rig:
    """A sink with a receiver of its own."""

    sink: Sink
    sent: Callable[[], int]
    """How many requests, or connections, have come."""
    mend: Callable[[], None]
    """Makes the receiver a good one."""
    arrived: asyncio.Event


@asynccontextmanager
async def http_rig(kind: str, case: Case) -> AsyncIterator[Rig]:
    assert callable(case.answer)
    async with http_receiver(case.answer) as receiver:
        settings = HTTP_SETTINGS[kind](receiver) | {"timeout": f"{DEADLINE:g}s"} | dict(case.settings)
        sink = build(kind, **settings)

        def mend() -> None:
            receiver.answer = reply(200, b'{"id":"77"}')

        yield Rig(sink, lambda: len(receiver.requests), mend, receiver.arrived)
        await sink.close()


@asynccontextmanager
async def mail_rig(case: Case) -> AsyncIterator[Rig]:
    assert isinstance(case.answer, Mapping)
    server = MailServer(case.answer)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await server.serve(reader, writer)

    async with served(serve) as port:
        usual = {"host": "127.0.0.1", "port": port, "security": "none", "timeout": f"{DEADLINE:g}s"}
        people = {"from": "shop@shop.example", "to": [ANN, BEN]}
        sink = build("email", **usual | people | dict(case.settings))

        def mend() -> None:
            server.script = GOOD_LOGIN if "username" in dict(case.settings) else {}

        yield Rig(sink, lambda: connections, mend, server.arrived)


class Board:
    """One ledger with many lanes, one for each case, on a loop whose clock can be put forward."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Hand()
        self.loop = HastyLoop()
        self.waiting = {f"sink{number}": Scripted(seconds=600) for number in range(MOST)}
        self.events = 0
        self.lanes: Lanes

    @contextmanager
    def laid(self) -> Iterator["Board"]:
        """Ready for cases."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as self._runner:
            sinks: dict[str, Any] = dict(self.waiting)
            lanes = running(self.folder, self.clock, **sinks)
            self.lanes = self._runner.run(lanes.__aenter__())
            try:
                yield self
            finally:
                self._runner.run(lanes.__aexit__(None, None, None))

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Let it happen."""
        self._runner.run(scenario)

    def connect(self, sink: Sink) -> str:
        """Put the sink behind a lane that no case has used; its name."""
        name, scripted = self.waiting.popitem()
        scripted.answer = sink.deliver
        return name

    async def arrive(self, name: str) -> None:
        """Let an event happen for this sink, and its lane come to rest."""
        self.events += 1
        await self.lanes.arrive(1, name, first=self.events)
        await self.rest(name)

    async def pass_time(self, name: str, seconds: float) -> None:
        """Let time pass for this lane."""
        self.clock.advance(seconds=seconds)
        self.lanes.wake([name])
        await self.rest(name)

    async def rest(self, name: str) -> None:
        async with asyncio.timeout(120):
            await self.lanes.of[name].drained()

    def deliveries(self, name: str) -> list[tuple[Any, ...]]:
        """What became of the events for this sink, oldest first."""
        columns = "state, coalesce(reason, ''), coalesce(progress, 'null'), failures"
        return look(self.folder, f"SELECT {columns} FROM deliveries WHERE sink = ? ORDER BY id", name)

    def attempts(self, name: str) -> list[str]:
        """What the receiver answered to each attempt."""
        query = "SELECT coalesce(answer, '') FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE sink = ?"
        return [answer for (answer,) in look(self.folder, query, name)]


def delivers(kind: str, board: Board, case: Case) -> None:
    """Let the case be the answer to a delivery; then a good one, which must be dealt with as ever."""

    async def scenario() -> None:
        async with mail_rig(case) if kind == "email" else http_rig(kind, case) as rig:
            name = board.connect(rig.sink)
            with watched(SECRETS_OF[kind]):
                arriving = board.arrive(name)
                await (given_up(board, name, rig, arriving) if case.hangs else arriving)
            ((state, reason, progress, failures),) = board.deliveries(name)
            lane = board.lanes.of[name].lane
            assert (state, lane.health) == (case.state, case.health), reason
            assert case.says in reason
            assert one_line(reason)
            assert one_line(lane.reason)
            assert failures == (state == "waiting" and lane.health == "ok" and not case.wait)
            assert case.progress is None or (json.loads(progress or "null") or {}) == case.progress
            (answer,) = board.attempts(name)
            assert len(answer) <= 1024
            await goes_on(board, name, rig, case)

    board.run(scenario())


async def given_up(board: Board, name: str, rig: Rig, arriving: Coroutine[Any, Any, None]) -> None:
    """What hangs must end at its deadline, and not before."""
    task = asyncio.ensure_future(arriving)
    await rig.arrived.wait()
    board.loop.hurried += DEADLINE - 3
    await asyncio.sleep(0.05)
    assert not board.attempts(name)
    board.loop.hurried += 4
    await task


async def goes_on(board: Board, name: str, rig: Rig, case: Case) -> None:
    """Nothing goes out before its time; a good answer is then dealt with as if nothing had been."""
    if dict(case.settings).get("security") == "starttls":
        return  # There is no certificate here that it could take.
    sent = rig.sent()
    rig.mend()
    if case.wait:
        await board.pass_time(name, case.wait - 1)
        assert rig.sent() == sent
    if case.state == "waiting":
        await board.pass_time(name, 25 * 3600)
    if case.then != "goes on":
        assert rig.sent() == sent
        board.lanes.of[name].lane = resumed(board.clock.now)
    await board.arrive(name)
    assert board.lanes.of[name].lane.health == "ok"
    states = [state for state, *_ in board.deliveries(name)]
    assert states == ["rejected" if case.state == "rejected" else "delivered", "delivered"]
