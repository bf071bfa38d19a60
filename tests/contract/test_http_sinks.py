"""What every sink that speaks HTTP must do besides."""

import asyncio
import gzip
import json
import time

import pytest

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater, Unreachable
from tests.events import delivery
from tests.receivers import Answer, Request, Writer, drip, hang_up, keep_silent, reply
from tests.rigs import HTTP_SETTINGS, SECRETS, http_rig, words

every_http_kind = pytest.mark.parametrize("kind", HTTP_SETTINGS)


@every_http_kind
@pytest.mark.parametrize("answer", [hang_up, drip, reply(500, b"<html>"), reply(302, Location="/"), reply(404)])
def test_checking_ends_with_a_sentence_or_is_unreachable(kind: str, answer: Answer) -> None:
    async def run() -> None:
        async with http_rig(kind, answer, timeout="1s") as (rig, receiver):
            try:
                sentence = await rig.sink.check()
            except Unreachable as unreachable:
                sentence = str(unreachable)
            assert sentence.isprintable()
            assert not any(secret in sentence for secret in SECRETS)
            assert all(request.method == "GET" for request in receiver.requests)

    asyncio.run(run())


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
        assert {400, 413, 422} <= seen[Rejected]
        assert {500, 502, 503, 504, 408, 425} | set(range(300, 400)) <= seen[TryLater]
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
        async with http_rig(kind, answer, timeout="1s") as (rig, _):
            started = time.monotonic()
            report = await rig.sink.deliver(delivery())
            assert time.monotonic() - started < 10
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
