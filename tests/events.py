"""Events for tests: an ordinary one, hostile ones, and generated ones."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from daemon.contract import Delivery, Event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
"""Any value that JSON (as Python reads it) can hold, lone surrogates aside."""


def event(data: Any = None, kind: str = "purchase", **changes: Any) -> Event:
    fields = {
        "source": "builtbybit",
        "external_id": "4711",
        "channel": "12",
        "kind": kind,
        "occurred_at": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
        "data": {"resource_title": "Sky", "username": "Steve", "final_price": "9.99"} if data is None else data,
    }
    return Event(**fields | changes)


def delivery(of: Event | None = None, number: int = 1, **changes: Any) -> Delivery:
    return Delivery(id=f"builtbybit-{number}-sales", event=of or event(), attempt=changes.pop("attempt", 1), **changes)


def _nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


HOSTILE: dict[str, dict[str, Any]] = {
    "empty": {},
    "nulls": dict.fromkeys(("resource_title", "username", "final_price", "resource_url")),
    "wrong types": {"resource_title": {"a": [1]}, "username": 5, "final_price": [], "rating": {}, "message": False},
    "mentions": {"username": "@everyone", "resource_title": "@here <@1> <@&2> <#3>", "message": "@everyone"},
    "markdown": {"resource_title": "# **x** ||y|| `z`", "message": "```\n> q\n- l\n[a](https://evil.example)"},
    "html": {
        "resource_title": "<script>alert(1)</script>",
        "message": '<img src=x onerror="a()"> &amp;',
        "<script>": "x",
    },
    "templates": {"username": "{{ 7*7 }}{% for x in y %}", "message": "${{x}} {secret} %(a)s"},
    "line ends": {"resource_title": "a\r\nBcc: evil@evil.example\r\n\r\nbody", "username": "x\n.\nMAIL FROM:<a@b>"},
    "encoded words": {"resource_title": "=?utf-8?q?a=0D=0ABcc:_evil@evil.example?=", "username": "=?x?="},
    "bidi and control": {"resource_title": "\u202egpj.exe\u2066\x00\x1b[2J\u200b", "username": "\x07\x9b"},
    "surrogates": {"resource_title": "\ud800 half", "\udfff": "\udc00", "message": "a\ud83d"},
    "numbers": {"final_price": float("nan"), "x": float("inf"), "y": 10**400, "rating": 1e308, "z": -0.0},
    "exponents": {"final_price": "1e999999999", "rating": "-1e999999999", "list_price": "0e999999999"},
    "deep": {"resource_title": _nested(900), "x": _nested(900)},
    "long": {"resource_title": "👍" * 100_000, "message": "*" * 1_000_000, "username": "\\" * 10_000},
    "wide": {f"name{number}" * 40: "`" * 3000 for number in range(2_000)},
    "blank": {"resource_title": " \u200b\t", "username": "\u2800\u3164", "message": "\n\n\n", "": " "},
    "links": {"resource_url": "javascript:alert(1)", "user_url": "https://builtbybit.com)](https://evil.example"},
}
"""What events may hold that somebody means badly, or nobody thought of."""

NASTY = st.text(st.sampled_from("*_`\\|<>[]()@:#-1. \n\r\t\0a👍é\u202e\u200b\ud800\u3000"), max_size=400)
LONG = st.builds(lambda piece, times: piece * times, st.text(min_size=1, max_size=8) | NASTY, st.integers(1, 3000))
NAMES = st.sampled_from(
    [
        *("resource_title", "title", "message", "review", "username", "user_id", "user_url", "resource_url", "text"),
        *("final_price", "list_price", "price", "currency", "rating", "stars", "addon_title", "bundle_id", "command"),
    ]
)
VALUES = JSON | NASTY | LONG | st.sampled_from(["https://builtbybit.com/" + "x" * n for n in (1, 600, 2000, 3000)])
EVENTS = st.builds(
    event,
    st.dictionaries(NAMES | NASTY | LONG, VALUES, max_size=40),
    kind=st.sampled_from(["purchase", "review", "update", "publish", "alert.x", ""]) | NASTY | LONG,
    source=st.sampled_from(["builtbybit", "eventferry"]),
    external_id=st.text(max_size=5) | LONG,
    occurred_at=st.datetimes(timezones=st.just(UTC)),
)
"""Anything at all, with a leaning to what could do harm."""
