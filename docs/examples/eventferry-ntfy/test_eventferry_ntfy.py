"""What the sink publishes, and what it makes of the answers; run with pytest beside an installed eventferry."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from eventferry_ntfy import NtfySink

from daemon.contract import Closed, Delivered, Delivery, Event, Outcome, Rejected, Report, TryLater
from daemon.http import Http

TOPIC = "a-topic-that-nobody-guesses"


class Server(HTTPServer):
    """Answers as a test tells it, and remembers what it got."""

    status = 200
    got: list[Any]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.got = []
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def deliver(server: Server, data: Any) -> Report:
    event = Event("builtbybit", "1", "7", "purchase", datetime(2026, 1, 31, tzinfo=UTC), data)

    async def run() -> Report:
        settings = {"topic": TOPIC, "server": f"http://127.0.0.1:{server.server_port}", "timeout": "5s"}
        sink = NtfySink(NtfySink.Settings.model_validate(settings), Http())
        report = await sink.deliver(Delivery("builtbybit-1-phone", event, attempt=1))
        await sink.close()
        return report

    return asyncio.run(run())


def test_an_event_becomes_a_message(server: Server) -> None:
    report = deliver(server, {"resource_title": "Skyline", "final_price": "9.99", "addon": None})
    assert report.outcome == Delivered("HTTP 200")
    (message,) = server.got
    assert message == {
        "topic": TOPIC,
        "title": "purchase Skyline",
        "message": "resource_title: Skyline\nfinal_price: 9.99",
    }
    assert TOPIC not in repr(report)


@pytest.mark.parametrize("data", [{}, {"resource_title": ["x"]}, {"\r\nTitle: x": "\r\n\r\n", "y": "é" * 100_000}])
def test_odd_events_are_published_too(server: Server, data: Any) -> None:
    assert deliver(server, data).outcome == Delivered("HTTP 200")
    (message,) = server.got
    assert len(message["title"]) + len(message["message"]) <= 1300


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(429, TryLater), (503, TryLater), (404, TryLater), (400, Rejected), (413, Rejected), (403, Closed)],
)
def test_each_answer_has_an_outcome(server: Server, status: int, outcome: type[Outcome]) -> None:
    server.status = status
    assert isinstance(deliver(server, {}).outcome, outcome)


def test_a_server_that_is_away_is_tried_later(server: Server) -> None:
    server.shutdown()
    server.server_close()
    assert isinstance(deliver(server, {}).outcome, TryLater)
