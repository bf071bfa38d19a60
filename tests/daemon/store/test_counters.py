"""Hourly sums, from which all statistics are read."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from daemon.contract import TryLater
from daemon.store.counters import Count
from tests.events import event
from tests.ledger import NOON, ManualClock, Stores, add, planned, rows, send, story


def counted(data: dict[str, Any]) -> Count:
    return next(Count.of_event(event(data), NOON, outcome="stored"))


@pytest.mark.parametrize(
    ("price", "micros"),
    [
        ("9.99", 9_990_000),
        (9.99, 9_990_000),
        (10, 10_000_000),
        ("0.1", 100_000),
        (0.1 + 0.2, 300_000),
        (0.1 * 3 - 0.0000000000000001, 300_000),
        (2.9999999999999996, 3_000_000),
        ("-5.00", -5_000_000),
        ("1e3", 0),
        (1e3, 1_000_000_000),
        ("1000000000", 10**15),
        ("1000000000.01", 0),
        ("1e400", 0),
        ("0." + "9" * 41, 0),
        (10**400, 0),
        ("NaN", 0),
        ("Infinity", 0),
        (float("nan"), 0),
        (float("inf"), 0),
        ("", 0),
        ("9,99", 0),
        ("$9.99", 0),
        (None, 0),
        (True, 0),
        ([9.99], 0),
        ({}, 0),
    ],
)
def test_money_is_counted_in_exact_millionths_and_nonsense_as_nothing(price: Any, micros: int) -> None:
    assert counted({"final_price": price}).micros == micros


@pytest.mark.parametrize(
    ("data", "resource", "currency"),
    [
        ({"resource_id": 5, "resource_title": "Sky", "price": 1, "currency": "EUR"}, "5\tSky", "EUR"),
        ({"resource_title": "Sky", "currency": None}, "Sky", ""),
        ({"resource_id": "", "resource_title": "Sky"}, "Sky", ""),
        ({"resource_id": ["x"], "price": 1, "currency": "ABCDEFGHIJKLMNOPQRS"}, "", "ABCDEFGHIJKLMNOP"),
        ({"resource_id": "x" * 300}, "x" * 200, ""),
        ({"resource_id": "\ud800"}, "?", ""),
    ],
)
def test_events_are_counted_by_resource_and_currency_where_their_data_has_them(
    data: dict[str, Any], resource: str, currency: str
) -> None:
    assert (counted(data).resource, counted(data).currency) == (resource, currency)


@story
async def test_sums_grow_by_the_hour_and_are_exact(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        for hour in range(3):
            for number in range(100):
                data = {"final_price": "0.10", "currency": "USD", "resource_id": number % 2}
                await add(store, planned(f"{hour}-{number}", "hook", data=data))
            clock.advance(minutes=59)
            await send(store)
            clock.advance(minutes=1)
        sums = await rows(
            store, "SELECT hour, count, micros, resource FROM counters WHERE sink = '' ORDER BY hour, resource"
        )
        assert sums == [
            (f"2026-03-04 {hour}:00:00.000000", 50, 5_000_000, resource) for hour in (12, 13, 14) for resource in "01"
        ]
        assert Decimal(sum(row[2] for row in sums)) / 10**6 == Decimal("30")
        assert await rows(store, "SELECT count, outcome FROM counters WHERE sink = 'hook'") == [(100, "delivered")] * 3


@story
async def test_what_comes_on_one_page_is_summed_price_by_price(make_store: Stores) -> None:
    async with make_store() as store:
        prices = ["1.10", "2.20", "1.10", None, "-0.40"]
        await add(store, *(planned(n, "hook", data={"final_price": price}) for n, price in enumerate(prices)))
        assert await rows(store, "SELECT count, micros FROM counters") == [(5, 4_000_000)]


@story
async def test_a_repeat_is_not_counted(make_store: Stores) -> None:
    async with make_store() as store:
        for _ in range(3):
            await add(store, planned(1, "hook"), planned(1, "hook"), planned(2))
        query = "SELECT outcome, count, micros FROM counters ORDER BY outcome"
        assert await rows(store, query) == [("stored", 1, 9_990_000), ("unrouted", 1, 9_990_000)]


@story
async def test_each_attempt_is_counted_by_what_came_of_it(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", "mail"))
        await send(store, outcome=TryLater("500"))
        await send(store, outcome=TryLater("500"))
        clock.now += timedelta(minutes=1)
        await send(store)
        await send(store, "mail")
        query = "SELECT sink, outcome, count, source, kind FROM counters WHERE sink != '' ORDER BY sink, outcome"
        assert await rows(store, query) == [
            ("hook", "delivered", 1, "builtbybit", "purchase"),
            ("hook", "try_later", 1, "builtbybit", "purchase"),
            ("mail", "delivered", 1, "builtbybit", "purchase"),
        ]


@story
async def test_triggers_of_any_length_are_counted(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, kind="k" * 200 + "a"), planned(2, kind="k" * 200 + "b"))
        assert await rows(store, "SELECT kind, count FROM counters") == [("k" * 200, 2)]
