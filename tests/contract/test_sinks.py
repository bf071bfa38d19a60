"""What every kind of sink must do, whatever it is; a new kind needs nothing here but a receiver to be tried with."""

import asyncio
import base64
import email
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from daemon.contract import Closed, Delivered, Outcome, Rejected, Report, Sink, TryLater, Unreachable
from daemon.http import Http
from sinks.registry import KINDS, SinkKinds
from tests.events import EVENTS, HOSTILE, delivery, event
from tests.receivers import (
    Answer,
    HttpReceiver,
    Request,
    Writer,
    drip,
    hang_up,
    http_receiver,
    keep_silent,
    mailbox,
    reply,
)

TOKEN, KEY, PASSWORD = "canary-token-0123456789", "canary-header-0123456789", "canary-password-0123456789"
SECRET = "whsec_" + base64.b64encode(b"canary-signing-key-0123456789").decode()
SECRETS = [
    TOKEN,
    KEY,
    PASSWORD,
    SECRET,
    SECRET.removeprefix("whsec_"),
    base64.b64encode(f"ann:{PASSWORD}".encode()).decode(),
]


@dataclass
class Rig:
    """A sink with a receiver of its own."""

    sink: Sink
    identities: Callable[[], list[str]]
    """For everything that arrived, what a receiver can know a repeat by."""
    stall: Callable[[], asyncio.Event | None]
    """Makes the receiver stop half-way from now on; the event tells when it has (None: it cannot be made to)."""
    recover: Callable[[], None] = lambda: None


def build(kind: str, **values: Any) -> Sink:
    loaded = SinkKinds().load(kind)
    return loaded.build(loaded.settings.model_validate(values), Http())


HTTP_SETTINGS: dict[str, Callable[[HttpReceiver], dict[str, Any]]] = {
    "webhook": lambda receiver: {
        "url": f"http://ann:{PASSWORD}@127.0.0.1:{receiver.port}/{TOKEN}",
        "secret": SECRET,
        "headers": {"X-Key": KEY},
        "timeout": "1s",
    },
    "discord": lambda receiver: {"url": f"{receiver.url}/api/webhooks/1/{TOKEN}", "timeout": "1s"},
}
IDENTITIES: dict[str, Callable[[Request], str]] = {
    "webhook": lambda request: request.headers["webhook-id"],
    "discord": lambda request: json.loads(request.body)["embeds"][0]["footer"]["text"],
}


@asynccontextmanager
async def http_rig(kind: str, answer: Answer | None = None) -> AsyncIterator[tuple[Rig, HttpReceiver]]:
    async with http_receiver(answer) as receiver:

        def stall() -> asyncio.Event:
            receiver.arrived.clear()
            receiver.answer = keep_silent
            return receiver.arrived

        rig = Rig(
            sink=build(kind, **HTTP_SETTINGS[kind](receiver)),
            identities=lambda: [IDENTITIES[kind](request) for request in receiver.requests],
            stall=stall,
            recover=lambda: setattr(receiver, "answer", reply()),
        )
        yield rig, receiver
        await rig.sink.close()


@asynccontextmanager
async def email_rig(_: Path) -> AsyncIterator[Rig]:
    async with mailbox() as box:

        def stall() -> asyncio.Event:
            box.arrived.clear()
            box.silent_at_data = True
            return box.arrived

        values = {"host": "127.0.0.1", "port": box.port, "security": "none", "timeout": "1s"}
        yield Rig(
            sink=build("email", **values, **{"from": "shop@shop.example", "to": ["ann@x.example", "ben@y.example"]}),
            identities=lambda: [email.message_from_bytes(content)["Message-ID"] for _, content in box.mails],
            stall=stall,
            recover=lambda: setattr(box, "silent_at_data", False),
        )


@asynccontextmanager
async def file_rig(folder: Path) -> AsyncIterator[Rig]:
    path = folder / "events.jsonl"
    rig = Rig(
        sink=build("file", path=path),
        identities=lambda: [json.loads(line)["delivery_id"] for line in path.read_text().splitlines()],
        stall=lambda: None,
    )
    yield rig
    await rig.sink.close()


@asynccontextmanager
async def console_rig(_: Path) -> AsyncIterator[Rig]:
    yield Rig(sink=build("console"), identities=list, stall=lambda: None)


@asynccontextmanager
async def plain_http_rig(kind: str) -> AsyncIterator[Rig]:
    async with http_rig(kind) as (rig, _):
        yield rig


RIGS: dict[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {
    "email": email_rig,
    "file": file_rig,
    "console": console_rig,
    "webhook": lambda _: plain_http_rig("webhook"),
    "discord": lambda _: plain_http_rig("discord"),
}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_http_kind = pytest.mark.parametrize("kind", HTTP_SETTINGS)


def with_rig(kind: str, folder: Path, use: Callable[[Rig], Awaitable[Any]]) -> Any:
    assert kind in RIGS, f"tell RIGS how to try a sink of the kind {kind}"

    async def run() -> Any:
        async with RIGS[kind](folder) as rig:
            return await use(rig)

    return asyncio.run(run())


def words(report: Report) -> str:
    """All that a report can bring before people's eyes."""
    return f"{report.outcome!r} {report.body!r} {report.answer} {report.progress!r}"


# Delivering


@every_kind
def test_an_ordinary_event_is_delivered(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        report = await rig.sink.deliver(delivery())
        assert isinstance(report.outcome, Delivered)
        assert report.body
        assert len(report.answer) <= 1024

    with_rig(kind, tmp_path, use)


@every_kind
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_event_is_delivered_and_can_be_shown(kind: str, name: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for trigger in ("purchase", "review", "\u202e=?x?=\r\n\x00"):
            hostile = delivery(event(HOSTILE[name], kind=trigger))
            report = await rig.sink.deliver(hostile)
            assert isinstance(report.outcome, Delivered), report.outcome
            shown = rig.sink.render(hostile)
            assert isinstance(shown, str)
            shown.encode()

    with_rig(kind, tmp_path, use)


@every_kind
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(generated=EVENTS)
def test_any_event_can_be_shown(kind: str, generated: Any, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        assert rig.sink.render(delivery(generated))

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_repeat_is_known_by_the_same_id(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for attempt in (1, 2, 3):
            await rig.sink.deliver(delivery(attempt=attempt, replays=attempt - 1))
        identities = rig.identities()
        assert kind == "console" or len(identities) == 3
        assert len(set(identities)) <= 1

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_batch_gets_a_report_for_each_in_order(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        events = [event({"resource_title": f"Title{number}"}, external_id=str(number)) for number in range(3)]
        batch = [delivery(one, number=number) for number, one in enumerate(events)]
        reports = await rig.sink.deliver_batch(batch)
        assert [isinstance(report.outcome, Delivered) for report in reports] == [True] * 3
        assert [f"Title{number}".encode() in report.body for number, report in enumerate(reports)] == [True] * 3

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_delivery_cancelled_half_way_leaves_the_sink_usable(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        stalled = rig.stall()
        task = asyncio.create_task(rig.sink.deliver(delivery()))
        if stalled is None:
            await asyncio.sleep(0)
        else:
            await asyncio.wait_for(stalled.wait(), 10)
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 0.5
        rig.recover()
        assert isinstance((await rig.sink.deliver(delivery(number=2))).outcome, Delivered)

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_receiver_that_hangs_is_left_at_the_deadline(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        if rig.stall() is None:
            return
        started = time.monotonic()
        report = await rig.sink.deliver(delivery())
        assert time.monotonic() - started < 2.5
        assert isinstance(report.outcome, TryLater)
        assert "within 1 s" in report.outcome.reason

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_closed_sink_can_be_closed_again_and_used_again(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.sink.close()
        await rig.sink.close()
        assert isinstance((await rig.sink.deliver(delivery())).outcome, Delivered)

    with_rig(kind, tmp_path, use)


# Connecting


@every_kind
def test_checking_delivers_nothing(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        sentence = await rig.sink.check()
        assert sentence
        assert sentence.isprintable()

    with_rig(kind, tmp_path, use)
    assert not list(tmp_path.iterdir())


@every_http_kind
@pytest.mark.parametrize("answer", [hang_up, drip, reply(500, b"<html>"), reply(302, Location="/"), reply(404)])
def test_checking_ends_with_a_sentence_or_is_unreachable(kind: str, answer: Answer) -> None:
    async def run() -> None:
        async with http_rig(kind, answer) as (rig, receiver):
            try:
                sentence = await rig.sink.check()
            except Unreachable as unreachable:
                sentence = str(unreachable)
            assert sentence.isprintable()
            assert not any(secret in sentence for secret in SECRETS)
            assert all(request.method == "GET" for request in receiver.requests)

    asyncio.run(run())


# Settings


@every_kind
def test_an_unknown_key_is_refused_without_naming_any_value(kind: str) -> None:
    with pytest.raises(ValidationError) as error:
        SinkKinds().load(kind).settings.model_validate(
            {"urll": TOKEN, "url": TOKEN, "secret": TOKEN, "password": TOKEN}
        )
    errors = error.value.errors(include_input=False, include_url=False, include_context=False)
    assert {"extra_forbidden"} <= {one["type"] for one in errors}
    assert TOKEN not in json.dumps(errors)


@every_kind
def test_settings_have_a_schema_for_editors(kind: str) -> None:
    schema = SinkKinds().load(kind).settings.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]


# Speaking HTTP


@every_http_kind
def test_every_status_has_an_outcome_and_none_shows_a_secret(kind: str) -> None:
    async def echo(request: Request, writer: Writer) -> None:
        said = f"{request.target} {dict(request.headers)} \x1b[31m\u202e".encode()
        await reply(status, json.dumps({"message": said.decode(), "code": 1}).encode())(request, writer)

    async def run() -> None:
        nonlocal status
        seen: dict[type[Outcome], set[int]] = {}
        async with http_rig(kind, echo) as (rig, _):
            for status in range(200, 600):
                if status == 429:
                    continue
                report = await rig.sink.deliver(delivery())
                seen.setdefault(type(report.outcome), set()).add(status)
                assert not any(secret in words(report) for secret in SECRETS), report
                text = report.outcome.detail if isinstance(report.outcome, Delivered) else report.outcome.reason
                assert 0 < len(text) <= 300
                assert text.isprintable()
                assert "://" not in text
        assert seen[Delivered] == set(range(200, 300))
        assert {400, 413, 422} | set(range(300, 400)) <= seen[Rejected]
        assert {500, 502, 503, 504, 408, 425} <= seen[TryLater]
        assert 410 in seen[Closed]

    status = 0
    asyncio.run(run())


@every_http_kind
def test_too_many_requests_is_no_failure(kind: str) -> None:
    async def run() -> None:
        async with http_rig(kind, reply(429, b'{"retry_after": 2.5}', Retry_After="2.5")) as (rig, _):
            outcome = (await rig.sink.deliver(delivery())).outcome
            assert isinstance(outcome, TryLater)
            assert outcome.throttled
            assert outcome.wait is not None
            assert outcome.wait.total_seconds() == 2.5

    asyncio.run(run())


async def nonsense(_: Request, writer: Writer) -> None:
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await writer.drain()
    writer.transport.close()


async def half(_: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    await writer.drain()
    writer.transport.close()


async def endless_headers(_: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _number in range(20_000):
        writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


@every_http_kind
@pytest.mark.parametrize("answer", [drip, keep_silent, hang_up, nonsense, half, endless_headers])
def test_a_receiver_that_does_not_answer_properly_is_tried_later(kind: str, answer: Answer) -> None:
    async def run() -> None:
        async with http_rig(kind, answer) as (rig, _):
            started = time.monotonic()
            report = await rig.sink.deliver(delivery())
            assert time.monotonic() - started < 2.5
            assert isinstance(report.outcome, TryLater)
            assert report.body

    asyncio.run(run())


@every_http_kind
def test_a_compressed_bomb_is_not_unpacked(kind: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))

    async def run() -> None:
        async with http_rig(kind, reply(200, bomb, Content_Encoding="gzip")) as (rig, _):
            report = await rig.sink.deliver(delivery())
            assert report.outcome == Delivered("HTTP 200")
            assert "not read" in report.answer

    asyncio.run(run())


@every_http_kind
def test_a_long_answer_is_read_only_in_part(kind: str) -> None:
    async def endless(_: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async def run() -> None:
        async with http_rig(kind, endless) as (rig, _):
            report = await rig.sink.deliver(delivery())
            assert report.outcome == Delivered("HTTP 200")
            assert len(report.answer) == 1024

    asyncio.run(run())
