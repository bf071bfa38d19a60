"""Looking up names in threads of our own: who cannot find one peer must not hold up the others."""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUP_SECONDS = 5.0


class Names(AbstractResolver):
    """One peer's names. A name that is being looked up is not looked up again beside it: no thread is added."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Ask the system. Raises OSError, after LOOKUP_SECONDS at the latest."""
        key = host, port, family
        if key not in self._under_way:
            future = self._under_way[key] = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda done: (self._under_way.pop(key), done.exception()))
            # The loop's threads are few and shared by all; and it would wait at its end for those that hang.
            threading.Thread(target=_look_up, args=(future, *key), name="name-lookup", daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.shield(self._under_way[key]), LOOKUP_SECONDS)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from None

    async def close(self) -> None:
        """Nothing to close: what is under way ends by itself."""


def _look_up(future: "asyncio.Future[list[ResolveResult]]", host: str, port: int, family: int) -> None:
    found: list[ResolveResult] = []
    failed: Exception | None = None
    try:
        for kind, _, protocol, _, address in socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        ):
            found.append(
                ResolveResult(
                    hostname=host,
                    host=_numeric(address),
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
    except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
        failed = error

    def answer() -> None:
        if failed is not None:
            future.set_exception(failed)
        else:
            future.set_result(found)

    with suppress(RuntimeError):  # the loop has ended
        future.get_loop().call_soon_threadsafe(answer)


def _numeric(address: Any) -> str:
    """A link-local address is reached by its scope, too."""
    host, _, *more = address
    return f"{host}%{more[1]}" if more and more[1] else str(host)
