"""Both ends in one lean process: BuiltByBit's two event calls, receivers that count, and a ledger of what happened.

It parses just enough HTTP/1.1 to stay far from being the bottleneck. Run as `python -m benchmarks.rim [FIRST_ID]`; it
prints its port. Under `/v2` is the API; `POST /hook/NAME` counts and answers 200, `/late/MS/NAME` does so after a
delay, `/hang/NAME` never; `/control/add?count=N`, `/control/stats` and `/control/waits` are for the benchmark.
"""

import asyncio
import gc
import json
import re
import sys
import time
from collections import Counter, defaultdict
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

from daemon.simulator.samples import Samples

MOST_PER_PAGE = 100
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EVENT_ID = re.compile(rb'"event_id": ?"?(\d+)')
_OK = b'{"result":"success","data":"ok"}'


class Ledger:
    """What is pending and completed, what arrived where, and when."""

    def __init__(self, first_id: int) -> None:
        self.pending: dict[int, bytes] = {}
        self.listed: dict[int, float] = {}
        self.completed: dict[int, float] = {}
        self.arrived: dict[str, dict[int, float]] = defaultdict(dict)
        self.repeats: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._samples = Samples(seed=1)
        self._next_id = first_id

    def add(self, count: int) -> None:
        now = int(time.time())
        for _ in range(count):
            trigger, data = self._samples.make("purchase", "known", now)
            about = {"event_id": self._next_id, "listener_id": 12, "created_at": now}
            entry = {**about, "trigger_type": trigger, "trigger_data": data}
            self.pending[self._next_id] = json.dumps(entry, separators=(",", ":")).encode()
            self._next_id += 1

    def page(self, number: int, per_page: int) -> bytes:
        rows = list(islice(self.pending.items(), (number - 1) * per_page, number * per_page))
        now, total = time.monotonic(), len(self.pending)
        for event_id, _ in rows:
            self.listed.setdefault(event_id, now)
        last = max(1, -(-total // per_page))
        stats = f'{{"total":{total},"page":{number},"per_page":{per_page},"max_page":{last}}}'.encode()
        events = b",".join(row for _, row in rows)
        return b'{"result":"success","data":{"events":[' + events + b'],"stats":' + stats + b"}}"

    def complete(self, event_ids: list[int]) -> None:
        now = time.monotonic()
        for event_id in event_ids:
            if self.pending.pop(event_id, None) is not None:
                self.completed[event_id] = now

    def arrive(self, name: str, body: bytes) -> None:
        found = _EVENT_ID.search(body)
        if found is None:
            self.requests["unknown"] += 1
        elif (event_id := int(found[1])) in (arrived := self.arrived[name]):
            self.repeats[name] += 1
        else:
            arrived[event_id] = time.monotonic()

    def stats(self) -> dict[str, Any]:
        times = [next(reversed(each.values()), 0.0) for each in (self.completed, *self.arrived.values())]
        return {
            "pending": len(self.pending),
            "completed": len(self.completed),
            "delivered": {name: len(ids) for name, ids in self.arrived.items()},
            "repeats": self.repeats,
            "requests": self.requests,
            "first_listed": next(iter(self.listed.values()), None),
            "first_arrival": min((next(iter(each.values())) for each in self.arrived.values()), default=None),
            "last": max(times),
        }

    def waits(self) -> dict[str, list[float]]:
        """For each receiver, the seconds from when an event was first listed to its first arrival."""
        return {name: [at - self.listed[key] for key, at in ids.items()] for name, ids in self.arrived.items()}


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests with a Content-Length, as every client here sends them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            method, target, _ = bytes(self._buffer[:head]).split(b" ", 2)
            body = bytes(self._buffer[head + 4 : end])
            del self._buffer[:end]
            self._handle(method.decode(), target.decode(), body)

    def _handle(self, method: str, target: str, body: bytes) -> None:
        if target.startswith("/hook/"):
            self._ledger.arrive(target[6:], body)
            self._answer(_OK)
        elif target.startswith("/v2/"):
            self._answer(self._api(method, target, body))
        elif target.startswith("/late/"):
            _, _, milliseconds, name = target.split("/")
            self._ledger.arrive(name, body)
            asyncio.get_running_loop().call_later(int(milliseconds) / 1000, self._answer, _OK)
        elif target.startswith("/control/"):
            self._answer(self._control(target))

    def _api(self, method: str, target: str, body: bytes) -> bytes:
        parts = urlsplit(target)
        if method == "GET" and parts.path == "/v2/events":
            self._ledger.requests["list"] += 1
            query = parse_qs(parts.query)
            return self._ledger.page(
                int(query.get("page", ["1"])[0]), min(int(query.get("per_page", ["25"])[0]), MOST_PER_PAGE)
            )
        if method == "POST" and parts.path == "/v2/events/complete":
            self._ledger.requests["complete"] += 1
            self._ledger.complete(json.loads(body)["event_ids"])
        else:
            self._ledger.requests["other"] += 1
        return _OK

    def _control(self, target: str) -> bytes:
        parts = urlsplit(target)
        if parts.path == "/control/add":
            self._ledger.add(int(parse_qs(parts.query)["count"][0]))
        return json.dumps(self._ledger.waits() if parts.path == "/control/waits" else self._ledger.stats()).encode()

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def serve(first_id: int) -> None:
    ledger = Ledger(first_id)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(ledger), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()  # a pause here would count as the other side's
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
