"""Starts all stand-ins on loopback ports: BuiltByBit's API, the receivers, the mail server."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from daemon.simulator import discord, mail
from daemon.simulator.api import Api
from daemon.simulator.control import PREFIX, control
from daemon.simulator.exchange import Hook
from daemon.simulator.faults import Faults
from daemon.simulator.inbox import Inbox, require_name
from daemon.simulator.listener import Application, bind, listen
from daemon.simulator.mail import Mailbox
from daemon.simulator.switches import require
from daemon.simulator.upstream import Upstream

TOKEN = "simulator-token"  # noqa: S105 - it opens nothing but the simulator
"""What the API accepts unless told otherwise; it opens nothing else."""


class Simulator:
    """The stand-ins while they run; made by `Simulator.start`."""

    def __init__(self, upstream: Upstream, inbox: Inbox, mailbox: Mailbox, token: str) -> None:
        self.upstream = upstream
        self.inbox = inbox
        self.mail = mailbox
        self.token = token
        self.api_url = ""
        """The base URL to configure, which ends in /v2."""
        self.inbox_url = ""
        """Where the receivers and /_sim/ are."""
        self.smtp_host = ""
        self.smtp_port = 0

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        host: str = "127.0.0.1",
        api_port: int = 0,
        inbox_port: int = 0,
        smtp_port: int = 0,
        token: str = TOKEN,
        faults: Faults | None = None,
        seed: int = 1,
        on_request: Hook | None = None,
        smtp_tls: ssl.SSLContext | None = None,
    ) -> "AsyncIterator[Simulator]":
        """Run until the block is left; port 0 takes any free one, `smtp_tls` has STARTTLS offered.

        Raises ValueError for a host that is not loopback, OSError for a port that is taken.
        """
        async with AsyncExitStack() as running:
            sockets = [running.enter_context(bind(host, port)) for port in (api_port, inbox_port, smtp_port)]
            sim = cls(Upstream(seed, faults), Inbox(on_request), Mailbox(on_request), token)
            sim.api_url = f"http://{_address(sockets[0])}/v2"
            sim.inbox_url = f"http://{_address(sockets[1])}"
            sim.smtp_host, sim.smtp_port = sockets[2].getsockname()[:2]
            await running.enter_async_context(listen(sockets[0], Api(sim.upstream, token, on_request)))
            await running.enter_async_context(listen(sockets[1], sim._inbox_or_control()))
            await running.enter_async_context(mail.listen(sockets[2], sim.mail, smtp_tls))
            yield sim

    def webhook_url(self, name: str) -> str:
        """Where a plain webhook receiver of this name listens."""
        return f"{self.inbox_url}/webhook/{require_name(name)}"

    def discord_url(self, name: str) -> str:
        """Where a Discord webhook of this name listens."""
        return f"{self.inbox_url}{discord.webhook_path(require_name(name))}"

    async def until(self, condition: Callable[[], bool], within: float = 10.0) -> None:
        """Wait for something to be true, of the ledgers or else. Raises TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110 - it may depend on anything
                await asyncio.sleep(0.01)

    def _inbox_or_control(self) -> Application:
        controlling = control(self.upstream, self.inbox, self.mail)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            chosen: Application = controlling if scope["path"].startswith(PREFIX) else self.inbox
            await chosen(scope, receive, send)

        return application


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `serve` takes. The ports are fixed, so that a config can name them; 0 takes any free one."""

    host: str = "127.0.0.1"
    api_port: int = 8470
    inbox_port: int = 8471
    smtp_port: int = 8472
    token: str = field(default=TOKEN, repr=False)
    faults: Faults = field(default_factory=Faults)
    seed: int = 1
    rate: float = 0.0
    """Made-up events per minute, at irregular times as in life."""

    def __post_init__(self) -> None:
        require(self, at_least_0=("rate",))


async def serve(options: Options, ready: Callable[[Simulator], None]) -> None:
    """Run the stand-ins until cancelled; `ready` is told once all of them listen.

    Raises ValueError for a host that is not loopback, OSError for a port that is taken.
    """
    async with Simulator.start(
        host=options.host,
        api_port=options.api_port,
        inbox_port=options.inbox_port,
        smtp_port=options.smtp_port,
        token=options.token,
        faults=options.faults,
        seed=options.seed,
    ) as sim:
        ready(sim)
        chance = random.Random(options.seed)
        while options.rate:
            await asyncio.sleep(chance.expovariate(options.rate / 60))
            sim.upstream.add_sample()
        await asyncio.get_running_loop().create_future()


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
