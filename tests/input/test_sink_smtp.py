"""What mail servers say: one outcome for each recipient, one line, little memory, and the sink goes on (F42, F43)."""

from typing import Any

import pytest

from tests.input.answers import drip, endless, raw
from tests.input.sending import BEN, LOGIN, Board, Case, delivers
from tests.mailers import ANN
from tests.receivers import PASSWORD, USERNAME, Answer, hang_up, keep_silent

LATE = "no answer from the mail server within 30 s"
NO_SMTP = "the mail server answered with something that is no SMTP"
BROKE = "the connection to the mail server broke"
NO_CONNECTION = "no connection to the mail server"
HOUR = 3600.0
NOBODY: dict[str, Any] = {}
BOTH: dict[str, Any] = {"done": [ANN, BEN], "refused": []}
STARTTLS = ("security", "starttls")
WITH_LOGIN = (("username", USERNAME), ("password", PASSWORD))
OFFERS_LOGIN = b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n"
STEPS = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "END")


def later(says: str, **script: Answer | bytes) -> Case:
    """A failure that counts; nobody has the mail as far as we know."""
    return Case(script, "waiting", says, progress=NOBODY)


def quota(says: str, **script: Answer | bytes) -> Case:
    """No failure: the server takes no more for now, and is left alone for an hour."""
    return Case(script, "waiting", says, "slowed", wait=HOUR, progress=NOBODY)


def rejected(says: str, **script: Answer | bytes) -> Case:
    return Case(script, "rejected", says)


def taken(says: str = "2.0.0 taken as 77", **script: Answer | bytes) -> Case:
    return Case(script, "delivered", says, progress=BOTH)


def closed(says: str, *settings: tuple[str, Any], **script: Answer | bytes) -> Case:
    """The config does not fit: it is tried again after a quarter of an hour."""
    return Case(script, "waiting", says, "stopped", wait=15 * 60, progress=NOBODY, settings=settings)


def at(step: str, answer: Answer | bytes, says: str, **more: Any) -> Case:
    return Case({step: answer}, "waiting", says, progress=NOBODY, **more)


def per_recipient(ann: bytes, ben: bytes) -> Answer:
    """Another reply to the second recipient."""
    replies = [ann, ben]

    async def answer(request: Any, writer: Any) -> None:
        writer.write(replies.pop(0) if replies else b"250 2.1.5 OK\r\n")
        await writer.drain()

    return answer


OK = b"250 2.1.5 OK\r\n"
CASES: dict[str, Case] = {
    **{f"silence at {step}": at(step, keep_silent, LATE, hangs=True) for step in STEPS},
    **{f"a drip at {step}": at(step, drip(b"250-", b"x"), LATE, hangs=True) for step in ("EHLO", "MAIL", "END")},
    "hung up at the greeting": at("greeting", hang_up, NO_CONNECTION),
    **{f"hung up at {step}": at(step, hang_up, BROKE) for step in STEPS[1:]},
    **{f"closed at {step}": at(step, raw(b"25"), BROKE) for step in ("MAIL", "END")},
    **{f"a line without end at {step}": at(step, endless(b"250 ", b"x" * 65_536), NO_SMTP) for step in STEPS},
    **{
        f"lines without end at {step}": at(step, endless(b"", b"250-" + b"x" * 60 + b"\r\n"), NO_SMTP) for step in STEPS
    },
    **{f"no number at {step}": at(step, b"hello there\r\n", NO_SMTP) for step in STEPS},
    **{f"NUL bytes at {step}": at(step, bytes(500) + b"\r\n", NO_SMTP) for step in ("greeting", "RCPT", "END")},
    "no code but HTML": later(NO_SMTP, greeting=b"<html>Log in</html>\r\n"),
    "HTTP": later(NO_SMTP, greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "IMAP": later(NO_SMTP, greeting=b"* OK IMAP4rev1 ready\r\n"),
    "TLS": later(NO_SMTP, greeting=b"\x16\x03\x03\x00\x7a\x02\r\n"),
    "a code of two digits": later(NO_SMTP, MAIL=b"25 OK\r\n"),
    "a code of four digits": taken(MAIL=b"2500 OK\r\n"),
    "code 000": later(NO_SMTP, MAIL=b"000 nothing\r\n"),
    "code 999": later(NO_SMTP, MAIL=b"999 odd\r\n"),
    "code 199": later(NO_SMTP, MAIL=b"199 odd\r\n"),
    "354 too early": later(NO_SMTP, MAIL=b"354 go on\r\n"),
    "250 where 354 belongs": later(NO_SMTP, DATA=b"250 OK\r\n"),
    "two codes in one answer": quota("550 one two", MAIL=b"250-one\r\n550 two\r\n"),
    "an answer broken off": later(BROKE, MAIL=raw(b"250-one\r\n250-two\r\n")),
    "421 at the greeting": later("the mail server says: 421 4.3.2 closing", greeting=b"421 4.3.2 closing\r\n"),
    "554 at the greeting": quota("554 5.7.1 blocked", greeting=b"554 5.7.1 blocked\r\n"),
    "421 in the middle": later(BROKE, RCPT=b"421 4.4.2 timeout\r\n"),
    "421 and closed": later(BROKE, RCPT=raw(b"421 4.4.2 timeout\r\n")),
    "450": later("450 4.2.1 busy", RCPT=b"450 4.2.1 busy\r\n"),
    "451 after the mail": later("451 4.7.0 greylisted", END=b"451 4.7.0 greylisted\r\n"),
    "452": later("452 4.3.1 full", MAIL=b"452 4.3.1 full\r\n"),
    "500 to EHLO": quota("500 what", EHLO=b"500 what\r\n"),
    "503": quota("503 5.5.1 order", MAIL=b"503 5.5.1 order\r\n"),
    "530": closed("530 5.7.0 log in", MAIL=b"530 5.7.0 log in\r\n"),
    "550 for both, unknown": rejected("the mail server refuses: 550 5.1.1 unknown", RCPT=b"550 5.1.1 unknown\r\n"),
    "550 for both, a policy": quota("550 5.7.1 policy", RCPT=b"550 5.7.1 policy\r\n"),
    "552 after the mail": quota("552 5.3.4 too big", END=b"552 5.3.4 too big\r\n"),
    "554 after the mail, its content": rejected("554 5.6.0 content", END=b"554 5.6.0 content\r\n"),
    "one unknown": Case(
        {"RCPT": per_recipient(OK, b"550 5.1.1 unknown\r\n")},
        "delivered",
        f"refused for {BEN}",
        progress={"done": [ANN], "refused": [BEN]},
    ),
    "one busy": Case(
        {"RCPT": per_recipient(OK, b"450 4.2.1 busy\r\n")},
        "waiting",
        "450 4.2.1 busy",
        progress={"done": [ANN], "refused": []},
    ),
    "one busy, one unknown": Case(
        {"RCPT": per_recipient(b"550 5.1.1 unknown\r\n", b"450 4.2.1 busy\r\n")},
        "waiting",
        "450 4.2.1 busy",
        progress={"done": [], "refused": [ANN]},
    ),
    "one taken, then hung up": Case({"RCPT": per_recipient(OK, OK), "END": hang_up}, "waiting", BROKE, progress=NOBODY),
    "words that move the cursor": later("451 4.0.0 [2JA", END=b"451 4.0.0 \x1b[2J\xe2\x80\xaeA\r\n"),
    "words in latin-1": later("451 Gr", END="451 Grüße\r\n".encode("latin-1")),
    "words that name a web address": later("451 ", END=b"451 see https" + b"//x.example\r\n"),
    "words of 7,000 characters": later("451 xxx", END=b"451 " + b"x" * 7_000 + b"\r\n"),
    "1,000 lines": taken(EHLO=b"250-X\r\n" * 1_000 + b"250 Y\r\n"),
    "nothing but the number": taken("", END=b"250\r\n"),
    "taken in fifty lines": taken("well well", END=b"250-well\r\n" * 50 + b"250 done\r\n"),
    "line ends without CR": taken(greeting=b"220 hi\n", EHLO=b"250 mail\n"),
    "byte by byte": taken(EHLO=raw(*(b"%c" % one for one in b"250-mail\r\n250 8BITMIME\r\n"), then="go on")),
    "QUIT refused": taken(QUIT=b"500 no\r\n"),
    "QUIT garbled": taken(QUIT=bytes(range(256)) + b"\r\n"),
    "QUIT without an answer": taken(QUIT=raw(b"")),
    "QUIT without end": taken(QUIT=endless(b"250-", b"x" * 60_000)),
    "all answers at once": taken(
        "f", greeting=b"220 hi\r\n250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n221 g\r\n"
    ),
    "a size that is too small": taken(EHLO=b"250-mail\r\n250 SIZE 1\r\n"),
    "extensions that are none": taken(EHLO=b"250-mail\r\n250-=\r\n250-SIZE -1 x\r\n250-AUTH\r\n250 \xff\r\n"),
    "no STARTTLS": closed("offers no STARTTLS", STARTTLS),
    "STARTTLS stripped, a login offered": closed("offers no STARTTLS", STARTTLS, *WITH_LOGIN, EHLO=OFFERS_LOGIN),
    "STARTTLS that is refused": Case(
        {"EHLO": b"250-mail\r\n250 STARTTLS\r\n", "STARTTLS": b"454 4.7.0 not now\r\n"},
        "waiting",
        "454 4.7.0 not now",
        progress=NOBODY,
        settings=(STARTTLS, *WITH_LOGIN),
    ),
    "STARTTLS, and then plain text": Case(
        {
            "EHLO": b"250-mail\r\n250 STARTTLS\r\n",
            "STARTTLS": b"220 go ahead\r\n250-mail\r\n250 AUTH PLAIN\r\n235 welcome\r\n",
        },
        "waiting",
        "no TLS with the mail server; check port and security",
        progress=NOBODY,
        settings=(STARTTLS, *WITH_LOGIN),
    ),
    "no login offered": closed("offers no login that we know", *WITH_LOGIN),
    "a login nobody knows": closed("offers no login that we know", *WITH_LOGIN, EHLO=b"250-m\r\n250 AUTH XOAUTH9\r\n"),
    "a login refused": closed(
        "the mail server refuses the login: 535 5.7.8 bad *** ***",
        *WITH_LOGIN,
        EHLO=OFFERS_LOGIN,
        AUTH=f"535 5.7.8 bad {LOGIN} {PASSWORD}\r\n".encode(),
    ),
    "a login put off": Case(
        {"EHLO": OFFERS_LOGIN, "AUTH": b"454 4.7.0 later\r\n"},
        "waiting",
        "454 4.7.0 later",
        progress=NOBODY,
        settings=WITH_LOGIN,
    ),
    "a login asked for twice": Case(
        {"EHLO": OFFERS_LOGIN, "AUTH": b"334 VXNlcm5hbWU6\r\n"},
        "waiting",
        NO_SMTP,
        progress=NOBODY,
        settings=WITH_LOGIN,
    ),
    "a login with a challenge that is none": Case(
        {"EHLO": b"250-m\r\n250 AUTH CRAM-MD5\r\n", "AUTH": b"334 !!!not base64!!!\r\n"},
        "waiting",
        NO_SMTP,
        progress=NOBODY,
        settings=WITH_LOGIN,
    ),
    "a login taken, the mail not": Case(
        {"EHLO": OFFERS_LOGIN, "AUTH": b"235 2.7.0 hi\r\n", "MAIL": f"451 {PASSWORD} is odd\r\n".encode()},
        "waiting",
        "451 *** is odd",
        progress=NOBODY,
        settings=WITH_LOGIN,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_whatever_a_mail_server_says_has_one_outcome_and_the_sink_goes_on(name: str, board: Board) -> None:
    """F42, F43."""
    delivers("email", board, CASES[name])
