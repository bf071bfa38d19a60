"""The mail server takes mail, answers as scripted, and keeps a ledger."""

import asyncio
import shutil
import ssl
import subprocess
import time
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from daemon.simulator import MailBehaviour, Seen, Simulator, Stage


def letter(recipients: str = "ann@example.org") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.org", recipients, "Grüße"
    message["Message-ID"] = "<1.mail@example.org>"
    message.set_content("Sold!\n.\n")
    return message


async def send(
    sim: Simulator, recipients: str = "ann@example.org", patience: float = 5, **login: str
) -> dict[str, aiosmtplib.SMTPResponse]:
    address = {"hostname": sim.smtp_host, "port": sim.smtp_port, "start_tls": False, "timeout": patience}
    refused, _ = await aiosmtplib.send(letter(recipients), **address, **login)  # type: ignore[call-overload]
    return dict(refused)


def test_a_mail_is_kept_as_it_came() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            assert await send(sim, "ann@example.org, bob@example.org") == {}
            (mail,) = sim.mail.received
            assert (mail.sender, mail.recipients) == ("shop@example.org", ("ann@example.org", "bob@example.org"))
            assert (mail.id, mail.message["Subject"], mail.accepted) == ("<1.mail@example.org>", "Grüße", True)
            assert mail.message.get_content().splitlines() == ["Sold!", "."]
            assert (mail.user, mail.tls) == ("", False)

    asyncio.run(scenario())


def test_scripted_replies_come_in_order() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.mail.behaviour = MailBehaviour(
                mail=("451 4.3.0 later",), rcpt=("", "450 4.2.1 busy"), data=("554 5.6.0 no", "")
            )
            with pytest.raises(aiosmtplib.SMTPSenderRefused) as sender_refused:
                await send(sim)
            assert sender_refused.value.code == 451
            with pytest.raises(aiosmtplib.SMTPDataError) as data_refused:
                await send(sim)
            assert data_refused.value.code == 554
            with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as recipients_refused:
                await send(sim)
            assert recipients_refused.value.recipients[0].code == 450
            await send(sim)
            assert [(mail.reply, mail.accepted) for mail in sim.mail.received] == [
                ("554 5.6.0 no", False),
                ("250 OK", True),
            ]
            assert sim.mail.refused == [("shop@example.org", "451 4.3.0 later"), ("ann@example.org", "450 4.2.1 busy")]

    asyncio.run(scenario())


def test_some_recipients_can_be_refused() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.mail.behaviour = MailBehaviour(recipients={"bob@example.org": "550 5.1.1 unknown"})
            refused = await send(sim, "ann@example.org, bob@example.org")
            assert {address: reply.code for address, reply in refused.items()} == {"bob@example.org": 550}
            assert sim.mail.received[0].recipients == ("ann@example.org",)

    asyncio.run(scenario())


def test_a_421_hangs_up() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.mail.behaviour = MailBehaviour(mail=("421 4.3.2 closing",))
            reader, writer = await asyncio.open_connection(sim.smtp_host, sim.smtp_port)
            writer.write(b"EHLO me\r\nMAIL FROM:<a@example.org>\r\n")
            async with asyncio.timeout(5):
                assert (await reader.read()).endswith(b"421 4.3.2 closing\r\n")
            writer.close()

    asyncio.run(scenario())


def test_nothing_is_taken_without_a_login_where_one_is_asked_for() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.mail.behaviour = MailBehaviour(user="shop", password="pass word")
            with pytest.raises(aiosmtplib.SMTPSenderRefused) as refused:
                await send(sim)
            assert refused.value.code == 530
            with pytest.raises(aiosmtplib.SMTPAuthenticationError) as wrong:
                await send(sim, username="shop", password="wrong")
            assert wrong.value.code == 535
            await send(sim, username="shop", password="pass word")
            assert [mail.user for mail in sim.mail.received] == ["shop"]

    asyncio.run(scenario())


def test_a_certificate_has_starttls_offered_and_a_mail_says_whether_it_was_used(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"]  # type: ignore[list-item]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, timeout=30)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def scenario() -> None:
        async with Simulator.start(smtp_tls=tls) as sim:
            address = {"hostname": sim.smtp_host, "port": sim.smtp_port, "timeout": 5}
            await aiosmtplib.send(letter(), start_tls=True, tls_context=trusting, **address)  # type: ignore[call-overload]
            await send(sim)
            assert [mail.tls for mail in sim.mail.received] == [True, False]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "accepted"),
    [
        (MailBehaviour(drop="before", times=1), False),
        (MailBehaviour(drop="after", times=1), True),
        (MailBehaviour(hang=True, times=1), True),
    ],
)
def test_a_mail_can_be_taken_and_the_reply_be_lost(behaviour: MailBehaviour, accepted: bool) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.mail.behaviour = behaviour
            with pytest.raises(aiosmtplib.SMTPException):
                await send(sim, patience=0.3)
            await send(sim)
            assert [mail.accepted for mail in sim.mail.received] == [accepted, True]

    asyncio.run(scenario())


def test_a_mail_that_came_whole_counts_although_its_sender_died() -> None:
    async def scenario() -> None:
        arrived, taken = asyncio.Event(), asyncio.Event()

        def watch(stage: Stage, seen: Seen) -> None:
            {"received": arrived, "processed": taken}[stage].set()

        async with Simulator.start(on_request=watch) as sim:
            sim.mail.behaviour = MailBehaviour(latency=0.2)
            _, writer = await asyncio.open_connection(sim.smtp_host, sim.smtp_port)
            writer.write(b"EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nhello\r\n.\r\n")
            async with asyncio.timeout(5):
                await arrived.wait()
                writer.transport.abort()
                assert sim.mail.received == []
                await taken.wait()
            assert sim.mail.received[0].content == b"hello\r\n"

    asyncio.run(scenario())


def test_leaving_ends_every_conversation_at_once_and_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> float:
        async with Simulator.start() as sim:
            sim.mail.behaviour = MailBehaviour(hang=True)
            sending = asyncio.create_task(send(sim))
            await sim.until(lambda: bool(sim.mail.received))
            leaving = time.monotonic()
        with pytest.raises(aiosmtplib.SMTPException):
            await sending
        return time.monotonic() - leaving

    assert asyncio.run(scenario()) < 2
    assert caplog.text == ""
