import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings

from daemon.contract import Summary
from daemon.people import PeopleSettings
from sinks._layout import EVERYTHING, compose
from sinks._letter import MOST_LINES
from sinks._mail import (
    HEADERS,
    Content,
    build,
    header_names,
    message_content,
    overview_content,
    plain_html,
    python_injects_headers,
    subject_line,
)
from sinks._summary import summarize
from tests.events import EVENTS, HOSTILE, delivery, event

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def raw(of: Any = None, subject: str | None = None, people: PeopleSettings = EVERYTHING) -> bytes:
    message = compose(of or event(), people)
    line = subject_line(message.title) if subject is None else subject
    return mailed(message_content(message, people), line)


def mailed(content: Content, subject: str = "s") -> bytes:
    to = ["a@x.example", "b@y.example"]
    return build(content, subject, mail_id="id-1", sender="shop@shop.example", to=to, now=NOW)


def parsed(mail: bytes) -> EmailMessage:
    message = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def parts(mail: bytes) -> tuple[str, str]:
    message = parsed(mail)
    text, html = message.get_body(["plain"]), message.get_body(["html"])
    assert text is not None
    assert html is not None
    return text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


def test_a_mail_says_who_what_and_when() -> None:
    message = parsed(raw())
    assert {name: str(message[name]) for name in HEADERS if name != "Content-Type"} == {
        "From": "shop@shop.example",
        "To": "a@x.example, b@y.example",
        "Subject": "New purchase: Sky",
        "Date": "Wed, 04 Mar 2026 05:06:07 +0000",
        "Message-ID": "<id-1@shop.example>",
        "Auto-Submitted": "auto-generated",
        "List-Id": "<eventferry.shop.example>",
        "MIME-Version": "1.0",
    }
    assert message.get_content_type() == "multipart/alternative"


def test_text_and_html_say_the_same() -> None:
    data = {
        "resource_title": "Sky <b>& more</b>",
        "resource_url": "https://builtbybit.com/r/1?a=1&b=2",
        "message": "line one\nline <two>",
        "username": "Ann",
        "user_url": "https://builtbybit.com/members/7/",
    }
    text, html = parts(raw(event(data)))
    assert (
        "New purchase: Sky <b>& more</b>\n\nline one\nline <two>\n\nBuyer: Ann <https://builtbybit.com/members/7/>"
        in text
    )
    assert (
        '<a href="https://builtbybit.com/r/1?a=1&amp;b=2">New purchase: Sky &lt;b&gt;&amp; more&lt;/b&gt;</a>' in html
    )
    assert "line one<br>\nline &lt;two&gt;" in html
    assert '<a href="https://builtbybit.com/members/7/">Ann</a>' in html
    assert "2026-03-04 05:06:07 UTC, builtbybit:4711" in text
    assert "2026-03-04 05:06:07 UTC, builtbybit:4711" in html


def test_times_are_on_the_readers_clocks() -> None:
    text, html = parts(raw(people=PeopleSettings(audience="full", timezone="Asia/Tokyo")))
    assert "2026-03-04 14:06:07 JST, builtbybit:4711" in text
    assert "2026-03-04 14:06:07 JST, builtbybit:4711" in html


@pytest.mark.parametrize(("audience", "told"), [("public", False), ("full", True)])
def test_strangers_are_told_neither_buyer_nor_price(audience: Any, told: bool) -> None:
    for part in parts(raw(people=PeopleSettings(audience=audience))):
        assert "Sky" in part
        assert ("Steve" in part) is told
        assert ("9.99" in part) is told


def summary_of(number: int) -> Content:
    title = "Sky <b> {}"
    events = [event({"resource_title": title.format(each)}, external_id=str(each)) for each in range(number)]
    summary = Summary("s-1", "burst", [delivery(one, number=at) for at, one in enumerate(events)])
    return overview_content(summarize(summary, EVERYTHING), EVERYTHING)


def test_a_summary_has_a_line_for_each_event_in_both_parts() -> None:
    text, html = parts(mailed(summary_of(3)))
    for each in range(3):
        assert f"Sky <b> {each}\n" in text
        assert f"Sky &lt;b&gt; {each}</li>" in html
    assert "s-1" in text
    assert "s-1" in html


def test_a_summary_of_very_many_says_how_many_it_left_out() -> None:
    text, html = parts(mailed(summary_of(MOST_LINES + 7)))
    assert "… and 7 more" in text
    assert "… and 7 more" in html
    assert f"Sky &lt;b&gt; {MOST_LINES}<" not in html


def test_a_text_of_the_owner_reads_the_same_as_html() -> None:
    text, html = parts(mailed(Content("a <b>\n  c & d", plain_html("a <b>\n  c & d"))))
    assert text == "a <b>\n  c & d\n"
    assert '<div style="white-space: pre-wrap">a &lt;b&gt;\n  c &amp; d</div>' in html


def test_our_own_command_is_set_as_code() -> None:
    own = event({"text": "look", "command": "a <b>"}, kind="alert.x", source="eventferry")
    text, html = parts(raw(own))
    assert "Command: a <b>" in text
    assert "<code>a &lt;b&gt;</code>" in html


INJECTIONS = [
    "=?utf-8?q?a=0D=0ABcc:_evil@evil.example?=",
    "=?utf-8?b?YQ0KQmNjOiBldmlsQGV2aWwuZXhhbXBsZQ==?=",
    "=?utf-8?q?=0D=0A=0D=0A<script>?=",
    "x =?utf-8?q?a=0ABcc:_e@e?= =?utf-8?q?=0D=0AX-Y:_z?=",
    "a\r\nBcc: evil@evil.example",
    "a\nBcc: evil@evil.example",
    "a\rBcc: evil@evil.example",
    "a\x0bBcc: e@e\x0cX: y\x85Z: w\u2028Q: r",
    "\r\n\r\nbody",
    "a\x00b",
    "\ud800 half",
    "=?utf-8?q?a=0ABcc:_evil@evil.example?=",
    "=?utf-8?q?a=0DBcc:_evil@evil.example?=",
    "=?iso-8859-1?q?a=0D=0A_Bcc:_evil@evil.example?=",
    "=?utf-16?b?DQAKAEIAYwBjADoAIABlAEAAZQA=?=",
    "=?UTF-8*en?Q?a=0D=0AReply-To:_evil@evil.example?=",
    "=?utf-7?q?+AA0ACg-Bcc:_evil@evil.example?=",
    "x" * 70 + " =?utf-8?q?a=0D=0ABcc:_evil@evil.example?=",
    "=?utf-8?q?a?=\t=?utf-8?q?=0D=0A=0D=0A?= Content-Type: text/html",
    "a\r\n\tBcc: evil@evil.example",
]


@pytest.mark.parametrize("subject", INJECTIONS)
def test_no_subject_adds_a_header(subject: str) -> None:
    """S9, M11: with the subject as an event brings it, and with the second net alone, which sees it unprepared."""
    for line in (subject_line(subject), subject):
        if line is subject and any(c in subject for c in "\r\n\x0b\x0c\x85\u2028\ud800"):
            continue  # Python itself refuses to write these
        mail = raw(subject=line)
        assert header_names(mail) == sorted(HEADERS)
        assert b"evil@" not in mail.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b"").partition(b"Subject")[0]
        assert "Bcc" not in parsed(mail)


def test_a_python_that_injects_headers_is_found_by_trying_and_is_held_back() -> None:
    """S21, on whichever Python this runs."""
    payload = "=?utf-8?q?a=0D=0ABcc:_evil@example.com?="
    naive = EmailMessage(policy=email.policy.SMTP)
    naive["Subject"] = payload
    assert python_injects_headers() is (b"\nBcc:" in naive.as_bytes())
    assert header_names(raw(subject=payload)) == sorted(HEADERS)


def test_a_subject_stays_readable() -> None:
    assert subject_line("New\r\nreview: =?x?= \u202eok\x00") == "New review: = ?x?= ok"
    assert len(subject_line("x" * 999)) == 200
    assert str(parsed(raw(subject=subject_line("Größe ✓ " * 25)))["Subject"]) == ("Größe ✓ " * 25).strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_events_make_a_sound_mail(name: str) -> None:
    check_sound(raw(event(HOSTILE[name])))


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_any_event_makes_a_sound_mail(generated: Any) -> None:
    check_sound(raw(generated))


def check_sound(mail: bytes) -> None:
    assert mail.isascii()
    assert b"\x00" not in mail
    assert header_names(mail) == sorted(HEADERS)
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    assert b"\n" not in mail.replace(b"\r\n", b"")
    assert str(parsed(mail)["Message-ID"]) == "<id-1@shop.example>"
    _, html = parts(mail)
    assert "<script" not in html
    assert "<img" not in html


def test_a_long_message_id_stays_whole() -> None:
    content = Content("t\n", "<p>t</p>\n")
    sender = "a@" + ".".join(["x" * 60] * 3) + ".example"
    mail = build(content, "s", mail_id="d" * 64, sender=sender, to=["a@x.example"], now=NOW)
    (line,) = [one for one in mail.replace(b"\r\n ", b" ").split(b"\r\n") if one.startswith(b"Message-ID")]
    assert line.split() == [b"Message-ID:", f"<{'d' * 64}@{sender[2:]}>".encode()]


def test_addresses_longer_than_a_line_leave_all_headers_whole() -> None:
    sender = f"{'s' * 64}@{'d' * 63}.{'e' * 63}.example"
    to = [f"{letter * size}@x.example" for letter in "ab" for size in (1, 64, 70, 76, 150, 244)] * 4
    mail = build(Content("a\n", "b\n"), "Größe", mail_id="i" * 64, sender=sender, to=to, now=NOW)
    read = email.message_from_bytes(mail, policy=email.policy.default)
    assert header_names(mail) == sorted(HEADERS)
    assert [address.addr_spec for address in read["To"].addresses] == to
    assert [address.addr_spec for address in read["From"].addresses] == [sender]
    domain = sender.partition("@")[2]
    assert (read["List-Id"], read["Message-ID"]) == (f"<eventferry.{domain}>", f"<{'i' * 64}@{domain}>")
    assert read["Subject"] == "Größe"
    assert max(map(len, mail.split(b"\r\n"))) <= 998
