import asyncio
import base64
import email
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.contract import Closed, Delivered, Rejected, Report, TryLater, Unreachable
from daemon.http import Http
from sinks.email import EmailSink
from tests.events import delivery, event
from tests.receivers import PASSWORD, USERNAME, Mailbox, Writer, mailbox, make_certificate, needs_openssl, served

ANN, BEN, CAT = "ann@x.example", "ben@y.example", "cat@z.example"
LOGIN = {"username": USERNAME, "password": PASSWORD}


def settings(**values: Any) -> EmailSink.Settings:
    basic = {"host": "127.0.0.1", "security": "none", "from": "shop@shop.example", "to": [ANN], "timeout": "5s"}
    return EmailSink.Settings.model_validate(basic | values)


def sink(**values: Any) -> EmailSink:
    return EmailSink(settings(**values), Http())


def with_mailbox(use: Callable[[EmailSink, Mailbox], Awaitable[Any]], **values: Any) -> Any:
    """A mail server on loopback that wants neither TLS nor a login."""

    async def run() -> Any:
        async with mailbox() as box:
            return await use(sink(port=box.port, **values), box)

    return asyncio.run(run())


def attempts(*replies: dict[str, str], to: list[str]) -> tuple[list[Report], Mailbox]:
    """Deliver once for each set of replies, handing the progress on."""

    async def use(mailer: EmailSink, box: Mailbox) -> tuple[list[Report], Mailbox]:
        reports: list[Report] = []
        for number, said in enumerate(replies):
            box.replies = said
            progress = (reports[-1].progress or {}) if reports else {}
            reports.append(await mailer.deliver(delivery(attempt=number + 1, progress=progress)))
        return reports, box

    result: tuple[list[Report], Mailbox] = with_mailbox(use, to=to)
    return result


def test_a_mail_reaches_all_recipients_at_once() -> None:
    (report,), box = attempts({}, to=[ANN, BEN])
    assert report.outcome == Delivered("2.0.0 taken as 77")
    assert report.answer == "2.0.0 taken as 77"
    assert report.progress == {"done": [ANN, BEN], "refused": []}
    ((recipients, content),) = box.mails
    assert recipients == [ANN, BEN]
    assert content == report.body
    assert email.message_from_bytes(content)["Message-ID"] == "<builtbybit-1-sales@shop.example>"


def test_a_repeat_goes_only_to_those_who_lack_it() -> None:
    (first, second), box = attempts({BEN: "450 4.2.1 mailbox busy"}, {}, to=[ANN, BEN, CAT])
    assert first.outcome == TryLater("the mail server says: 450 4.2.1 mailbox busy")
    assert first.progress == {"done": [ANN, CAT], "refused": []}
    assert isinstance(second.outcome, Delivered)
    assert [recipients for recipients, _ in box.mails] == [[ANN, CAT], [BEN]]
    ids = {email.message_from_bytes(content)["Message-ID"] for _, content in box.mails}
    assert len(ids) == 1


def test_a_recipient_who_does_not_exist_holds_up_nobody() -> None:
    (report,), box = attempts({BEN: "550 5.1.1 no such user"}, to=[ANN, BEN])
    assert report.outcome == Delivered(f"2.0.0 taken as 77; refused for {BEN}")
    assert report.progress == {"done": [ANN], "refused": [BEN]}
    assert [recipients for recipients, _ in box.mails] == [[ANN]]


def test_a_refused_recipient_is_not_asked_again() -> None:
    busy, missing = "451 4.3.0 later", "550 5.1.1 no such user"
    (first, second, third), box = attempts({ANN: busy, BEN: missing}, {}, {}, to=[ANN, BEN])
    assert isinstance(first.outcome, TryLater)
    assert second.outcome == Delivered(f"2.0.0 taken as 77; refused for {BEN}")
    assert isinstance(third.outcome, Delivered)
    assert [recipients for recipients, _ in box.mails] == [[ANN]]


def test_when_nobody_exists_the_event_is_rejected() -> None:
    (first, second), box = attempts({ANN: "550 5.1.1 unknown", BEN: "553 5.1.3 bad"}, {}, to=[ANN, BEN])
    assert first.outcome == Rejected("the mail server refuses: 550 5.1.1 unknown")
    assert second.outcome == Rejected("every recipient was refused before")
    assert box.mails == []


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"DATA": "451 4.7.0 greylisted"}, TryLater("the mail server says: 451 4.7.0 greylisted")),
        ({"DATA": "554 5.6.0 broken content"}, Rejected("the mail server refuses: 554 5.6.0 broken content")),
        ({"MAIL": "421 4.7.0 later"}, TryLater("the mail server says: 421 4.7.0 later")),
        ({ANN: "450 busy"}, TryLater("the mail server says: 450 busy")),
    ],
)
def test_the_first_digit_and_the_subject_of_a_reply_decide(said: dict[str, str], outcome: Any) -> None:
    (report,), _ = attempts(said, to=[ANN])
    assert report.outcome == outcome


@pytest.mark.parametrize(
    "said",
    [
        {"DATA": "550 5.4.5 Daily user sending limit exceeded"},
        {"DATA": "554 5.7.1 policy"},
        {ANN: "550 no enhanced code"},
        {ANN: "552 5.2.2 mailbox full"},
        {"MAIL": "550 5.1.8 sender not allowed"},
        {"MAIL": "550 5.7.60 cannot send as this sender"},
    ],
)
def test_a_quota_or_a_policy_makes_the_sink_wait_an_hour(said: dict[str, str]) -> None:
    (report,), _ = attempts(said, to=[ANN])
    assert isinstance(report.outcome, TryLater)
    assert (report.outcome.wait, report.outcome.throttled) == (timedelta(hours=1), True)


def test_a_server_that_wants_a_login_closes_the_sink() -> None:
    (report,), _ = attempts({"MAIL": "530 5.7.0 authentication required"}, to=[ANN])
    assert isinstance(report.outcome, Closed)


def test_hostile_words_of_a_server_are_cut_and_cleaned() -> None:
    (report,), _ = attempts({"DATA": "451 4.0.0 \x1b[31m\u202e" + "x" * 400}, to=[ANN])
    assert isinstance(report.outcome, TryLater)
    assert len(report.outcome.reason) < 200
    assert report.outcome.reason.isprintable()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@needs_openssl
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_and_password_travel_encrypted(certificate: Path, security: str) -> None:
    async def run() -> None:
        async with mailbox(certificate, tls=security == "tls") as box:
            mailer = sink(host="localhost", port=box.port, security=security, ca_file=str(certificate), **LOGIN)
            assert isinstance((await mailer.deliver(delivery())).outcome, Delivered)
            assert await mailer.check() == "the mail server takes the login"
            assert len(box.mails) == 1
            assert len(box.logins) == 2

    asyncio.run(run())


@needs_openssl
def test_a_wrong_password_closes_the_sink_and_is_not_shown(certificate: Path) -> None:
    async def run() -> None:
        async with mailbox(certificate) as box:
            login = {"username": USERNAME, "password": "wrong-canary-password"}
            mailer = sink(host="localhost", port=box.port, security="starttls", ca_file=str(certificate), **login)
            outcome = (await mailer.deliver(delivery())).outcome
            assert isinstance(outcome, Closed)
            assert "535" in outcome.reason
            assert "canary" not in repr(outcome)
            with pytest.raises(Unreachable, match="535"):
                await mailer.check()
            assert box.mails == []

    asyncio.run(run())


@needs_openssl
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_nobody_vouches_for_is_not_accepted(certificate: Path, security: str) -> None:
    async def run() -> None:
        async with mailbox(certificate, tls=security == "tls") as box:
            outcome = (
                await sink(host="localhost", port=box.port, security=security, **LOGIN).deliver(delivery())
            ).outcome
            assert isinstance(outcome, TryLater)
            assert "certificate is not accepted: self-signed certificate" in outcome.reason
            assert box.logins == []

    asyncio.run(run())


@needs_openssl
def test_a_certificate_for_another_name_is_not_accepted(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "other.example")

    async def run() -> None:
        async with mailbox(certificate) as box:
            mailer = sink(host="localhost", port=box.port, security="starttls", ca_file=str(certificate), **LOGIN)
            outcome = (await mailer.deliver(delivery())).outcome
            assert isinstance(outcome, TryLater)
            assert "Hostname mismatch" in outcome.reason
            assert box.logins == []

    asyncio.run(run())


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
            return await sink(port=port, **values).deliver(delivery()), server.heard  # type: ignore[attr-defined]

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
    assert report.progress == {"done": [], "refused": []}


def test_a_server_that_is_not_there_is_tried_later() -> None:
    async def run() -> None:
        async with served(scripted()) as port:
            pass
        mailer = sink(port=port)
        assert (await mailer.deliver(delivery())).outcome == TryLater("the mail server refused the connection")
        with pytest.raises(Unreachable, match="refused the connection"):
            await mailer.check()

    asyncio.run(run())


def test_a_cancelled_mail_leaves_no_trace_in_the_next() -> None:
    async def use(mailer: EmailSink, box: Mailbox) -> None:
        box.silent_at_data = True
        task = asyncio.create_task(mailer.deliver(delivery()))
        await box.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        box.silent_at_data = False
        assert isinstance((await mailer.deliver(delivery(number=2))).outcome, Delivered)

    with_mailbox(use)


def test_checking_sends_no_mail() -> None:
    async def use(mailer: EmailSink, box: Mailbox) -> None:
        assert await mailer.check() == "the mail server takes connections"
        assert not box.arrived.is_set()

    with_mailbox(use)


def test_a_subject_can_be_made_by_a_template_and_adds_no_header() -> None:
    async def use(mailer: EmailSink, box: Mailbox) -> None:
        await mailer.deliver(delivery(event({"username": "x\r\nBcc: evil@evil.example"})))
        message = email.message_from_bytes(box.mails[0][1])
        assert message["Subject"] == "Sold to x Bcc: evil@evil.example"
        assert message["Bcc"] is None

    with_mailbox(use, subject="Sold to {{ username }}")


def test_a_mail_can_be_shown() -> None:
    shown = sink().render(delivery())
    assert "Subject: New purchase: Sky\n" in shown
    assert "\r" not in shown


@pytest.mark.parametrize(
    ("values", "port"), [({"security": "starttls"}, 587), ({"security": "tls"}, 465), ({"port": 2525}, 2525), ({}, 25)]
)
def test_the_port_follows_from_the_security(values: dict[str, Any], port: int) -> None:
    assert sink(**values)._client().port == port


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"from": "Shop <shop@shop.example>"}, "must be a plain one"),
        ({"from": "shop"}, "must be a plain one"),
        ({"to": []}, "at least 1"),
        ({"to": [f"a{n}@x.example" for n in range(51)]}, "at most 50"),
        *(
            ({"to": [address]}, "must be a plain one")
            for address in (
                *("a@b\r\nRCPT TO:<x@y>", "a b@c.example", "@b.example", "a@", "a@b@c", "a..b@c.example"),
                *(".a@c.example", '"a"@c.example', "a@[127.0.0.1]", "a@-b.example", "a@b..example", "ä@b.example"),
                *(
                    "a@ö.example",
                    "<a@b.example>",
                    "a@b.example, c@d.example",
                    "=?utf-8?q?x?=@b.example",
                    "a" * 260 + "@b",
                ),
            )
        ),
        ({"username": "x"}, "go together"),
        ({"password": "long-password"}, "go together"),
        ({"username": "x\ry", "password": "long-password"}, "line ends"),
        ({"host": "mail.example", **LOGIN}, "readable for all"),
        ({"host": "127.evil.example", **LOGIN}, "readable for all"),
        ({"host": "mail.example/x"}, "name or address of a server alone"),
        ({"host": "mail.example:587"}, "name or address of a server alone"),
        ({"host": "abc:587"}, "name or address of a server alone"),
        ({"host": ""}, "name or address of a server alone"),
        ({"port": 0}, "greater than"),
        ({"security": "ssl"}, "starttls"),
        ({"ca_file": "missing.pem"}, "PEM file"),
        ({"sender": "shop@shop.example"}, "not permitted"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_at_once(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as error:
        settings(**values)
    assert PASSWORD not in str(error.value)


def test_the_same_recipient_twice_gets_one_mail() -> None:
    assert settings(to=[ANN, f" {ANN} ", BEN]).to == [ANN, BEN]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.53", "::1", "[::1]"])
def test_on_loopback_a_password_needs_no_encryption(host: str) -> None:
    assert settings(host=host, **LOGIN).host == host.strip("[]")
