"""Fuzzes what BuiltByBit answers: lists of events, completions, and waits that are asked for."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from daemon.contract import AcknowledgementRefused, Event, Page, SourceThrottled, SourceTrouble
from daemon.http import Answer, retry_after
from daemon.sources._builtbybit_answer import asked_wait
from daemon.sources.builtbybit import BuiltByBitSource
from daemon.store.text import data_text, digest_of, storable
from tests.fuzz.target import CANARY, Target, driven, require_line, text_of

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
_MOST_CALLS = 12
_EVENT = {
    "event_id": 4711,
    "listener_id": 12,
    "created_at": 1_770_000_000,
    "trigger_type": "purchase",
    "trigger_data": {"username": "Steve", "final_price": "9.99", "resource_title": "Sky", "addon_id": None},
}
_STATS = {"total": 2, "per_page": 100, "max_page": 1}
_PAGES: tuple[Any, ...] = (
    {"result": "success", "data": {"events": [_EVENT, _EVENT | {"event_id": "a-b_c"}], "stats": _STATS}},
    {"result": "success", "data": {"events": [], "stats": {"total": 0, "per_page": 100, "max_page": 0}}},
    {"result": "success", "data": {"events": [_EVENT | {"event_id": n} for n in range(25)]}},
    {"result": "error", "error": {"code": "SomeError", "message": f"See {CANARY}"}},
    {"result": "success", "data": {"events": [5, "x", None, {"event_id": None}, [_EVENT]], "stats": None}},
    {"result": "success", "data": None},
)
_HEADS = (b"200", b"200", b"200", b"200", b"401", b"403", b"404", b"429 1500", b"503 20", b"500", b"302", b"413")
_WAITS = (b"1500", b"0.5", b"Wed, 04 Mar 2026 05:07:07 GMT", b"-1", b"1e3", b"86400", b"Sunday, 06-Nov-94 08:49:37 GMT")


class _Gates:
    def require_open(self, host: str, access: Any) -> None:
        pass

    async def shut(self, host: str, access: Any, wait: timedelta | None) -> SourceThrottled:
        assert wait is None or timedelta() < wait <= timedelta(hours=24)
        return SourceThrottled("shut", access, NOW + (wait or timedelta()))

    async def passed(self, host: str, access: Any) -> None:
        pass


class _Http:
    """The network: answers the same to everything."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.calls = 0

    async def call(self, *_: Any, **__: Any) -> Answer:
        self.calls += 1
        return self._answer


_SETTINGS = BuiltByBitSource.Settings.model_validate({"base_url": "http://127.0.0.1:9/v2", "token": CANARY})


def answer_of(data: bytes) -> Answer:
    """The first line is status and Retry-After, the rest is the body."""
    head, _, body = data.partition(b"\n")
    status, _, wait = text_of(head).partition(" ")
    number = int(status) if re.fullmatch("[1-5][0-9][0-9]", status) else 200
    return Answer(
        number, httpx.Headers([(b"retry-after", wait.encode("utf-8", "replace"))] if wait else []), body, False, ""
    )


def _asked(data: bytes) -> tuple[BuiltByBitSource, _Http]:
    http = _Http(answer_of(data))
    fake: Any = http
    return BuiltByBitSource("shop", _SETTINGS, fake, _Gates(), lambda: NOW), http


def _collected(pages: AsyncIterator[Page], calls: _Http) -> list[Page]:
    found: list[Page] = []

    async def all_of_it() -> None:
        async for page in pages:
            found.append(page)
            assert calls.calls < _MOST_CALLS, "the same page again and again, and no end"

    driven(all_of_it())
    return found


def events_page(data: bytes) -> None:
    source, calls = _asked(data)
    try:
        pages = _collected(source.fetch(None), calls)
    except SourceTrouble as trouble:
        require_line(str(trouble), 300)
        return
    first = pages[0]
    listed = _listed(answer_of(data).body)
    assert listed is None or len(first.events) + len(first.unidentified) == listed, "an entry was lost"
    for incoming in (incoming for page in pages for incoming in page.events):
        _require_storable(incoming.event)
        assert incoming.raw is None or incoming.raw.isascii()
    for aside in first.unidentified:
        json.loads(aside.raw)
        require_line(aside.reason, 100)


def _listed(body: bytes) -> int | None:
    """How many entries the list has, read as strictly as the standard library does."""
    try:
        document = json.loads(body.decode("utf-8-sig"))
        return len(document["data"]["events"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _require_storable(event: Event) -> None:
    assert re.fullmatch("[!-~]{1,100}", event.external_id)
    assert event.channel is None or re.fullmatch("[!-~]{1,100}", event.channel)
    assert 1 <= len(event.kind) <= 200
    event.kind.encode()
    storable(event.kind).encode()
    assert event.occurred_at.tzinfo is not None
    stored = data_text(event.data)
    assert data_text(json.loads(stored)) == stored, "stored and read again it is another event"
    assert len(digest_of(event.kind, event.channel, stored, None)) == 32


def completion(data: bytes) -> None:
    source, _ = _asked(data)
    try:
        refused = driven(source.acknowledge(["4711", "x", "-1", "007"]))
    except SourceTrouble as trouble:
        require_line(str(trouble), 300)
        return
    assert refused is None or isinstance(refused, AcknowledgementRefused)
    if refused is not None:
        require_line(refused.reason, 200)


def wait_asked(data: bytes) -> None:
    answer = answer_of(data)
    for wait in (asked_wait(answer, NOW), retry_after(answer.headers, NOW)):
        assert wait is None or timedelta() < wait <= timedelta(hours=24)


def _with_heads(bodies: Sequence[Any], heads: Sequence[bytes]) -> list[bytes]:
    texts = [json.dumps(body).encode() for body in bodies]
    return [head + b"\n" + text for number, head in enumerate(heads) for text in texts[number % 2 :: 2]]


TARGETS = [
    Target("events", 12, _with_heads(_PAGES, _HEADS), events_page, is_json=True),
    Target(
        "events-bytes",
        10,
        _with_heads(_PAGES, _HEADS),
        events_page,
        tokens=(
            b'"event_id":',
            b'"events":[',
            b"NaN",
            b"Infinity",
            b'{"',
            b"[[[[",
            b"]}",
            b"\xff",
            b"\\ud800",
            b"\xef\xbb\xbf",
        ),
    ),
    Target(
        "completion",
        8,
        _with_heads([{"result": "success"}, *_PAGES[3:4]], _HEADS),
        completion,
        tokens=(b'"result"', b'"success"', b'"error"', b'"code":', b"\n", b" "),
    ),
    Target(
        "retry-after",
        12,
        [head + b" " + wait + b'\n{"result":"error"}' for head in (b"429", b"503") for wait in _WAITS]
        + [b"429 " + wait + b"\n<html>" for wait in _WAITS],
        wait_asked,
        tokens=(b"GMT", b" +9999", b"Feb", b"31", b":", b",", b"1e400", b"inf", b"nan", b"-", b"9" * 30, b"(", b")"),
    ),
]
