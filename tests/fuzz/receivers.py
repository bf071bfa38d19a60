"""Fuzzes the sinks: what they make of any event, and what they make of any answer."""

import email
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiosmtplib import SMTPAuthenticationError, SMTPDataError, SMTPResponseException

from daemon.cli.text import line
from daemon.contract import Closed, Delivered, Delivery, Event, Outcome, Rejected, TryLater, delivery_id
from daemon.redaction import remember
from daemon.simulator.discord_rules import errors_in, hazards_in, is_empty
from sinks._discord_answer import guild_of, holds, verdict
from sinks._envelope import DEEPEST, encode, envelope
from sinks._http import answer_text, judge
from sinks._layout import EVERYTHING, compose, filled
from sinks._mail import HEADERS, header_names
from sinks._smtp_answer import judge_reply, judge_trouble
from sinks.console import text_lines
from tests.events import HOSTILE
from tests.fuzz.sources import answer_of
from tests.fuzz.target import CANARY, Target, json_of, require_line, text_of
from tests.rigs import build

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
_MOST_SHOWN = 200_000
"""Characters: whatever an event holds, people get no more to read."""

DISCORD = build(
    "discord",
    url="http://127.0.0.1:9/webhooks/1/x",
    audience="full",
    title="{{ username }}: {{ resource_title }}",
    body="{{ message }} {{ review }}",
    fields={"Price": "{{ final_price }}"},
)
PLAIN_DISCORD = build("discord", url="http://127.0.0.1:9/webhooks/1/x", audience="full")
EMAIL = build(
    "email",
    **{"host": "127.0.0.1", "security": "none", "from": "shop@shop.example", "to": ["a@x.example", "b@y.example"]},
    subject="{{ resource_title }} {{ username }}",
)
WEBHOOK = build("webhook", url="http://127.0.0.1:9/hook")
FILE = build("file", path="/dev/null")


def event_of(data: bytes) -> Event | None:
    given = json_of(data)
    if not isinstance(given, dict):
        return None
    fields = given.get("data")
    return Event(
        source="eventferry" if given.get("own") else "builtbybit",
        external_id=str(given.get("id"))[:100] or "x",
        channel=None,
        kind=(str(given.get("kind")).encode("utf-8", "replace").decode())[:200] or "unknown",
        occurred_at=NOW,
        data=fields if isinstance(fields, dict) else {},
    )


def message(data: bytes) -> None:
    """Discord's limits hold, nothing pings, and the terminal gets nothing that moves its cursor."""
    if (event := event_of(data)) is None:
        return
    delivery = Delivery(delivery_id(event.source, event.external_id, "fuzz"), event, 1)
    for sink in (DISCORD, PLAIN_DISCORD):
        body = json.loads(sink.render(delivery))
        assert errors_in(body) == {}
        assert not is_empty(body)
        assert hazards_in(body) == ()
        body["embeds"][0].pop("footer")  # shows the event's key as it is
        texts = re.sub(r"https://\S+|`[^`]+`", "", "\n".join(_texts(body)))  # neither links nor code ping
        assert not re.search(r"(?<!\\)@(?:everyone|here)", texts), "it would ping"
    shown = text_lines(compose(event, EVERYTHING))
    assert len(shown) <= _MOST_SHOWN
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)


def _texts(value: Any) -> Iterator[str]:
    """All that is shown, however deep it stands."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def mail(data: bytes) -> None:
    """Read back, a mail has the headers we meant it to have and no others (S9)."""
    if (event := event_of(data)) is None:
        return
    delivery = Delivery(delivery_id(event.source, event.external_id, "fuzz"), event, 1)
    raw = EMAIL.render(delivery).replace("\n", "\r\n").encode("ascii")
    assert header_names(raw) == sorted(HEADERS), "a header was smuggled in"
    read = email.message_from_bytes(raw)
    assert read["To"] == "a@x.example, b@y.example"
    assert [part.get_content_type() for part in read.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert len(raw) <= 10 * _MOST_SHOWN
    html = read.get_payload(1)
    assert isinstance(html, email.message.Message)
    shown = html.get_payload(decode=True)
    assert isinstance(shown, bytes)
    assert not re.search(rb"<(?:script|img|iframe|svg)", shown, re.IGNORECASE)


def document(data: bytes) -> None:
    """Machines get strict JSON on one line, of bounded depth, with the event's identity untouched."""
    if (event := event_of(data)) is None:
        return
    delivery = Delivery(delivery_id(event.source, event.external_id, "fuzz"), event, 1)
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", delivery.id)
    written = FILE.render(delivery)
    assert written.isascii()
    assert "\n" not in written
    read = json.loads(written, parse_constant=_no_constant)
    assert (read["type"], read["source"], read["event_id"]) == (event.kind, event.source, event.external_id)
    assert read["delivery_id"] == delivery.id
    assert json.loads(WEBHOOK.render(delivery)) == {
        name: value for name, value in read.items() if name != "delivery_id"
    }
    again = Event(**{name: getattr(event, name) for name in event.__slots__} | {"data": read["data"]})
    assert encode(envelope(again)) == encode(envelope(event)), "sent, read and sent again it is another event"
    assert _depth(read["data"]) <= DEEPEST + 1
    assert filled(None, event, EVERYTHING, "otherwise") == "otherwise"


def _no_constant(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def http_answer(data: bytes) -> None:
    answer = answer_of(data)
    remember(CANARY)
    for in_thread in (False, True):
        outcome = verdict(answer, in_thread=in_thread, now=NOW)
        _require_told(outcome)
        held = holds(answer, outcome, "discord/one")
        assert held.keys() <= {"discord", "discord/one"}
        assert all(timedelta() < wait <= timedelta(hours=24) for wait in held.values())
    assert re.fullmatch("[0-9]*", guild_of(answer))
    _require_told(judge(answer, NOW))
    kept = answer_text(answer)
    assert len(kept) <= 1024
    assert CANARY not in kept


def smtp_answer(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    code = int(head) if re.fullmatch(rb"-?[0-9]{1,9}", head) else 550
    words = text_of(body)
    remember(CANARY)
    _require_told(judge_reply(code, words))
    for trouble in (
        SMTPResponseException(code, words),
        SMTPDataError(code, words),
        SMTPAuthenticationError(code, words),
    ):
        _require_told(judge_trouble(trouble, timedelta(seconds=20)))


def _require_told(outcome: Outcome) -> None:
    match outcome:
        case Delivered(detail):
            require_line(line(detail), 400)  # as `show` shows it
        case TryLater(reason, wait, _):
            require_line(reason, 400)
            assert wait is None or timedelta() < wait <= timedelta(hours=24)
        case Rejected(reason) | Closed(reason):
            require_line(reason, 400)
        case _:
            raise AssertionError(f"no outcome: {outcome!r}")


def _event(data: Any, kind: str = "purchase", **more: Any) -> bytes:
    return json.dumps({"kind": kind, "id": 4711, "data": data, **more}).encode()


_PURCHASE = {
    "resource_title": "Sky", "resource_url": "https://builtbybit.com/resources/1/", "username": "Steve", "user_id": 7,
    "user_url": "https://builtbybit.com/members/7/", "final_price": "9.99", "list_price": "19.99", "currency": "USD",
    "purchase_date": 1_770_000_000, "addon_title": "Gold", "addon_id": "3", "renewal": "1 month",
}  # fmt: skip
_REVIEW = {"title": "# Great", "message": "**bold**\n> quote <@1>", "rating": 4, "reviewer": "Ann", "thread_title": "x"}
_SMALL_HOSTILE = [one for name, one in HOSTILE.items() if name not in ("long", "wide", "deep")]
_EVENTS = [
    _event(_PURCHASE),
    _event(_REVIEW, "resource_review"),
    _event({"price": {"value": "5", "currency": "EUR"}, "items": [{"a": [1, {"b": None}]}] * 5}, "update"),
    _event({"text": "stopped", "command": "eventferry sinks resume x"}, "alert.sink_stopped", own=True),
    _event({f"name_{number}": "v" * number for number in range(120)}, "other-thing"),
    *(_event(one) for one in _SMALL_HOSTILE),
]
_DISCORD_ERRORS = (
    {"id": "1234567890", "type": 0},
    {"message": "You are being rate limited.", "retry_after": 0.65, "global": False},
    {"message": "Unknown Webhook", "code": 10015},
    {"message": f"{CANARY} is bad", "code": 50035, "errors": {"embeds": {"0": {"_errors": [{"message": CANARY}]}}}},
)
_ANSWERS = [
    head + b"\n" + json.dumps(body).encode()
    for head in (b"200", b"204", b"400", b"401", b"404", b"410", b"413", b"429 1", b"429 x", b"500", b"301", b"501")
    for body in _DISCORD_ERRORS
]
_SMTP = [
    b"250\n2.0.0 Ok: queued", b"421\n4.7.0 try again", b"450\n4.2.1 full", b"535\n5.7.8 bad login",
    b"550\n5.1.1 unknown", b"552\n5.3.4 too big", f"554\n5.7.1 {CANARY} refused".encode(),
    b"550\n5.4.5 quota\n5.4.5 more", b"999\n", b"-1\nx",
]  # fmt: skip
TARGETS = [
    Target("messages", 5, _EVENTS, message, is_json=True),
    Target("mails", 2, _EVENTS, mail, is_json=True),
    Target("documents", 10, _EVENTS, document, is_json=True),
    Target("http-answers", 8, _ANSWERS, http_answer, is_json=True),
    Target(
        "http-answers-bytes",
        5,
        _ANSWERS,
        http_answer,
        tokens=(
            b'"code":',
            b'"retry_after":',
            b'"errors":{',
            b'"_errors":[',
            b'"global":true',
            b"\n",
            b"429 ",
            b"\xff",
        ),
    ),
    Target(
        "smtp-answers", 8, _SMTP, smtp_answer, tokens=(b"5.1.1", b"#5.6.0", b"4.", b"\r\n", b"\x1b[", CANARY.encode())
    ),
]
