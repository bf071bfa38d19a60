"""HTTP as we speak it: deadlines, limits, no surprises, and reasons that name no URL."""

import asyncio
import gzip
import time
from datetime import timedelta
from typing import Any

import pytest

from daemon.http import Answer as Got
from daemon.http import CallFailed, Http
from tests.daemon.calling import LATER, SOON, with_server
from tests.receivers import (
    Answer,
    HttpReceiver,
    Request,
    Writer,
    drip,
    hang_up,
    http_receiver,
    keep_silent,
    reply,
)


def get(answer: Answer, *, deadline: timedelta = LATER, limit: int = 1000, **more: Any) -> Got:
    async def act(http: Http, server: HttpReceiver) -> Got:
        return await http.call("GET", f"{server.url}/secret-path", deadline=deadline, limit=limit, **more)

    got = with_server(answer, act)
    assert isinstance(got, Got)
    return got


def failure(answer: Answer, *, deadline: timedelta = LATER, **more: Any) -> CallFailed:
    with pytest.raises(CallFailed) as raised:
        get(answer, deadline=deadline, **more)
    assert "secret-path" not in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 429, 500, 599])
def test_any_status_is_an_answer(status: int) -> None:
    got = get(reply(status, b"words", X_Odd="a"))
    assert got.status == status
    assert got.headers["x-odd"] == got.headers["X-ODD"] == "a"
    assert got.body == (b"" if status in (204, 304) else b"words")
    assert (got.cut, got.encoding) == (False, "")


def test_a_header_may_be_as_long_as_some_proxies_make_it() -> None:
    assert get(reply(200, Content_Security_Policy="x" * 30_000)).status == 200


@pytest.mark.parametrize(("size", "cut"), [(0, False), (999, False), (1000, False), (1001, True), (5_000_000, True)])
def test_no_more_is_read_than_the_limit(size: int, cut: bool) -> None:
    got = get(reply(200, b"x" * size))
    assert len(got.body) == min(size, 1000)
    assert got.cut == cut


def test_an_endless_answer_is_left_at_the_limit() -> None:
    async def endless(_: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    assert get(endless, limit=1_000_000).cut


@pytest.mark.parametrize("answer", [drip, keep_silent], ids=["drip", "silence"])
def test_a_call_ends_at_its_deadline_however_busy_the_peer(answer: Answer) -> None:
    began = time.monotonic()
    failed = failure(answer, deadline=SOON, limit=10_000_000)
    assert failed.reason == "no full answer within 0.3 s"
    assert failed.maybe_sent
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("identity", ""),
        (" Identity ", ""),
        ("", ""),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, gzip", "gzip, gzip"),
        ("br", "br"),
    ],
)
def test_identity_is_asked_for_and_nothing_is_ever_decompressed(header: str, encoding: str) -> None:
    async def act(http: Http, server: HttpReceiver) -> Got:
        got = await http.call("GET", server.url, deadline=LATER, limit=1000)
        assert server.requests[0].headers["accept-encoding"] == "identity"
        return got

    body = gzip.compress(b"x" * 100_000)
    got = with_server(reply(200, body, Content_Encoding=header), act)
    assert got.encoding == encoding
    assert got.body == (b"" if encoding else body)


def test_a_request_goes_out_as_it_was_given() -> None:
    async def act(http: Http, server: HttpReceiver) -> Request:
        headers = {"Authorization": "Token abc", "Content-Type": "application/json"}
        await http.call(
            "POST", f"{server.url}/a?b=c%20d", headers=headers, content=b'{"x":1}', deadline=LATER, limit=10
        )
        return server.requests[0]

    request = with_server(reply(), act)
    assert (request.method, request.target, request.body) == ("POST", "/a?b=c%20d", b'{"x":1}')
    assert request.headers["authorization"] == "Token abc"
    assert request.headers["user-agent"].startswith("eventferry/")


def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    async def act(http: Http, server: HttpReceiver) -> None:
        for _ in range(2):
            got = await http.call("GET", server.url, deadline=LATER, limit=10)
            assert got.status == 302
        assert len(server.requests) == 2
        assert all("cookie" not in request.headers for request in server.requests)

    with_server(reply(302, b"", Location="/elsewhere", Set_Cookie="a=b; Path=/"), act)


async def garbage(_: Request, writer: Writer) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    writer.close()


async def broken_off(_: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def large_headers(_: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-Y: " + b"z" * 10_000_000 + b"\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("answer", [garbage, broken_off, large_headers, hang_up])
def test_a_connection_that_breaks_may_have_delivered_the_request(answer: Answer) -> None:
    failed = failure(answer)
    assert "connection" in failed.reason
    assert failed.maybe_sent


async def _closed_port() -> int:
    async with http_receiver() as server:
        return server.port


def test_where_nobody_listens_nothing_was_sent() -> None:
    async def scenario() -> None:
        port = await _closed_port()
        http = Http()
        for attempt in (
            http.call("GET", f"http://127.0.0.1:{port}/secret-path", deadline=LATER, limit=10),
            http.reach(f"http://127.0.0.1:{port}/secret-path", deadline=LATER),
        ):
            with pytest.raises(CallFailed) as raised:
                await attempt
            assert raised.value.reason == "connection refused"
            assert not raised.value.maybe_sent
        await http.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:99999/", {}),
        ("http://[::1/", {}),
        ("ftp://127.0.0.1/", {}),
        ("127.0.0.1/", {}),
        ("http://", {}),
        ("http://127.0.0.1:{port}/", {"X-A": "b\r\nc: d"}),
        ("http://127.0.0.1:{port}/", {"X A": "b"}),
        ("http://127.0.0.1:{port}/", {"X-A": "\u20ac"}),
    ],
)
def test_what_cannot_be_asked_fails_in_words_of_ours(url: str, headers: dict[str, str]) -> None:
    async def act(http: Http, server: HttpReceiver) -> CallFailed:
        if not headers:
            with pytest.raises(CallFailed):
                await http.reach(url, deadline=LATER)
        with pytest.raises(CallFailed) as raised:
            await http.call("GET", url.format(port=server.port), headers=headers, deadline=LATER, limit=10)
        assert server.requests == []
        return raised.value

    failed = with_server(reply(), act)
    assert failed.reason == "the request could not be made (check the URL and headers)"
    assert not failed.maybe_sent
    assert failed.__cause__ is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_got_no_answer_is_not_sent_again_behind_our_back(method: str) -> None:
    async def act(http: Http, server: HttpReceiver) -> int:
        await http.call(method, server.url, deadline=LATER, limit=10)
        server.answer = hang_up
        with pytest.raises(CallFailed):
            await http.call(method, server.url, deadline=LATER, limit=10)
        return len(server.requests)

    assert with_server(reply(), act) == 2
