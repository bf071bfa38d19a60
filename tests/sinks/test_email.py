import asyncio
import email
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import Closed, Delivered, Rejected, Report, TryLater, Unreachable
from sinks.email import EmailSink
from tests.events import delivery, event
from tests.mailers import ANN, LOGIN, mailer_of
from tests.receivers import USERNAME, Mailbox, mailbox, make_certificate, needs_openssl, served

BEN, CAT = "ben@y.example", "cat@z.example"


def with_mailbox(use: Callable[[EmailSink, Mailbox], Awaitable[Any]], **values: Any) -> Any:
    """A mail server on loopback that wants neither TLS nor a login."""

    async def run() -> Any:
        async with mailbox() as box:
            return await use(mailer_of(port=box.port, **values), box)

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


def test_a_recipient_taken_with_an_odd_reply_gets_no_second_mail() -> None:
    (report,), _ = attempts({BEN: "252 cannot verify, but will accept"}, to=[ANN, BEN])
    assert report.outcome == Delivered("2.0.0 taken as 77")
    assert report.progress == {"done": [ANN, BEN], "refused": []}


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


def test_a_server_that_wants_a_login_closes_the_mailer_of() -> None:
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
            mailer = mailer_of(host="localhost", port=box.port, security=security, ca_file=str(certificate), **LOGIN)
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
            mailer = mailer_of(host="localhost", port=box.port, security="starttls", ca_file=str(certificate), **login)
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
                await mailer_of(host="localhost", port=box.port, security=security, **LOGIN).deliver(delivery())
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
            mailer = mailer_of(host="localhost", port=box.port, security="starttls", ca_file=str(certificate), **LOGIN)
            outcome = (await mailer.deliver(delivery())).outcome
            assert isinstance(outcome, TryLater)
            assert "Hostname mismatch" in outcome.reason
            assert box.logins == []

    asyncio.run(run())


def test_a_server_that_is_not_there_is_tried_later() -> None:
    async def run() -> None:
        async with served(lambda *_: asyncio.sleep(0)) as port:
            pass
        mailer = mailer_of(port=port)
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
        await asyncio.wait_for(box.until_left(), 2)
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

    with_mailbox(use, subject="Sold to {{ username }}", audience="full")


def test_a_mail_can_be_shown() -> None:
    shown = mailer_of().render(delivery())
    assert "Subject: New purchase: Sky\n" in shown
    assert "\r" not in shown
