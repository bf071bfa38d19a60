"""S12, F53: what was signed is what arrived, as the official verifiers see it."""

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import svix
from pydantic import ValidationError

from daemon.contract import Delivery
from daemon.http import Http
from sinks.webhook import WebhookSink, identification, signing_key
from tests.events import HOSTILE, delivery, event
from tests.receivers import HttpReceiver, Request, Writer, http_receiver, reply, served

NEW, OLD, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
ORACLES = {"standardwebhooks": standardwebhooks.Webhook, "svix": svix.webhooks.Webhook}
every_oracle = pytest.mark.parametrize("oracle", ORACLES)
REFUSED = (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)


def written(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def sink(url: str, **values: Any) -> WebhookSink:
    return WebhookSink(WebhookSink.Settings.model_validate({"url": url} | values), Http())


def sent(*deliveries: Delivery, **values: Any) -> list[Request]:
    async def run() -> HttpReceiver:
        async with http_receiver() as receiver:
            one = sink(receiver.url, **values)
            for each in deliveries or (delivery(),):
                await one.deliver(each)
            await one.close()
            return receiver

    return asyncio.run(run()).requests


def verify(oracle: str, key: bytes, body: bytes, headers: Mapping[str, str]) -> None:
    """Raises one of REFUSED."""
    ORACLES[oracle](written(key)).verify(body.decode(), dict(headers))


@every_oracle
@pytest.mark.parametrize("name", ["empty", "surrogates", "templates", "line ends", "markdown", "numbers"])
def test_the_official_verifiers_accept_whatever_event_is_sent(oracle: str, name: str) -> None:
    (request,) = sent(delivery(event(HOSTILE[name])), secret=written(NEW))
    verify(oracle, NEW, request.body, request.headers)


@every_oracle
@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "webhook-signature", "key"])
def test_they_refuse_what_was_changed_on_the_way(oracle: str, change: str) -> None:
    (request,) = sent(secret=written(NEW))
    headers, body = dict(request.headers), request.body
    match change:
        case "body":
            body = body.replace(b"9.99", b"0.99")
        case "webhook-timestamp":
            headers[change] = str(int(headers[change]) - 1)
        case "webhook-signature":
            headers[change] = "v1," + base64.b64encode(bytes(32)).decode()
        case "webhook-id":
            headers[change] += "x"
    with pytest.raises(REFUSED):
        verify(oracle, OTHER if change == "key" else NEW, body, headers)


@every_oracle
def test_f53_during_rotation_a_receiver_may_know_either_secret(oracle: str) -> None:
    (request,) = sent(secret=[written(NEW), written(OLD)])
    for key in (NEW, OLD):
        verify(oracle, key, request.body, request.headers)
    with pytest.raises(REFUSED):
        verify(oracle, OTHER, request.body, request.headers)


def test_the_signature_of_the_new_secret_stands_first() -> None:
    (both,) = sent(secret=[written(NEW), written(OLD)])
    first, second = both.headers["webhook-signature"].split(" ")
    seconds = datetime.fromtimestamp(int(both.headers["webhook-timestamp"]), UTC)
    alone = [identification(delivery(), both.body, [key], seconds)["webhook-signature"] for key in (NEW, OLD)]
    assert [first, second] == alone


@pytest.mark.parametrize("secret", [written(NEW), [written(NEW)], [written(NEW), written(OLD)]])
def test_one_secret_needs_no_list(secret: str | list[str]) -> None:
    (request,) = sent(secret=secret)
    assert len(request.headers["webhook-signature"].split(" ")) == (len(secret) if isinstance(secret, list) else 1)


def test_secrets_are_looked_up_wherever_they_are(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").write_text(written(NEW) + "\n")
    monkeypatch.setenv("OLD_SECRET", written(OLD))
    (request,) = sent(secret=[f"file:{tmp_path / 'new'}", "env:OLD_SECRET"])
    verify("svix", NEW, request.body, request.headers)
    verify("svix", OLD, request.body, request.headers)


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ([written(NEW), written(OLD), written(OTHER)], "at most 2"),
        ([written(NEW), "not a key"], 'must be "whsec_"'),
        ([5], "must be text"),
    ],
)
def test_other_secrets_are_refused_without_being_named(secret: Any, complaint: str) -> None:
    with pytest.raises(ValidationError) as error:
        sink("http://127.0.0.1/", secret=secret)
    assert complaint in str(error.value)
    assert not any(str(one) in str(error.value) for one in secret if one != 5)


@pytest.mark.parametrize("values", [{"body": "raw"}, {"json": {"a": "{username}"}}, {"form": {"a": "{username}"}}])
def test_other_bodies_are_signed_as_well(values: dict[str, Any]) -> None:
    (request,) = sent(secret=written(NEW), **values)
    key = base64.b64decode(written(NEW).removeprefix("whsec_"))
    seconds = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    expected = identification(delivery(), request.body, [key], seconds)
    assert request.headers["webhook-signature"] == expected["webhook-signature"]


def test_s12_the_bytes_on_the_socket_are_the_bytes_that_were_signed() -> None:
    """A large body too, which goes out in pieces: the socket is read to its end, by hand."""

    async def run() -> bytes:
        wire = bytearray()

        async def listen(reader: asyncio.StreamReader, writer: Writer) -> None:
            wire.extend(await reader.readuntil(b"\r\n\r\n"))
            length = next(int(line[15:]) for line in wire.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            wire.extend(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with served(listen) as port:
            one = sink(f"http://127.0.0.1:{port}/", secret=written(NEW))
            await one.deliver(delivery(event({"review": "ö\r\n\r\n\u2028" * 300_000})))
            await one.close()
        return bytes(wire)

    head, _, body = asyncio.run(run()).partition(b"\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    signature = next(line.split(": ")[1] for line in head.decode().split("\r\n") if "signature" in line.lower())
    assert len(body) > 3_000_000
    verify("standardwebhooks", NEW, body, headers | {"webhook-signature": signature})


def test_s12_the_published_vector_is_met() -> None:
    # https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    example = Delivery(id="msg_p5jXN8AQM9LWM0D4loKWxJek", event=event(), attempt=1)
    made = identification(example, b'{"test": 2432232314}', [key], datetime.fromtimestamp(1614265330, UTC))
    assert made["webhook-timestamp"] == "1614265330"
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_s12_each_attempt_has_its_own_time_and_signature_under_one_id() -> None:
    async def run() -> HttpReceiver:
        async with http_receiver(reply(503)) as receiver:
            one = sink(receiver.url, secret=written(NEW))
            await one.deliver(delivery(attempt=1))
            await asyncio.sleep(1.01)  # the stamp has whole seconds
            await one.deliver(delivery(attempt=2))
            await one.close()
            return receiver

    first, second = asyncio.run(run()).requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    for request in (first, second):
        verify("svix", NEW, request.body, request.headers)
