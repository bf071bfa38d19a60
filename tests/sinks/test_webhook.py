import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import Delivered, TryLater, Unreachable
from daemon.http import Http
from daemon.redaction import redact
from sinks.webhook import WebhookSink, identification
from tests.events import delivery, event
from tests.receivers import (
    Answer,
    HttpReceiver,
    Request,
    http_receiver,
    make_certificate,
    needs_openssl,
    reply,
    served,
)
from tests.sinks.webhook_settings import refusal, settings

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def deliver(*attempts: dict[str, Any], answer: Answer | None = None, **values: Any) -> tuple[list[Any], HttpReceiver]:
    """Deliver so many times to a receiver of its own."""

    async def run() -> tuple[list[Any], HttpReceiver]:
        async with http_receiver(answer) as receiver:
            values["url"] = values.get("url", "http://{}/hook?a=b").format(receiver.url.removeprefix("http://"))
            sink = WebhookSink(settings(**values), Http())
            reports = [await sink.deliver(delivery(**attempt)) for attempt in attempts or ({},)]
            await sink.close()
            return reports, receiver

    return asyncio.run(run())


def test_an_event_arrives_as_signed_json() -> None:
    (report,), receiver = deliver(secret=SECRET, headers={"X-Shop": "blue"})
    (request,) = receiver.requests
    assert report.outcome == Delivered("HTTP 200")
    assert report.answer == "ok"
    assert (request.method, request.target) == ("POST", "/hook?a=b")
    assert request.body == report.body
    assert json.loads(request.body)["data"] == event().data
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["x-shop"] == "blue"
    assert request.headers["webhook-id"] == "builtbybit-1-sales"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 10
    assert request.headers["webhook-signature"] == expected_signature(request, KEY)
    assert "eventferry-replay" not in request.headers


def expected_signature(request: Request, key: bytes) -> str:
    """As the specification says, written out anew: what is signed is what came over the wire."""
    signed = b".".join(
        [request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode(), request.body]
    )
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_the_id_stays_and_the_time_is_that_of_the_attempt() -> None:
    first = identification(delivery(), b"", [KEY], datetime(2026, 1, 1, tzinfo=UTC))
    second = identification(delivery(attempt=2, replays=3), b"", [KEY], datetime(2026, 1, 2, tzinfo=UTC))
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 86400
    assert first["webhook-signature"] != second["webhook-signature"]
    assert second["eventferry-replay"] == "3"


def test_without_a_secret_nothing_is_signed() -> None:
    _, receiver = deliver()
    assert "webhook-signature" not in receiver.requests[0].headers


def test_a_user_in_the_url_becomes_a_header() -> None:
    _, receiver = deliver(url="http://ann:p4ssw0rd@{}/hook")
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"ann:p4ssw0rd").decode()
    assert request.target == "/hook"


def test_a_redirect_is_not_followed() -> None:
    (report,), receiver = deliver(answer=reply(307, Location="/elsewhere"))
    assert isinstance(report.outcome, TryLater)
    assert report.outcome.refused
    assert len(receiver.requests) == 1


def test_retry_after_reaches_the_outcome() -> None:
    (report,), _ = deliver(answer=reply(429, b"slow down", Retry_After="7"))
    assert report.outcome == TryLater("HTTP 429 Too Many Requests", timedelta(seconds=7), throttled=True)
    assert report.answer == "slow down"


def test_cookies_of_a_receiver_are_not_kept() -> None:
    _, receiver = deliver({}, {}, answer=reply(200, b"", Set_Cookie="id=1; Path=/"))
    assert "cookie" not in receiver.requests[1].headers


def test_a_receiver_that_echoes_secrets_gets_none_into_the_report() -> None:
    async def echo(request: Request, writer: Any) -> None:
        words = json.dumps(dict(request.headers)).encode()
        await reply(500, words)(request, writer)

    (report,), _ = deliver(url="http://ann:p4ssw0rd-canary@{}/x", headers={"X-Key": "header-canary-1"}, answer=echo)
    assert "***" in report.answer
    assert "canary" not in report.answer + str(report.outcome)
    assert base64.b64encode(b"ann:p4ssw0rd-canary").decode() not in report.answer


def test_checking_connects_and_sends_nothing() -> None:
    async def run() -> tuple[str, bytes]:
        received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            received.set_result(await reader.read())

        async with served(listen) as port:
            sentence = await WebhookSink(settings(url=f"http://127.0.0.1:{port}/"), Http()).check()
            return sentence, await asyncio.wait_for(received, 5)

    assert asyncio.run(run()) == ("the receiver takes connections", b"")


def test_checking_a_dead_receiver_says_so() -> None:
    async def run() -> None:
        async with served(lambda *_: asyncio.sleep(0)) as port:
            pass
        with pytest.raises(Unreachable, match="connection refused"):
            await WebhookSink(settings(url=f"http://127.0.0.1:{port}/"), Http()).check()

    asyncio.run(run())


@needs_openssl
def test_a_certificate_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(lambda *_: asyncio.sleep(0), make_certificate(tmp_path)) as port:
            sink = WebhookSink(settings(url=f"https://localhost:{port}/"), Http())
            outcome = (await sink.deliver(delivery())).outcome
            assert isinstance(outcome, TryLater)
            assert "certificate is not accepted: self-signed" in outcome.reason
            with pytest.raises(Unreachable, match="certificate is not accepted: self-signed"):
                await sink.check()
            await sink.close()

    asyncio.run(run())


@needs_openssl
def test_checking_trusts_the_authorities_of_its_ca_file(tmp_path: Path) -> None:
    async def run() -> None:
        certificate = make_certificate(tmp_path)
        async with served(lambda *_: asyncio.sleep(0), certificate) as port:
            sink = WebhookSink(settings(url=f"https://localhost:{port}/", ca_file=str(certificate)), Http())
            assert await sink.check() == "the receiver takes connections"

    asyncio.run(run())


def test_the_body_can_be_shown() -> None:
    shown = WebhookSink(settings(), Http()).render(delivery())
    assert json.loads(shown)["key"] == "builtbybit:4711"
    assert "\n" in shown


@pytest.mark.parametrize(
    "secret",
    [
        "plain text",
        KEY.hex(),
        base64.b64encode(KEY).decode(),
        "whsec_" + base64.b64encode(KEY[:23]).decode(),
        "whsec_" + base64.b64encode(KEY * 3).decode(),
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "whsec_" + base64.b64encode(KEY).decode()[:-1],
        "whsec_",
    ],
)
def test_a_secret_that_is_no_key_is_explained(secret: str) -> None:
    message = refusal(secret=secret)
    assert 'must be "whsec_" and the base64 of 24 to 64 random bytes' in message


def test_a_secret_without_its_prefix_is_a_secret_too() -> None:
    settings(secret=SECRET)
    assert redact(SECRET.removeprefix("whsec_")) == "***"


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({"X Y": "long enough"}, "is not the name of a header"),
        ({"X:": "long enough"}, "is not the name of a header"),
        ({"": "long enough"}, "is not the name of a header"),
        ({"X\r\nY": "long enough"}, "is not the name of a header"),
        ({"Content-Type": "text/plain"}, "is set by Eventferry itself"),
        ({"webhook-ID": "long enough"}, "is set by Eventferry itself"),
        ({"Host": "long enough"}, "is set by Eventferry itself"),
        ({"user-agent": "long enough"}, "is set by Eventferry itself"),
        ({"Transfer-Encoding": "chunked"}, "is set by Eventferry itself"),
        ({"X-A": "one\r\nX-B: two"}, "must be a single line of ASCII"),
        ({"X-A": "größer als"}, "must be a single line of ASCII"),
    ],
)
def test_a_header_that_cannot_be_sent_is_explained(headers: dict[str, str], complaint: str) -> None:
    assert complaint in refusal(headers=headers)


@pytest.mark.parametrize(
    ("values", "header"),
    [
        (
            {"username": "ann", "password": "p4ss:w\u00f6rd"},
            "Basic " + base64.b64encode("ann:p4ss:w\u00f6rd".encode()).decode(),
        ),
        ({"username": "key-without-password"}, "Basic " + base64.b64encode(b"key-without-password:").decode()),
        ({"bearer": "t0ken-of-mine"}, "Bearer t0ken-of-mine"),
    ],
)
def test_a_login_becomes_a_header_that_is_shown_to_nobody(values: dict[str, Any], header: str) -> None:
    async def echo(request: Request, writer: Any) -> None:
        await reply(500, request.headers["authorization"].encode())(request, writer)

    (report,), receiver = deliver(answer=echo, **values)
    assert receiver.requests[0].headers["authorization"] == header
    assert header.partition(" ")[2] not in report.answer
    assert "***" in report.answer


@pytest.mark.parametrize(
    "values",
    [
        {"url": "https://ann:p4ssw0rd@example.com/", "headers": {"authorization": "Bearer long-token"}},
        {"url": "https://ann:p4ssw0rd@example.com/", "bearer": "long-token"},
        {"username": "ann", "password": "p4ssw0rd", "bearer": "long-token"},
        {"username": "ann", "headers": {"AUTHORIZATION": "Bearer long-token"}},
    ],
)
def test_two_ways_to_log_in_are_one_too_many(values: dict[str, Any]) -> None:
    assert "each log in: keep one of them" in refusal(**values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"password": "p4ssw0rd-alone"}, '"password" needs a "username" beside it'),
        ({"username": "ann:ben-and-others"}, "no colon"),
        ({"username": "ann\r\nX-Y: injected"}, "no colon, line ends"),
        ({"bearer": "two words-of-it"}, "the token alone"),
        ({"bearer": "t\u00f6ken-of-mine"}, "the token alone"),
        ({"ca_file": "/nowhere/at/all.pem"}, "cannot be read as a PEM file of certificates"),
    ],
)
def test_a_login_that_cannot_be_sent_is_explained(values: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(**values)


@needs_openssl
def test_the_authorities_in_ca_file_are_trusted_and_no_others(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 OK\r\n\r\n")

    async def run(mine: Path, trusted: Path) -> Any:
        async with served(answer, mine) as port:
            sink = WebhookSink(settings(url=f"https://localhost:{port}/", ca_file=str(trusted)), Http())
            outcome = (await sink.deliver(delivery())).outcome
            await sink.close()
            return outcome

    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    mine, other = (make_certificate(tmp_path / name) for name in ("mine", "other"))
    assert asyncio.run(run(mine, mine)) == Delivered("HTTP 204")
    refused = asyncio.run(run(mine, other))
    assert isinstance(refused, TryLater)
    assert "certificate is not accepted" in refused.reason


@pytest.mark.parametrize("timeout", ["0s", "3m", "soon", 5])
def test_a_timeout_has_a_unit_and_an_end(timeout: Any) -> None:
    assert refusal(timeout=timeout)


def test_an_unknown_key_is_refused() -> None:
    assert "not permitted" in refusal(urll="http://127.0.0.1/")


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "token").write_text("Bearer from-a-file\n")
    _, receiver = deliver(secret=f"file:{tmp_path / 'secret'}", headers={"Authorization": f"file:{tmp_path / 'token'}"})
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Bearer from-a-file"
    assert request.headers["webhook-signature"] == expected_signature(request, KEY)
