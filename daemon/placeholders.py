"""What an event's placeholders mean: BuiltByBit publishes those of purchases only, so each goes by several names.

Names are upper or lower case, `camelCase` or `snake_case`; `by_name` makes them alike.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

Topic = Literal["purchase", "review", "update", "publish", "other"]
_TOPICS: tuple[Topic, ...] = ("purchase", "review", "update", "publish")

ITEM = ("resource_title", "product_title", "item_title", "resource_name", "product_name", "thread_title")
"""What was bought, reviewed or changed; `title` too, where no other name is there."""
ITEM_ID = ("resource_id", "product_id")
PRICE = ("final_price", "purchase_price", "price")
"""What was paid: a number, a text, or a table of `value` and `currency` as elsewhere in BuiltByBit's API."""
CURRENCY = ("currency", "purchase_currency")
STARS = ("stars", "rating", "review_stars", "review_rating", "star_rating", "score")

REFUNDS = "refunds are not deducted: BuiltByBit's API does not tell of them"
"""To be said wherever prices are summed up."""

MOST_PLACEHOLDERS = 100
"""So many of an event are looked at."""
LARGEST_PRICE = Decimal(10) ** 9
"""A price beyond this is nonsense; counting it would spoil the sums for ever."""
MOST_STARS = 5
_LONGEST_NAME = 100
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
"""A number as events write it. `1,234.50`, `1_000`, `1e9` and `nan` are text."""
_MOST_BITS = 400
"""Of a whole number; with a larger one nobody means to calculate."""
_LONGEST_ID_BITS = 256


def topic_of(kind: str) -> Topic:
    """What an event is about, by what its trigger contains: the exact trigger strings are unpublished."""
    kind = kind.lower()
    return next((topic for topic in _TOPICS if topic in kind), "other")


@lru_cache(4096)
def snake_case(name: str) -> str:
    """One spelling for all: `reviewStars`, `Review-Stars` and `review_stars` are the same placeholder."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:_LONGEST_NAME]).lower().replace("-", "_")


def by_name(data: Mapping[str, Any]) -> dict[str, Any]:
    """The placeholders by their one spelling; of two that fall together, the first."""
    known: dict[str, Any] = {}
    for name, value in islice(data.items(), MOST_PLACEHOLDERS):
        known.setdefault(snake_case(name), value)
    return known


def price_of(known: Mapping[str, Any]) -> tuple[Decimal | None, str]:
    """What was paid, and in which currency ("": it does not say); None where no number is to be found."""
    for name in PRICE:
        match known.get(name):
            case {"value": amount, "currency": str(currency)}:
                pass
            case amount:
                currency = next((text for each in CURRENCY if (text := _short(known.get(each)))), "")
        price = number_of(amount)
        if price is not None and abs(price) <= LARGEST_PRICE:
            return price, currency.strip()[:16]
    return None, ""


def stars_of(known: Mapping[str, Any]) -> Decimal | None:
    """How many of five stars were given."""
    for name in STARS:
        stars = number_of(known.get(name))
        if stars is not None and 0 <= stars <= MOST_STARS:
            return stars
    return None


def item_of(known: Mapping[str, Any]) -> tuple[str, str]:
    """The number and the title of what it is about, each on one line; "" where it has none."""
    number = next((text for name in ITEM_ID if (text := _short(known.get(name)))), "")
    title = next((text for name in ITEM if (text := _short(known.get(name)))), "")
    return number, title


def number_of(value: object) -> Decimal | None:
    """A number that came as one or as text, exactly; None for everything else.

    The one rule for all: what is added up, what conditions compare, what is shown as money or stars.
    """
    match value:
        case str():
            text = value.strip() if len(value) <= _LONGEST_NAME else ""
            return Decimal(text) if _NUMBER.fullmatch(text) else None
        case bool():
            return None
        case int():
            return Decimal(value) if value.bit_length() <= _MOST_BITS else None
        case float():
            return Decimal(repr(value)) if math.isfinite(value) else None
        case _:
            return None


def _short(value: object) -> str:
    if isinstance(value, bool) or (isinstance(value, int) and value.bit_length() > _LONGEST_ID_BITS):
        return ""
    return " ".join(str(value)[:200].split()) if isinstance(value, str | int) else ""
