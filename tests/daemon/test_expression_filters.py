"""The filters of ours: money, time, stars, cutting."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.expression import Locale, TextTemplate, amount_of, local, moment_of, money_text, stars_text
from tests.events import JSON

BERLIN = Locale("EUR", "Europe/Berlin")


def filled(source: str, locale: Locale = BERLIN, **values: Any) -> str:
    return TextTemplate(source).render(values, locale)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("9.99", "9.99 EUR"),
        ("0.1", "0.10 EUR"),
        (12, "12.00 EUR"),
        (9.995, "10.00 EUR"),
        (0.1 + 0.2, "0.30 EUR"),
        (1.005, "1.01 EUR"),
        ("1234567.5", "1,234,567.50 EUR"),
        ("123456789012345.67", "123,456,789,012,345.67 EUR"),
        ("-3", "-3.00 EUR"),
        ("0", "0.00 EUR"),
        ({"value": "4", "currency": "GBP"}, "4.00 GBP"),
        ({"value": "4"}, "4.00 EUR"),
        ({"value": 4, "currency": ["x"]}, "4.00 EUR"),
        ("free", "free"),
        ("nan", "nan"),
        ("Infinity", "Infinity"),
        ("1e999999", "1e999999"),
        (True, "True"),
        ("", ""),
        (None, ""),
        ([], "[]"),
    ],
)
def test_money_is_exact_has_two_places_and_a_currency(value: Any, text: str) -> None:
    assert filled("{{ x|money }}", x=value) == text


def test_the_currency_is_the_one_given_then_the_events_then_the_sinks() -> None:
    assert filled("{{ x|money('CHF') }}", x=1, currency="GBP") == "1.00 CHF"
    assert filled("{{ x|money }}", x=1, currency="GBP") == "1.00 GBP"
    assert filled("{{ x|money }}", x=1) == "1.00 EUR"
    assert filled("{{ x|money }}", x=1, currency={"a": 1}) == "1.00 EUR"
    assert filled("{{ missing|money }}") == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1769882400, "2026-01-31 19:00"),
        ("1769882400", "2026-01-31 19:00"),
        (1769882400.5, "2026-01-31 19:00"),
        ("1769882400000", "2026-01-31 19:00"),
        ("2026-07-31T18:00:00Z", "2026-07-31 20:00"),
        ("2026-07-31T18:00:00+02:00", "2026-07-31 18:00"),
        ("2026-07-31 18:00", "2026-07-31 20:00"),
        ("2026-01-31", "2026-01-31 01:00"),
        (datetime(2026, 1, 31, 23, 30, tzinfo=UTC), "2026-02-01 00:30"),
        ("yesterday", "yesterday yesterday"),
        ("", " "),
        (None, " "),
        ([1], "[1] [1]"),
        (10**400, None),
        (True, "True True"),
        (1e308, "1e+308 1e+308"),
        ("9999-12-31T23:59:59Z", "9999-12-31 23:59"),
    ],
)
def test_times_are_told_on_the_clocks_of_the_sinks_zone(value: Any, shown: str | None) -> None:
    text = filled("{{ x|date }} {{ x|time }}", x=value)
    assert text == shown or (shown is None and len(text) > 400)


def test_no_placeholder_changes_the_zone() -> None:
    for name in ("", "timezone", "locale", "LOCALE"):
        values = {name: "America/New_York", "x": 0}
        assert TextTemplate("{{ x|time }}").render(values, Locale("USD", "Asia/Tokyo")) == "09:00"


@pytest.mark.parametrize(
    ("value", "text"),
    [(4, "★★★★☆"), ("5", "★★★★★"), (0, "☆☆☆☆☆"), ("3.5", "★★★★☆"), (2.5, "★★★☆☆"),
     (6, "6"), ("-1", "-1"), ("x", "x"), (None, "")],
)  # fmt: skip
def test_a_rating_is_shown_as_stars(value: Any, text: str) -> None:
    assert filled("{{ x|stars }}", x=value) == text


def test_cutting_is_visible() -> None:
    assert filled("{{ x|cut(5) }} {{ y|cut(5) }} {{ z|cut(5) }}", x="abcdefgh", y="abc") == "abcd… abc "
    assert filled("{{ x|cut(0) }}", x="abc") == "…"
    assert filled("{{ x|cut(4) }}", x=1234567) == "123…"


@given(JSON)
def test_no_value_is_too_odd_for_a_filter(value: Any) -> None:
    for name in ("money", "date", "time", "stars", "cut(9)", "text", "markdown"):
        filled(f"{{{{ x|{name} }}}}", x=value).encode()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12))
def test_an_amount_goes_through_unchanged(amount: Decimal) -> None:
    assert amount_of(str(amount)) == amount
    assert Decimal(money_text(amount, "USD").removesuffix(" USD").replace(",", "")) == amount


def test_what_is_no_amount_moment_or_rating_is_none_of_them() -> None:
    for value in (None, True, [], {}, "", "x", float("nan"), float("inf"), 10**400, "9" * 5000, "1e400"):
        assert amount_of(value) is None
        assert stars_text(value) == ""
    assert moment_of("9" * 15) is None
    assert local(datetime.max.replace(tzinfo=UTC), "Asia/Tokyo").year == 9999


def test_a_megabyte_in_a_filter_takes_no_longer_than_one_should_wait() -> None:
    for value in ("9" * 1_000_000, "1" + ",000" * 250_000, "-" * 1_000_000, " " * 1_000_000, "2026-01-01" * 100_000):
        began = time.thread_time()
        filled("{{ x|money }}{{ x|date }}{{ x|time }}{{ x|stars }}{{ x|cut(100) }}", x=value)
        assert time.thread_time() - began < 2
