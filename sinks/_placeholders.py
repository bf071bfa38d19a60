"""Under which names the parts of an event are found that only people read; for the others see daemon/placeholders.py.

docs/layouts.md lists all of them for people.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Literal

from daemon import placeholders
from daemon.contract import OWN_SOURCE, Event
from daemon.expression import amount_of, clean, cut, https_link, local, markup_to_text, moment_of, money_text, one_line
from daemon.placeholders import MOST_PLACEHOLDERS, snake_case
from sinks._text import plain

Topic = placeholders.Topic | Literal["own"]
"""What an event is about; "own" is what the daemon has to say itself."""

HEADLINE = ("headline", "subject", "title")
"""Behind `review_title` and the like: what its author wrote above the text."""
LINK = ("resource_url", "product_url", "item_url", "url", "link")
"""Behind `review_url` and the like."""
TEXT = ("message", "text", "content", "body", "comment", "description", "changelog", "changes", "notes")
"""Behind `review_message` and the like, and a bare `review`."""
PERSON = (
    *("username", "buyer_username", "purchaser_username", "member_username", "reviewer_username", "author_username"),
    *("user_name", "buyer_name", "purchaser_name", "reviewer_name", "buyer", "purchaser", "reviewer", "author", "user"),
)
PERSON_ID = ("user_id", "buyer_id", "purchaser_id", "member_id", "reviewer_id", "author_id")
PERSON_LINK = ("user_url", "buyer_url", "purchaser_url", "member_url", "reviewer_url", "author_url")
LIST_PRICE = ("list_price", "original_price")
EXTRAS = ("addon", "bundle")
"""Each has a `…_title`, `…_id` and perhaps `…_url`; "0", "" and null mean that there is none."""
TIME = ("purchase_date", "date", "created_at")
"""Not shown as bare seconds: the time of the event says it better."""

NONE = ("", "0", "none", "null", "false", "no")
_TIME_NAME = re.compile("(?:.*_)?(?:at|date|time)")
_LIKELY_SECONDS = re.compile(r"1\d{9}(?:\d{3})?", re.ASCII)


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
class Money:
    """A price as an event gives it."""

    given: str
    currency: str
    """Empty where the event names none."""

    @property
    def amount(self) -> Decimal | None:
        """The exact number; None where the price is something else."""
        return amount_of(self.given)

    def text(self, currency: str) -> str:
        """For people, with the currency to be assumed where none is named."""
        if self.amount is None:
            return self.given
        return money_text(self.amount, self.currency or currency) if self.amount else "Free"


def topic_of(event: Event) -> Topic:
    """What an event is about; of a test, what it stands for."""
    return "own" if event.source == OWN_SOURCE and not event.is_test else placeholders.topic_of(event.trigger)


def label(name: str) -> str:
    """A placeholder's name for people."""
    words = one_line(re.sub(r"[_.\-]+", " ", cut(clean(name), 100)))
    return words[:1].upper() + words[1:] or "Event"


def text_names(topic: Topic) -> tuple[str, ...]:
    """Where the text of an event of this topic may be, the likeliest first."""
    return (*(f"{topic}_{name}" for name in TEXT), topic, *TEXT)


def headline_names(topic: Topic) -> tuple[str, ...]:
    """Where the headline above that text may be."""
    return (f"{topic}_title", *HEADLINE)


def link_names(topic: Topic) -> tuple[str, ...]:
    """Where a link to all of it may be."""
    return (f"{topic}_url", f"{topic}_link", *LINK)


class Placeholders:
    """An event's data, from which each part is taken out once; the rest stays."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._unread = len(data) - MOST_PLACEHOLDERS
        self._left: dict[str, Any] = {}
        for name, value in islice(data.items(), MOST_PLACEHOLDERS):
            text = plain(name, 100)
            known = snake_case(text)
            self._left[known if known not in self._left else text] = value

    def take(self, *names: str, limit: int = 200) -> str:
        """The first of these that holds something."""
        for name in names:
            if name in self._left and (text := plain(self._left[name], limit)):
                del self._left[name]
                return text
        return ""

    def take_text(self, *names: str) -> str:
        """The same, of something longer that may be BBCode or HTML."""
        for name in names:
            value = self._left.get(name)
            if text := markup_to_text(value) if isinstance(value, str) else plain(value):
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

    def take_money(self, *names: str) -> Money | None:
        """The first of these, with its currency if it comes as a table of both, as elsewhere in BuiltByBit's API."""
        for name in names:
            match self._left.get(name):
                case {"value": amount, "currency": currency}:
                    del self._left[name]
                    return Money(one_line(plain(amount, 100)), one_line(plain(currency, 20)))
                case _ if text := one_line(self.take(name, limit=100)):
                    return Money(text, "")
        return None

    def drop_number(self, name: str) -> None:
        """Leave this one out, if it is nothing but digits."""
        if re.fullmatch(r"\d{1,20}", plain(self._left.get(name), 30)):
            del self._left[name]

    def rest(self, timezone: str) -> list[Field]:
        """What no name matched, as it is; seconds since 1970 as a time in this zone."""
        fields = [
            Field(label(name), text, https_link(value))
            for name, value in self._left.items()
            if (text := _readable(name, value, timezone))
        ]
        return [*fields, Field("…", f"{self._unread} more")] if self._unread > 0 else fields


def _readable(name: str, value: Any, timezone: str) -> str:
    if isinstance(value, list) and value and not any(isinstance(inner, list | Mapping) for inner in value[:100]):
        return plain(", ".join(plain(inner, 100) for inner in value[:100]))
    text = plain(value)
    if _TIME_NAME.fullmatch(name) and _LIKELY_SECONDS.fullmatch(text) and (moment := moment_of(text)):
        return f"{local(moment, timezone):%Y-%m-%d %H:%M %Z}"
    return text
