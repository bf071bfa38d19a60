import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from daemon.contract import Closed, Report, TryLater
from tests.events import delivery
from tests.mailers import LOGIN, mailer_of
from tests.receivers import PASSWORD, USERNAME, Writer, served


def scripted(*said: bytes) -> Callable[[asyncio.StreamReader, Writer], Awaitable[None]]:
    """A mail server that says these, one after each line it hears, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        for words in said:
            writer.write(words)
            await writer.drain()
            heard.append(await reader.readline())

    heard: list[bytes] = []
    serve.heard = heard  # type: ignore[attr-defined]
    return serve


def talk(*said: bytes, **values: Any) -> tuple[Report, list[bytes]]:
    async def run() -> tuple[Report, list[bytes]]:
        server = scripted(*said)
        async with served(server) as port:
            return await mailer_of(port=port, **values).deliver(delivery()), server.heard  # type: ignore[attr-defined]

    return asyncio.run(run())


def test_a_stripped_starttls_never_lets_the_password_out() -> None:
    report, heard = talk(
        b"220 hi\r\n", b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n", b"250 ok\r\n", security="starttls", **LOGIN
    )
    assert report.outcome == Closed('the mail server offers no STARTTLS; for port 465 write security = "tls"')
    assert not any(b"AUTH" in line or b"MAIL" in line for line in heard)


def test_a_server_without_a_login_is_explained() -> None:
    report, heard = talk(b"220 hi\r\n", b"250 mail\r\n", **LOGIN)
    assert isinstance(report.outcome, Closed)
    assert "offers no login" in report.outcome.reason
    assert not any(b"AUTH" in line for line in heard)


def test_a_password_echoed_by_the_server_is_masked() -> None:
    token = base64.b64encode(f"\0{USERNAME}\0{PASSWORD}".encode())
    refusal = b"535 5.7.8 bad " + token + b" " + PASSWORD.encode() + b"\r\n"
    report, heard = talk(b"220 hi\r\n", b"250-mail\r\n250 AUTH PLAIN\r\n", refusal, **LOGIN)
    assert token in heard[-2] + heard[-1]
    assert report.outcome == Closed("the mail server refuses the login: 535 5.7.8 bad *** ***")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((), "no connection to the mail server"),
        ((b"220 hi\r\n", b""), "no answer from the mail server within 0.5 s"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "the mail server answered with something that is no SMTP"),
        ((b"220 hi\r\n", b"250 m\r\n", b"250 ok\r\n", b"250 ok\r\n"), "the connection to the mail server broke"),
        ((b"554 5.7.1 blocked\r\n",), "the mail server takes no more for now: 554 5.7.1 blocked"),
        ((b"421 4.3.2 closing\r\n",), "the mail server says: 421 4.3.2 closing"),
        ((b"220 hi\r\n", b"250-" + b"x" * 100_000), "the mail server answered with something that is no SMTP"),
    ],
)
def test_trouble_with_the_server_is_told_in_our_own_words(said: tuple[bytes, ...], reason: str) -> None:
    report, _ = talk(*said, timeout="500ms")
    assert isinstance(report.outcome, TryLater)
    assert report.outcome.reason == reason
    assert not any((report.progress or {}).values())
