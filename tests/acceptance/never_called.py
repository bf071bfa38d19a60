"""Run in a network of its own in which link-local and metadata addresses are ours: who calls them is seen.

Prints what became of each call as JSON.
"""

import asyncio
import ipaddress
import json
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from daemon.contract import Event
from daemon.http import CallFailed, Http
from daemon.redaction import redact
from sinks.webhook import WebhookSink
from tests.events import delivery, event

NAMESERVER, PORT = "127.0.53.1", 8099
BARRED = ["169.254.169.254", "169.254.0.7", "100.100.100.200", "168.63.129.16"]
BARRED_6 = ["fd00:ec2::254", "fd20:ce::254", "fe80::7"]
NAMES = {
    "plain": [["169.254.169.254"]],
    "mixed": [["169.254.169.254", "127.0.0.1"]],
    "rebinding": [["127.0.0.1"], ["169.254.169.254"]],
    "six": [["fd00:ec2::254"]],
    "mapped": [["::ffff:169.254.169.254"]],
}
"""What each name leads to, asked for the first time, the second time …; then what the last time said."""
SPELLINGS = [
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://2852039166:{port}/",
    "http://0xa9fea9fe:{port}/",
    "http://0xa9.0xfe.0xa9.0xfe:{port}/",
    "http://0251.0376.0251.0376:{port}/",
    "http://169.254.43518:{port}/",
    "http://169.16689662:{port}/",
    "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④:{port}/",
    "http://169。254。169。254:{port}/",
    "http://169.254.169.254.:{port}/",
    "http://user:word@169.254.169.254:{port}/",
    "http://good.test@169.254.169.254:{port}/",
    "http://169.254.169.254:{port}#@good.test/",
    "http://[::ffff:169.254.169.254]:{port}/",
    "http://[::ffff:a9fe:a9fe]:{port}/",
    "http://[::169.254.169.254]:{port}/",
    "http://[64:ff9b::a9fe:a9fe]:{port}/",
    "http://[2002:a9fe:a9fe::1]:{port}/",
    "http://[fd00::5efe:169.254.169.254]:{port}/",
    "http://[fd00:ec2::254]:{port}/",
    "http://[fe80::7%25lo]:{port}/",
    "http://100.100.100.200:{port}/",
    "http://plain.test:{port}/",
    "http://PLAIN.test.:{port}/",
    "http://six.test:{port}/",
    "http://mapped.test:{port}/",
]


class Nameserver(asyncio.DatagramProtocol):
    """Answers from NAMES (RFC 1035); for a question it has no addresses for, with none."""

    def __init__(self) -> None:
        self.asked: dict[tuple[str, int], int] = {}

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, query: bytes, sender: Any) -> None:
        end = query.index(b"\0", 12) + 5
        name, kind = query[13 : 13 + query[12]].decode().lower(), struct.unpack("!H", query[end - 4 : end - 2])[0]
        times = self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        turns = NAMES.get(name, [[]])
        wanted = 4 if kind == 1 else 6
        found = [ipaddress.ip_address(one) for one in turns[min(times, len(turns)) - 1]]
        packed = [one.packed for one in found if one.version == wanted]
        answers = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(one)) + one for one in packed)
        header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(packed), 0, 0)
        self._transport.sendto(header + query[12:end] + answers, sender)


class Listener:
    """Takes connections at every address of this network, and remembers at which."""

    def __init__(self) -> None:
        self.called: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called.append(writer.get_extra_info("sockname")[0])
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            lead = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254:%d/\r\n" % PORT
            answer = lead if b"/redirect" in head else b"HTTP/1.1 200 OK\r\n"
            writer.write(answer + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        writer.close()


async def sent(url: str, of: Event | None = None) -> str:
    """What a webhook sink with this URL makes of a delivery."""
    try:
        sink = WebhookSink(WebhookSink.Settings.model_validate({"url": url, "timeout": "20s"}), Http())
    except ValidationError:
        return "refused in the config"
    outcome = (await sink.deliver(delivery(of))).outcome
    await sink.close()
    return redact(str(getattr(outcome, "reason", None) or getattr(outcome, "detail", "")))


async def reached(url: str) -> str:
    """What a source's or a check's attempt to connect comes to."""
    http = Http()
    try:
        await http.reach(url, deadline=timedelta(seconds=20))
    except CallFailed as failed:
        return failed.reason
    finally:
        await http.close()
    return "reached"


async def main() -> None:
    listener = Listener()
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Nameserver, local_addr=(NAMESERVER, 53))
    six = socket.has_ipv6 and "--without-ipv6" not in sys.argv
    server = await asyncio.start_server(listener.serve, ["0.0.0.0", *(["::"] if six else [])], PORT)
    results: dict[str, Any] = {}
    for host in [*BARRED, *(BARRED_6 if six else [])]:  # the trap works
        scope = "%lo" if host.startswith("fe80") else ""
        (await asyncio.open_connection(host + scope, PORT))[1].close()
    results["trap"] = list(listener.called)
    listener.called.clear()
    urls = [url.format(port=PORT) for url in SPELLINGS]
    results["spellings"] = {url: [await sent(url), await reached(url)] for url in urls}
    results["in the data"] = await sent(
        f"http://127.0.0.1:{PORT}/", event(dict.fromkeys(("url", "host", "resource_url"), urls[0]))
    )
    results["redirect"] = await sent(f"http://127.0.0.1:{PORT}/redirect")
    results["mixed"] = await sent(f"http://mixed.test:{PORT}/")
    rebinding = [await sent(f"http://rebinding.test:{PORT}/") for _ in range(3)]
    results["rebinding"] = rebinding
    results["called"] = list(listener.called)
    server.close()
    sys.stdout.write(json.dumps(results))


def network(six: bool) -> Iterator[str]:
    """The commands that make this network."""
    yield "ip link set lo up"
    yield from (f"ip addr add {address}/32 dev lo" for address in BARRED)
    if six:
        yield from (f"ip -6 addr add {address}/128 dev lo nodad" for address in BARRED_6)


if __name__ == "__main__":
    asyncio.run(main())
