"""From names to addresses that may be called, in threads of our own: a name nobody answers for holds up no other."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUP_SECONDS = 5.0

_NEVER_CALLED = (
    IPv4Network("169.254.0.0/16"),  # link-local; here most clouds hand a machine its credentials
    IPv6Network("fe80::/10"),
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    IPv6Network("fd00:ec2::254"),
    # https://cloud.google.com/compute/docs/metadata/querying-metadata
    IPv6Network("fd20:ce::254"),
    # https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
    IPv4Network("100.100.100.200"),
    # https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
    IPv4Network("168.63.129.16"),
)
_ENDS_IN_IPV4 = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
"""IPv4-compatible, mapped and translated; NAT64's well-known and local prefixes."""
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_ISATAP = 0x5EFE
"""Before the IPv4 address, with or without the bit that says it is unique: RFC 5214, 6.1."""


class NeverCalled(OSError):
    """An address at which no receiver of ours can be, and at which credentials may be had."""

    def __init__(self) -> None:
        super().__init__("link-local and cloud metadata addresses are never called")


def require_callable(address: str) -> None:
    """Raises NeverCalled for a link-local or metadata address, also when an IPv6 address only carries it."""
    bare = ip_address(address.partition("%")[0])
    if any(meant in network for meant in _meant(bare) for network in _NEVER_CALLED):
        raise NeverCalled


def guarded_socket(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """Make the socket for one connection: the last place before it, past which every way leads. Raises NeverCalled."""
    family, kind, protocol, _, address = info
    require_callable(str(address[0]))
    return socket.socket(family, kind, protocol)


def _meant(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, and the IPv4 addresses to which one of the ways over from IPv6 would take it."""
    yield address
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    if any(address in network for network in _ENDS_IN_IPV4) or (number >> 32) & 0xFDFF_FFFF == _ISATAP:
        yield _ipv4(number)
    if address in _NAT64_LOCAL:
        # Bits 64 to 71 are left out of an address that begins at bit 48, 56 or 64: RFC 6052, 2.2.
        without = number >> 64 << 56 | number & (1 << 56) - 1
        yield from (_ipv4(without >> behind) for behind in (40, 32, 24))
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _ipv4(number: int) -> IPv4Address:
    return IPv4Address(number & 0xFFFF_FFFF)


class Names(AbstractResolver):
    """One peer's names. A name that is being looked up is not looked up again beside it: no thread is added."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Ask the system, and leave out what is never called.

        Raises OSError, after LOOKUP_SECONDS at the latest; NeverCalled where nothing is left.
        """
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


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.StreamWriter:
    """Connect to the first of a name's addresses that takes it. Raises OSError."""
    failed: OSError = ConnectionRefusedError()
    for found in await Names().resolve(host, port, socket.AF_UNSPEC):
        try:
            return (await asyncio.open_connection(found["host"], port, ssl=tls, server_hostname=tls and host))[1]
        except OSError as error:
            failed = error
    raise failed


def _look_up(future: "asyncio.Future[list[ResolveResult]]", host: str, port: int, family: int) -> None:
    found: list[ResolveResult] = []
    failed: Exception | None = None
    try:
        for kind, _, protocol, _, address in socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        ):
            try:
                require_callable(str(address[0]))
            except NeverCalled as never:
                failed = never
                continue
            found.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
    except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
        failed = error

    def answer() -> None:
        if found:
            future.set_result(found)
        else:
            future.set_exception(failed or socket.gaierror(socket.EAI_NONAME, "no address"))

    with suppress(RuntimeError):  # the loop has ended
        future.get_loop().call_soon_threadsafe(answer)
