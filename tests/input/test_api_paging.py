"""A list paged badly, or told about wrongly: read to its end, with few requests, and nothing concluded (F35)."""

import json
import random
from typing import Any

import pytest

from tests.input.answers import body, error, in_turn, listed, numbered, page, paged
from tests.input.asking import Case, Table, collects, completed, stored

HTML = b"<html>Log in</html>"
SERVER_ERROR = "BuiltByBit answers with an error (HTTP 500 ServerError)"


def ids(low: int, high: int) -> tuple[str, ...]:
    return tuple(map(str, range(low, high)))


def stated(stats: Any, high: int = 4) -> Case:
    """One page of three events, whatever is asked for, with these words about it."""
    text = stats if isinstance(stats, bytes) else json.dumps(stats).encode()
    return Case(body(listed(*numbered(1, high), stats=text)), stored=ids(1, high))


def numbers(total: Any, per_page: Any, max_page: Any, **more: Any) -> Case:
    return stated({"total": total, "per_page": per_page, "max_page": max_page, "page": 1} | more)


def shuffled(number: int, size: int) -> bytes:
    entries = list(numbered(1, 31))
    random.Random(number).shuffle(entries)
    return listed(*entries)


def backwards(number: int, size: int) -> bytes:
    return page(*range(90 - 30 * (number - 1), 60 - 30 * (number - 1), -1)) if number <= 3 else page()


def overlapping(number: int, size: int) -> bytes:
    return page(*range(20 * number - 19, 20 * number + 11)) if number <= 4 else page()


def gap(number: int, size: int) -> bytes:
    return {1: page(1, 2), 2: page(), 3: page(3)}.get(number, page())


def other_content(number: int, size: int) -> bytes:
    return listed(json.dumps({"event_id": 1, "trigger_data": {"page": number}}).encode())


CASES = {
    "the page ignored": Case(body(page(*range(1, 31))), stored=ids(1, 31), requests=2),
    "the page ignored, in another order each time": Case(
        paged(shuffled),
        stored=tuple(str(json.loads(shuffled(1, 0))["data"]["events"][n]["event_id"]) for n in range(30)),
        requests=2,
    ),
    "the newest first": Case(paged(backwards), stored=tuple(map(str, range(90, 0, -1))), requests=4),
    "pages that overlap": Case(paged(overlapping), stored=ids(1, 91), requests=5),
    "one event for ever, told differently each time": Case(paged(other_content), stored=("1",), requests=2),
    "the last page again and again": Case(
        paged(lambda number, size: page(number) if number < 6 else page(5)), stored=ids(1, 6), requests=6
    ),
    "an empty page in the middle": Case(paged(gap), stored=("1", "2"), requests=2),
    "an empty first page": Case(paged(lambda number, size: page() if number == 1 else page(7)), requests=1),
    "three times as many as asked for": Case(body(page(*range(1, 301))), stored=ids(1, 301), requests=2),
    "one at a time": Case(
        paged(lambda number, size: page(number) if number <= 20 else page()), stored=ids(1, 21), requests=21
    ),
    "nothing but entries without an id, for ever": Case(body(listed(b"1", b"2")), aside=2, requests=2),
    "a second page that fails": Case(
        in_turn(body(page(1, 2)), body(error("ServerError"), 500)), "failing", SERVER_ERROR, stored=("1", "2")
    ),
    "a second page that is limited": Case(
        in_turn(body(page(1, 2)), body(error("Limit"), 429, Retry_After="5000")),
        "throttled",
        "rate limit for reads until",
        stored=("1", "2"),
        wait=5,
    ),
    "a second page that is refused": Case(
        in_turn(body(page(1, 2)), body(HTML, 403)), "refused", "refuses the token (403)", stored=("1", "2"), wait=30
    ),
    "a second page that is a portal": Case(
        in_turn(body(page(1, 2)), body(HTML)), "failing", "HTTP 200 without its envelope", stored=("1", "2")
    ),
    "stats null": stated(None),
    "stats a list": stated([100, 1]),
    "stats a number": stated(3),
    "stats a text": stated("3 of 3"),
    "stats empty": stated({}),
    "stats that are right": numbers(3, 100, 1),
    "a total of 0": numbers(0, 100, 1),
    "a total below nothing": numbers(-1, 100, 1),
    "a total too small": numbers(2, 100, 1),
    "a total that grows": numbers(4, 100, 1),
    "a total of 10^9 on one page": numbers(10**9, 100, 1),
    "a total of 10^9 on as many pages as it takes": numbers(10**9, 100, 10**7),
    "a total of 10^400": numbers(10**400, 100, 10**398),
    "a total in words": numbers("three", 100, 1),
    "a total in digits": numbers("3", "100", "1"),
    "a total that is a fraction": numbers(3.0, 100, 1),
    "a total that is true": numbers(True, 100, 1),
    "a total that is NaN": stated(b'{"total":NaN,"per_page":100,"max_page":1}'),
    "a total without end": stated(b'{"total":1e400,"per_page":100,"max_page":1}'),
    "a page size of 0": numbers(3, 0, 1),
    "a page size below nothing": numbers(3, -100, -1),
    "a page size smaller than the page": numbers(3, 2, 2),
    "10^9 pages": numbers(3, 100, 10**9),
    "no pages": numbers(3, 100, 0),
    "fewer pages than none": numbers(3, 100, -1),
    "pages in a list": numbers(3, 100, [1]),
    "another page than asked for": numbers(3, 100, 1, page=10**9),
}


@pytest.mark.parametrize("name", CASES)
def test_a_lie_about_pages_hides_nothing_and_never_ends_in_a_loop(name: str, table: Table) -> None:
    """F35, I20."""
    collects(table, CASES[name])


LIES = [
    "a total of 0",
    "a total below nothing",
    "a total of 10^9 on one page",
    "no pages",
    "stats null",
    "a second page that fails",
    "a second page that is a portal",
    "the page ignored",
]


@pytest.mark.parametrize("name", LIES)
def test_from_a_lie_nobody_concludes_that_events_are_gone(name: str, table: Table) -> None:
    """F34, F35: what was stored and is not on the page still waits to be completed."""

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            api.read = body(page(4_711))
            await shop.collect()
            api.read = CASES[name].answer
            for _ in range(4):
                table.clock.advance(minutes=10)
                await shop.collect()
            assert completed(shop, "elsewhere") == set()
            assert shop.told("alert.completed_elsewhere") == []
            assert "4711" in stored(shop)

    table.run(scenario())
