"""Names that cannot be looked up hold up nobody else: F28, I10."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.acceptance.test_isolation import BUSY, EVENTS, SILENT, all_accepted, mounted, needs_unshare

NAMESERVER = "127.0.53.1"
NXDOMAIN, SERVFAIL, EMPTY = 3, 2, 0
PATIENT = "options timeout:30 attempts:5"
"""So long a lookup lasts that nobody answers: longer than anybody here waits."""


class Nameserver(asyncio.DatagramProtocol):
    """Knows one name, and how not to answer for others (RFC 1035)."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, query: bytes, sender: Any) -> None:
        end = query.index(b"\0", 12) + 5
        name, kind = query[13 : 13 + query[12]].decode(), struct.unpack("!H", query[end - 4 : end - 2])[0]
        if name == "slow":
            return
        code = {"nobody": NXDOMAIN, "failing": SERVFAIL}.get(name, EMPTY)
        known = name == "good" and kind == 1
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, known, 0, 0)
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton("127.0.0.1") if known else b""
        self._transport.sendto(header + query[12:end] + answer, sender)


@asynccontextmanager
async def nameserver() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(Nameserver, local_addr=(NAMESERVER, 53))
    except OSError as error:
        pytest.skip(f"needs to answer on port 53 of {NAMESERVER} ({error.strerror})")
    try:
        yield f"nameserver {NAMESERVER}\n{PATIENT}\n"
    finally:
        transport.close()


@needs_unshare
def test_names_that_cannot_be_looked_up_hold_up_nobody_else(world, tmp_path):
    """F28, I10: unknown, failing, empty, and one whose nameserver never answers, with all its calls at once."""

    async def story():
        async with world() as w, nameserver() as resolv_conf:
            names = ("slow", "nobody", "failing", "empty", "good")
            sinks = "".join(
                f'[sinks.{name}]\ntype = "webhook"\nurl = "{url}"\n{SILENT}'
                for name in names
                for url in [w.sim.webhook_url(name).replace("127.0.0.1", f"{name}.test")]
            )
            w.configure(sinks=sinks)
            for _ in range(EVENTS):
                w.sim.upstream.add_sample()
            await w.start(under=mounted(tmp_path, resolv_conf=resolv_conf, nsswitch_conf="hosts: files dns\n"))
            await w.until(lambda: all_accepted(w, "good"), BUSY)
            reasons = "SELECT DISTINCT sink, a.reason FROM attempts a JOIN deliveries d ON d.id = delivery_id"
            for name in ("nobody", "failing", "empty", "slow"):
                await w.until(lambda name=name: (name, "its name could not be resolved") in w.rows(reasons), BUSY)
            assert await w.stop() == 0

    asyncio.run(story())
