"""The sockets: loopback only, and an HTTP listener that lets an application reach the connection itself."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class _Connection(H11Protocol):
    """Lets an application reach the connection below its request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio passes no other kind
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def bind(host: str, port: int) -> socket.socket:
    """Take a loopback port (0: any free one).

    Raises ValueError for any other address, since the stand-ins guard nothing; OSError when the port is taken.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(f'"{host}" is not a loopback address; take 127.0.0.1 or ::1') from None
    if not address.is_loopback:
        raise ValueError(f"the simulator listens on loopback only, not on {host}; take 127.0.0.1 or ::1")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, each answer would wait 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((str(address), port))
    except (OSError, OverflowError) as error:
        bound.close()
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number) if number else "no such port"
        raise OSError(number or 0, f"cannot listen on {host}:{port}: {why}") from None
    return bound


@asynccontextmanager
async def listen(bound: socket.socket, application: Application) -> AsyncIterator[None]:
    """Serve HTTP on a socket; at the end every connection is cut and every call has come to rest."""
    config = uvicorn.Config(
        application, http=_Connection, ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, timeout_keep_alive=75,
    )  # fmt: skip
    config.load()
    state, stopping = ServerState(), asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(config, state, {"stopping": stopping}), sock=bound)
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        stopping.set()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await server.wait_closed()
