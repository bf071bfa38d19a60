"""Receivers that hang, or lie behind an address that leads nowhere, hold up nobody else: F42, F54, I10."""

import asyncio
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.simulator.faults import Behaviour
from tests.receivers import served

BUSY = 60.0
EVENTS = 20
SILENT = 'timeout = "60s"\nconcurrency = 8\n'


@contextmanager
def unreachable(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port that lets nobody in: whoever connects waits, since its queue is full."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        port = listener.getsockname()[1]
        callers = [socket.socket(family) for _ in range(4)]
        try:
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex((address, port))
            yield port
        finally:
            for caller in callers:
                caller.close()


async def no_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take whatever comes and say nothing."""
    while await reader.read(65536):
        pass


async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await no_answer(reader, writer)


def all_accepted(w: Any, name: str) -> bool:
    return len(set(w.accepted(name))) == EVENTS


def test_a_healthy_sink_gets_everything_while_four_others_hang(world):
    """F42, I10: at connecting, in the TLS handshake, before the headers, within the body."""

    async def story():
        async with world() as w, served(no_answer) as tls, served(half_an_answer) as body:
            with unreachable() as port:
                urls = {
                    "connect": f"http://127.0.0.1:{port}/",
                    "handshake": f"https://127.0.0.1:{tls}/",
                    "headers": w.sim.webhook_url("headers"),
                    "body": f"http://127.0.0.1:{body}/",
                }
                w.sim.inbox.behave("headers", Behaviour(hang=True))
                hanging = "".join(
                    f'[sinks.{name}]\ntype = "webhook"\nurl = "{url}"\n{SILENT}' for name, url in urls.items()
                )
                w.configure(sinks=hanging + w.webhook("healthy"))
                await w.start()
                for _ in range(EVENTS):
                    w.sim.upstream.add_sample()
                    await asyncio.sleep(0.05)
                await w.until(lambda: all_accepted(w, "healthy"), BUSY)
                ended = w.rows("SELECT DISTINCT sink FROM attempts a JOIN deliveries d ON d.id = delivery_id")
                assert {sink for (sink,) in ended} <= {"healthy", "connect"}, "it did not have to wait for their end"
                claimed = w.rows("SELECT DISTINCT sink FROM deliveries WHERE claimed_at IS NOT NULL")
                assert {sink for (sink,) in claimed} >= {"handshake", "headers", "body"}
                w.kill()

    asyncio.run(story())


def mounted(folder: Path, **files: str) -> list[str]:
    """What to start a program with, so that it finds these in /etc: an underscore stands for a dot."""
    commands = []
    for name, text in files.items():
        file = folder / name
        file.write_text(text)
        commands.append(f"mount --bind {file} /etc/{name.replace('_', '.')}")
    return ["unshare", "-m", "sh", "-c", " && ".join([*commands, 'exec "$@"']), "sh"]


needs_unshare = pytest.mark.skipif(shutil.which("unshare") is None, reason="needs the program unshare")
needs_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="needs IPv6 on loopback")


@needs_unshare
@needs_ipv6
def test_where_the_first_address_of_a_name_leads_nowhere_the_next_is_taken(world, tmp_path):
    """F54: the first attempt arrives, long before a connection is given up."""

    async def story():
        async with world() as w:
            port = int(w.sim.inbox_url.rpartition(":")[2])
            with unreachable("::1", port):
                url = w.sim.webhook_url("hook").replace("127.0.0.1", "receiver.test")
                w.configure(sinks=f'[sinks.hook]\ntype = "webhook"\nurl = "{url}"\n')
                w.sim.upstream.add_sample()
                hosts = "::1 receiver.test\n127.0.0.1 receiver.test\n"
                await w.start(under=mounted(tmp_path, hosts=hosts))
                await w.until(lambda: w.accepted("hook"), BUSY)
                await w.until(lambda: not w.sim.upstream.pending, BUSY)
                assert await w.stop() == 0
                (attempt,) = w.rows("SELECT outcome, milliseconds < 9000 FROM attempts")
                assert attempt == ("delivered", 1)

    asyncio.run(story())
