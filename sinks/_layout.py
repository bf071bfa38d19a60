"""How an event becomes something to read: a title, a link, a text and fields, from whatever placeholders it has.

BuiltByBit publishes the placeholders of purchases only, and not as a fixed list, so each part is found by any of
several names (upper or lower case, `camelCase` or `snake_case`). Nothing is lost on the way: what no name matches
becomes a field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Literal

from daemon import log
from daemon.contract import OWN_SOURCE, Event
from daemon.expression import RenderFailed, Template
from daemon.people import PeopleSettings
from sinks._text import clean, cut, https_link, one_line, plain

Topic = Literal["purchase", "review", "update", "publish", "own", "other"]

ITEM = ("resource_title", "product_title", "item_title", "resource_name", "product_name", "thread_title")
"""Names of what was bought, reviewed or changed; `title` too, where no other name is there."""
HEADLINE = ("headline", "subject", "title")
"""Behind `review_title` and the like: what its author wrote above the text."""
LINK = ("resource_url", "product_url", "item_url", "url", "link")
"""Behind `review_url` and the like."""
TEXT = ("message", "text", "content", "body", "comment", "description", "changelog", "changes", "notes")
"""Behind `review_message` and the like, and a bare `review`."""
STARS = ("stars", "rating", "review_stars", "review_rating", "star_rating", "score")
PERSON = (
    *("username", "buyer_username", "purchaser_username", "member_username", "reviewer_username", "author_username"),
    *("user_name", "buyer_name", "purchaser_name", "reviewer_name", "buyer", "purchaser", "reviewer", "author", "user"),
)
PERSON_ID = ("user_id", "buyer_id", "purchaser_id", "member_id", "reviewer_id", "author_id")
PERSON_LINK = ("user_url", "buyer_url", "purchaser_url", "member_url", "reviewer_url", "author_url")
PRICE = ("final_price", "purchase_price", "price")
LIST_PRICE = ("list_price", "original_price")
CURRENCY = ("currency", "purchase_currency")
EXTRAS = ("addon", "bundle")
"""Each has a `…_title`, `…_id` and perhaps `…_url`; "0", "" and null mean that there is none."""
ITEM_ID = ("resource_id", "product_id")
"""Not shown beside a title."""
TIME = ("purchase_date", "date", "created_at")
"""Not shown as bare seconds: the time of the event says it better."""

_NONE = ("", "0", "none", "null", "false", "no")
_MOST_FIELDS = 100
_TEXT_LIMIT = 20_000
_TITLES: Mapping[Topic, str] = {
    "purchase": "New purchase",
    "review": "New review",
    "update": "Update",
    "publish": "Published",
}
_PERSONS: Mapping[Topic, str] = {"purchase": "Buyer", "review": "Reviewer"}


EVERYTHING = PeopleSettings(audience="full")
"""For readers who may see all that an event holds."""


@dataclass(frozen=True, slots=True)
class Field:
    """A named value; both clean text, not yet escaped for any place."""

    name: str
    value: str
    link: str | None = None
    """Where the value may lead: https and BuiltByBit, or None."""
    code: bool = False
    """A command of ours, to be copied as it is."""


@dataclass(frozen=True, slots=True)
class Message:
    """What people should see of an event; clean text, not yet escaped for any place."""

    topic: Topic
    title: str
    """One line, never empty."""
    link: str | None
    text: str
    fields: tuple[Field, ...]
    occurred_at: datetime
    key: str


class _Placeholders:
    """An event's data, from which each part is taken out once; the rest stays."""

    def __init__(self, data: object) -> None:
        whole = data if isinstance(data, Mapping) else {"data": data}
        self._unread = len(whole) - _MOST_FIELDS
        self._left: dict[str, Any] = {}
        for name, value in islice(whole.items(), _MOST_FIELDS):
            text = plain(name, 100)
            known = _snake_case(text)
            self._left[known if known not in self._left else text] = value

    def take(self, *names: str, limit: int = 200) -> str:
        """The first of these that holds something."""
        for name in names:
            if name in self._left and (text := plain(self._left[name], limit)):
                del self._left[name]
                return text
        return ""

    def take_link(self, *names: str) -> str | None:
        """The first of these that may be linked; the others stay, to be shown as text."""
        for name in names:
            if link := https_link(self._left.get(name)):
                del self._left[name]
                return link
        return None

    def drop_number(self, name: str) -> None:
        if re.fullmatch(r"\d{1,20}", plain(self._left.get(name), 30)):
            del self._left[name]

    def take_money(self, *names: str) -> str:
        """The first of these, with its currency if it comes as a table of both, as elsewhere in BuiltByBit's API."""
        for name in names:
            match self._left.get(name):
                case {"value": amount, "currency": currency}:
                    del self._left[name]
                    return f"{plain(amount, 100)} {plain(currency, 20)}"
                case _:
                    if text := self.take(name, limit=100):
                        return text
        return ""

    def rest(self) -> list[Field]:
        fields = [
            Field(_label(name), text, https_link(value)) for name, value in self._left.items() if (text := plain(value))
        ]
        return [*fields, Field("…", f"{self._unread} more")] if self._unread > 0 else fields


def template_values(event: Event) -> dict[str, Any]:
    """What a template can name: each placeholder, and `trigger`, `event_id`, `listener_id` and `source`."""
    placeholders = event.data if isinstance(event.data, Mapping) else {}
    own = {"event_id": event.external_id, "listener_id": event.channel, "source": event.source}
    return {**own, "trigger": event.kind, **placeholders}


def compose(event: Event, people: PeopleSettings) -> Message:
    """Lay an event out for these readers; whatever it holds or lacks, there is a title."""
    topic = topic_of(event)
    left = _Placeholders(event.data)
    item = one_line(left.take(*ITEM, *(HEADLINE if topic in ("purchase", "publish", "other") else ()), limit=300))
    heading = one_line(left.take(f"{topic}_title", *HEADLINE))
    link = left.take_link(f"{topic}_url", f"{topic}_link", *LINK)
    text = left.take(*(f"{topic}_{name}" for name in TEXT), topic, *TEXT, limit=_TEXT_LIMIT)
    fields = [_person(left, topic), _price(left), *(_extra(left, name) for name in EXTRAS), _stars(left)]
    fields += [_renewal(left), _command(left) if topic == "own" else None]
    for name in (*(ITEM_ID if item else ()), *TIME):
        left.drop_number(name)
    return Message(
        topic=topic,
        title=cut(": ".join(filter(None, (_heading(event, topic), item))), 300),
        link=link,
        text="\n".join(filter(None, (heading, text))),
        fields=tuple(field for field in [*fields, *left.rest()] if field is not None),
        occurred_at=event.occurred_at.astimezone(UTC),
        key=one_line(event.key),
    )


def headline(template: Template | None, event: Event, otherwise: str) -> str:
    """One line by the operator's template; where that fails on this event, the built-in one."""
    if template is None:
        return otherwise
    try:
        return one_line(template.render(template_values(event))) or otherwise
    except RenderFailed as failure:
        log.get(__name__).warning("template.failed", event_key=event.key, reason=str(failure))
        return otherwise


def topic_of(event: Event) -> Topic:
    """What an event is about, by what its trigger contains: the exact trigger strings are unpublished."""
    if event.source == OWN_SOURCE:
        return "own"
    kind = event.kind.lower()
    return next((topic for topic in _TITLES if topic in kind), "other")


def _heading(event: Event, topic: Topic) -> str:
    if topic == "own":
        return f"Eventferry: {_label(event.kind.partition('.')[2] or event.kind).lower()}"
    return _TITLES.get(topic) or _label(event.kind)


def _person(left: _Placeholders, topic: Topic) -> Field | None:
    name, number = left.take(*PERSON), left.take(*PERSON_ID)
    who = f"{name} ({number})" if name and number else name or number
    return Field(_PERSONS.get(topic, "User"), one_line(who), left.take_link(*PERSON_LINK)) if who else None


def _price(left: _Placeholders) -> Field | None:
    price, listed = left.take_money(*PRICE), left.take_money(*LIST_PRICE)
    currency = left.take(*CURRENCY) if price or listed else ""
    if not price:
        price, listed = listed, ""
    if not price:
        return None
    reduced = f" (list price {listed})" if listed and listed != price else ""
    return Field("Price", one_line(f"{price} {currency}{reduced}"))


def _extra(left: _Placeholders, name: str) -> Field | None:
    title, number = left.take(f"{name}_title"), left.take(f"{name}_id")
    link = left.take_link(f"{name}_url")
    shown = next((text for text in (title, number) if text.lower() not in _NONE), "")
    return Field(name.capitalize(), one_line(shown), link) if shown else None


def _stars(left: _Placeholders) -> Field | None:
    text = left.take(*STARS)
    if not text:
        return None
    try:
        number = Decimal(text)
        count = int(number.to_integral_value()) if 0 <= number <= 5 else None
    except InvalidOperation:
        count = None
    return Field("Rating", text if count is None else f"{'★' * count}{'☆' * (5 - count)} ({text})")


def _renewal(left: _Placeholders) -> Field | None:
    text = left.take("renewal")
    return Field("Renewal", text) if text.lower() not in _NONE else None


def _command(left: _Placeholders) -> Field | None:
    text = one_line(left.take("command"))
    return Field("Command", text, code=True) if text else None


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")


def _label(name: str) -> str:
    words = one_line(re.sub(r"[_.\-]+", " ", cut(clean(name), 100)))
    return words[:1].upper() + words[1:] or "Event"
