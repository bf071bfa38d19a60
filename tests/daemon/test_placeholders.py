"""What placeholders mean, under whichever name they come."""

from decimal import Decimal
from typing import Any

import pytest

from daemon.placeholders import MOST_PLACEHOLDERS, by_name, item_of, price_of, stars_of, topic_of
from tests.events import HOSTILE


@pytest.mark.parametrize(
    ("data", "price"),
    [
        ({"final_price": "9.99", "currency": "EUR"}, (Decimal("9.99"), "EUR")),
        ({"finalPrice": 9.99}, (Decimal("9.99"), "")),
        ({"Purchase-Price": 10, "purchaseCurrency": " GBP "}, (Decimal(10), "GBP")),
        ({"price": {"value": "12.50", "currency": "USD"}, "currency": "EUR"}, (Decimal("12.50"), "USD")),
        ({"price": {"value": 0, "currency": "USD"}}, (Decimal(0), "USD")),
        ({"final_price": "free", "price": "3"}, (Decimal(3), "")),
        ({"final_price": "", "price": "3"}, (Decimal(3), "")),
        ({"list_price": "12"}, (None, "")),
        ({"price": {"amount": 5}}, (None, "")),
        ({"price": "1000000000.01"}, (None, "")),
        ({"price": 1, "currency": "ABCDEFGHIJKLMNOPQRS"}, (Decimal(1), "ABCDEFGHIJKLMNOP")),
        *(({"price": text}, (None, "")) for text in ("1_000", "٣", "1e3", "1,234.50", ".5", "5.", "- 1", "9" * 41)),
        ({"price": " +9.50 "}, (Decimal("9.50"), "")),
        ({"price": 1e3}, (Decimal(1000), "")),
        ({"price": True}, (None, "")),
        ({"price": float("nan")}, (None, "")),
        ({"price": 10**400}, (None, "")),
        ({"price": 10**5000}, (None, "")),
    ],
)
def test_a_price_is_found_by_its_names_exactly_or_not_at_all(data: dict[str, Any], price: Any) -> None:
    assert price_of(by_name(data)) == price


@pytest.mark.parametrize(
    ("data", "stars"),
    [
        ({"rating": "5"}, Decimal(5)),
        ({"stars": 3.5}, Decimal("3.5")),
        ({"reviewStars": 0}, Decimal(0)),
        ({"stars": 9, "rating": 4}, Decimal(4)),
        ({"rating": -1}, None),
        ({"rating": "very good"}, None),
        ({}, None),
    ],
)
def test_stars_are_those_of_five(data: dict[str, Any], stars: Any) -> None:
    assert stars_of(by_name(data)) == stars


def test_an_item_has_a_number_and_a_title_each_on_one_line() -> None:
    assert item_of(by_name({"resource_id": 5, "resourceTitle": "Sky\n\tline"})) == ("5", "Sky line")
    assert item_of(by_name({"product_id": True, "product_title": ["x"]})) == ("", "")
    assert item_of(by_name({"resource_id": 10**5000})) == ("", "")


def test_of_two_spellings_of_one_name_the_first_counts() -> None:
    assert by_name({"userId": 1, "user_id": 2}) == {"user_id": 1}


@pytest.mark.parametrize(
    ("kind", "topic"),
    [("purchase", "purchase"), ("Resource Review", "review"), ("coupon_redeemed", "other"), ("", "other")],
)
def test_a_trigger_is_about_what_it_contains(kind: str, topic: str) -> None:
    assert topic_of(kind) == topic


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_whatever_an_event_holds_it_can_be_looked_at(data: dict[str, Any]) -> None:
    known = by_name(data)
    assert len(known) <= MOST_PLACEHOLDERS
    price, currency = price_of(known)
    assert price is None or price.is_finite()
    assert all(len(text) <= 200 and "\n" not in text for text in (currency, *item_of(known)))
    stars_of(known)
