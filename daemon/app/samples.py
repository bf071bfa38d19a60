"""Made-up events that every sink must be able to render: usual ones, and such as nobody wishes for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from daemon.contract import OWN_SOURCE, Event

_PERSON = {"user_id": "4711", "username": "Marlowe", "user_url": "https://builtbybit.com/members/4711/"}
RESOURCE = {
    "resource_id": "1234",
    "resource_title": "Skyline Economy",
    "resource_url": "https://builtbybit.com/resources/1234/",
}
_HOSTILE = (
    "@everyone **x** [a](https://evil.example) <b>&\r\nBcc: a@b.example\x00\x1b[2J\u202e\ud800 {{ 7 * 7 }} `\\` '\""
)
_PURCHASE = {
    **_PERSON,
    **RESOURCE,
    "addon_id": "0",
    "addon_title": "",
    "renewal": "none",
    "list_price": "12.99",
    "final_price": "9.99",
    "currency": "USD",
    "purchase_date": "1769882400",
}
_WORLDWIDE = "👩🏽‍💻 \u0645\u0631\u062d\u0628\u0627 שלום Ünïcödé 日本 🏴󠁧󠁢󠁳󠁣󠁴󠁿"


def _event(number: int, kind: str, data: Mapping[str, Any], source: str = "builtbybit") -> Event:
    return Event(source, f"sample{number}", "7001", kind, datetime(2026, 1, 31, 18, 0, tzinfo=UTC), data)


SAMPLES: Mapping[str, Event] = {
    "a purchase": _event(1, "purchase", _PURCHASE),
    "a review": _event(2, "review", {**_PERSON, **RESOURCE, "rating": "5", "review": "Works well.\nAnd fast."}),
    "an update": _event(
        6,
        "Resource Update",
        {"product_title": "Skyline Economy", "title": "v2", "message": "[b]Faster[/b] &amp; safer"},
    ),
    "a publication": _event(7, "publish", {**RESOURCE, "category": "Plugins", "list_price": "0"}),
    "an add-on": _event(12, "purchase", _PURCHASE | {"addon_id": "501", "addon_title": "Auction House"}),
    "a bundle": _event(13, "purchase", _PURCHASE | {"bundle_id": "77", "bundle_title": "Server Starter Pack"}),
    "an unknown trigger": _event(8, "coupon_redeemed", {**_PERSON, "coupon": "SUMMER", "tags": ["a", 1]}),
    "missing fields": _event(3, "purchase", {}),
    "hostile text": _event(
        4,
        _HOSTILE,
        dict.fromkeys((*_PERSON, *RESOURCE, "review", "final_price", "text", _HOSTILE), _HOSTILE)
        | {"deep": [[[[[{"a": [None, True, 1e308, 10**400]}]]]]], "rating": None},
    ),
    "very long text": _event(
        5, "review" * 30, {**RESOURCE, "review": "long " * 40_000, **{f"field_{n}": "x" * 2000 for n in range(300)}}
    ),
    "emoji and right-to-left text": _event(
        9, "review", dict.fromkeys((*_PERSON, *RESOURCE, "review", "final_price"), _WORLDWIDE) | {"rating": 4.5}
    ),
    "a report": _event(10, "report.weekly", {"title": "Weekly report", "text": "Sold: 3", "sold": "3"}, OWN_SOURCE),
    "a test": _event(11, "test.purchase", {**_PERSON, **RESOURCE, "final_price": "9.99"}, OWN_SOURCE),
}
