"""Several events in one message: what there was in all, why they come together, and a line for each."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import wall_now
from daemon.contract import Cause, Delivery, Event, Summary
from daemon.expression import clean
from daemon.people import PeopleSettings
from daemon.simulator.samples import Samples
from sinks._summary import Overview, summarize
from tests.events import EVENTS, HOSTILE, event

FULL = PeopleSettings(audience="full", timezone="Europe/Berlin")
PUBLIC = PeopleSettings(timezone="Europe/Berlin")
START = datetime(2026, 1, 31, 18, 0, tzinfo=UTC)


def of(*events: Event, cause: Cause = "digest") -> Summary:
    return Summary("s-1", cause, [Delivery(f"d-{number}", each, 1) for number, each in enumerate(events)])


def sale(minute: int, **data: Any) -> Event:
    base = {"resource_title": "Sky", "resource_url": "https://builtbybit.com/resources/1/", "username": "Steve"}
    return event(base | data, occurred_at=START + timedelta(minutes=minute))


def review(minute: int, stars: Any, title: str = "Sky") -> Event:
    data = {"resource_title": title, "rating": stars, "review": "Good", "username": "Ann"}
    return event(data, kind="review", occurred_at=START + timedelta(minutes=minute))


def totals(overview: Overview) -> dict[str, str]:
    return {field.name: field.value for field in overview.totals}


SHOP = of(
    sale(0, final_price="9.99"),
    sale(5, final_price=0.1, username="Ann"),
    sale(6, final_price="0.2"),
    sale(7, price={"value": "1500", "currency": "EUR"}, resource_title="Forge"),
    sale(8),
    sale(9, final_price="0"),
    review(10, 5),
    review(11, "4"),
    review(12, "great", "Forge"),
    event({"coupon": "X"}, kind="coupon_redeemed", occurred_at=START + timedelta(minutes=13)),
)


def test_a_digest_has_totals_exact_to_the_cent_and_a_line_for_each() -> None:
    overview = summarize(SHOP, FULL)
    assert overview.title == "Digest: 10 events (6 purchases, 3 reviews, 1 other event)"
    assert totals(overview) == {
        "Purchases": "6",
        "Reviews": "3",
        "Other events": "1 (Coupon redeemed 1)",
        "Gross sales": "1,500.00 EUR, 10.29 USD, and 1 purchase without a price "
        "(refunds are not deducted: BuiltByBit's API does not tell of them)",
        "Average rating": "★★★★★ 4.5 (2 ratings)",
        "By resource": "Sky: 5 purchases, 2 reviews, 10.29 USD, ★★★★★ 4.5\nForge: 1 purchase, 1 review, 1,500.00 EUR",
        "Time": "2026-01-31 19:00 to 19:13 CET",
    }
    assert [line.text for line in overview.lines] == [
        "01-31 19:00 New purchase: Sky, 9.99 USD",
        "01-31 19:05 New purchase: Sky, 0.10 USD",
        "01-31 19:06 New purchase: Sky, 0.20 USD",
        "01-31 19:07 New purchase: Forge, 1,500.00 EUR",
        "01-31 19:08 New purchase: Sky",
        "01-31 19:09 New purchase: Sky, Free",
        "01-31 19:10 New review: Sky, ★★★★★",
        "01-31 19:11 New review: Sky, ★★★★☆",
        "01-31 19:12 New review: Forge",
        "01-31 19:13 Coupon redeemed",
    ]
    assert overview.lines[0].link == "https://builtbybit.com/resources/1/"
    assert (overview.occurred_at, overview.key) == (START + timedelta(minutes=13), "s-1")


def test_the_public_is_told_neither_prices_nor_sums_nor_names() -> None:
    overview = summarize(SHOP, PUBLIC)
    assert "Gross sales" not in totals(overview)
    assert totals(overview)["By resource"] == "Sky: 5 purchases, 2 reviews, ★★★★★ 4.5\nForge: 1 purchase, 1 review"
    assert not re.search(r"USD|EUR|9\.99|1,?500|Steve|Ann|Free", repr(overview))
    assert [line.text for line in overview.lines][:1] == ["01-31 19:00 New purchase: Sky"]


@pytest.mark.parametrize(
    ("cause", "title"),
    [
        ("digest", "Digest: 2 purchases"),
        ("burst", "Many at once: 2 purchases"),
        ("quiet", "During quiet hours: 2 purchases"),
        ("late", "Late, up to 3 hours old: 2 purchases"),
    ],
)
def test_the_title_says_why_they_come_together(cause: Cause, title: str) -> None:
    old, new = (event(occurred_at=wall_now() - timedelta(hours=hours, minutes=5)) for hours in (3, 2))
    assert summarize(of(old, new, cause=cause), FULL).title == title
    assert summarize(of(old, cause="burst"), FULL).title == "Many at once: 1 purchase"


def test_a_span_of_several_days_names_them() -> None:
    assert totals(summarize(of(sale(0), sale(60 * 24)), FULL))["Time"] == "2026-01-31 19:00 to 2026-02-01 19:00 CET"


def test_one_moment_is_no_span() -> None:
    assert totals(summarize(of(sale(0), sale(0)), FULL))["Time"] == "2026-01-31 19:00 CET"


def test_unknown_triggers_are_counted_by_name() -> None:
    kinds = ["tip", "tip", "coupon_redeemed", "a", "b", "c", "d"]
    overview = summarize(of(*(event({}, kind=kind) for kind in kinds)), PUBLIC)
    assert totals(overview)["Other events"] == "7 (Tip 2, Coupon redeemed 1, A 1, B 1, C 1, …)"


def test_tests_have_a_line_and_are_counted_nowhere() -> None:
    made_up = event({"resource_title": "Sky", "final_price": "99"}, kind="test.purchase", source="eventferry")
    overview = summarize(of(sale(0, final_price="1"), made_up), FULL)
    assert totals(overview)["Purchases"] == "1"
    assert totals(overview)["Gross sales"].startswith("1.00 USD (")
    assert overview.lines[1].text.endswith(" Test: New purchase: Sky, 99.00 USD")
    assert summarize(of(made_up), FULL).totals == ()


def test_what_is_too_much_to_read_is_counted() -> None:
    many = [sale(0, resource_title=f"Item {number}", final_price=1, currency=f"C{number}") for number in range(30)]
    overview = summarize(of(*many), FULL)
    assert totals(overview)["By resource"].endswith("\n… 22 more")
    assert ", …" in totals(overview)["Gross sales"]
    assert len(overview.lines) == 30


def test_an_hour_of_sales_is_laid_out_at_once() -> None:
    """2,000 events take some 0.1 s of CPU; the bound leaves room for a slow machine."""
    supply, events = Samples(1), []
    for number in range(2000):
        trigger, data = supply.make(supply.any_kind(), ("known", "guessed")[number % 2], 1769882400)
        events.append(event(data, kind=trigger, external_id=str(number)))
    summary = of(*events)
    spent = []
    for _ in range(3):
        began = time.thread_time()
        assert len(summarize(summary, FULL).lines) == 2000
        spent.append(time.thread_time() - began)
    assert min(spent) < 1


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_events_are_summed_up_in_clean_text(data: dict[str, Any]) -> None:
    for kind in ("purchase", "review", data.get("resource_title") or "x"):
        require_clean(summarize(of(event(data, kind=str(kind)[:1000]), sale(1)), FULL))


@given(st.lists(EVENTS, min_size=1, max_size=4), st.sampled_from(["digest", "burst", "late", "quiet"]))
def test_no_event_can_make_a_summary_fail_or_unclean(events: list[Event], cause: Cause) -> None:
    for people in (FULL, PUBLIC):
        require_clean(summarize(of(*events, cause=cause), people))


def require_clean(overview: Overview) -> None:
    texts = [overview.title, *(line.text for line in overview.lines)]
    assert not any("\n" in text for text in texts)
    assert all(len(text) <= 320 for text in texts)
    for text in (*texts, *(part for field in overview.totals for part in (field.name, field.value))):
        assert text.strip()
        assert clean(text).encode() == text.encode()
