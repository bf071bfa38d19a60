"""Reports: when they are due, that each sink gets each exactly once, and what these readers may see in them."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daemon.contract import Delivery, Event
from daemon.people import Every, PeopleSettings
from daemon.rounds.report import Reports, missed_report, next_report, told
from daemon.store import Store, Sums
from tests.daemon.rounds.world import Hand, look, opened, settle
from tests.ledger import add, planned, story
from tests.rigs import build

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
WEEKLY = PeopleSettings(report="weekly", timezone="Europe/Berlin", audience="full")
MONDAY = datetime(2026, 3, 9, 8, tzinfo=UTC)
"""9:00 in Berlin."""
SUMS = Sums(
    sold=12,
    gross={"": Decimal("20"), "EUR": Decimal("1234.5"), "USD": Decimal("99.88")},
    best=("Skyline", 7),
    reviews=3,
    stars=Decimal("4.6667"),
    gave_up=1,
    rejected=2,
    slowest=(timedelta(hours=4, minutes=11, seconds=40), "mail"),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"20{text}").replace(tzinfo=UTC)


# When


@pytest.mark.parametrize(
    ("every", "after", "due", "start", "end", "title"),
    [
        ("daily", "26-03-04T12:00", "26-03-05T08:00", "26-03-03T23:00", "26-03-04T23:00", "Wednesday, 4 March 2026"),
        ("daily", "26-03-04T07:59", "26-03-04T08:00", "26-03-02T23:00", "26-03-03T23:00", "Tuesday, 3 March 2026"),
        ("daily", "26-03-04T08:00", "26-03-05T08:00", "26-03-03T23:00", "26-03-04T23:00", "Wednesday, 4 March 2026"),
        ("daily", "26-03-29T08:00", "26-03-30T07:00", "26-03-28T23:00", "26-03-29T22:00", "Sunday, 29 March 2026"),
        ("weekly", "26-03-04T12:00", "26-03-09T08:00", "26-03-01T23:00", "26-03-08T23:00", "2 March to 8 March 2026"),
        ("weekly", "25-12-30T12:00", "26-01-05T08:00", "25-12-28T23:00", "26-01-04T23:00",
         "29 December to 4 January 2026"),
        ("monthly", "26-03-04T12:00", "26-04-01T07:00", "26-02-28T23:00", "26-03-31T22:00", "March 2026"),
        ("monthly", "26-01-01T08:00", "26-02-01T08:00", "25-12-31T23:00", "26-01-31T23:00", "January 2026"),
    ],
)  # fmt: skip
def test_whole_local_days_are_reported_at_nine_of_the_next_also_where_the_clock_changes(
    every: Every, after: str, due: str, start: str, end: str, title: str
) -> None:
    period = next_report(every, BERLIN, utc(after))
    assert (period.due, period.start, period.end) == (utc(due), utc(start), utc(end))
    assert period.title == title


@pytest.mark.parametrize("every", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize("zone", [BERLIN, KOLKATA, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia"), None])
def test_periods_follow_each_other_without_a_gap_or_an_overlap(every: Every, zone: ZoneInfo | None) -> None:
    period = next_report(every, zone, utc("26-01-01T00:00"))
    for _ in range(40):
        following = next_report(every, zone, period.due)
        assert following.start == period.end < following.due
        period = following


@pytest.mark.parametrize(
    ("every", "after", "now", "first"),
    [
        ("weekly", "26-03-02T08:00", "26-03-09T07:59", None),
        ("weekly", "26-03-02T08:00", "26-03-09T08:00", "2026-03-02"),
        ("weekly", "26-03-02T08:00", "26-03-16T07:59", "2026-03-02"),
        ("weekly", "26-03-02T08:00", "26-04-10T07:59", "2026-03-30"),
        ("weekly", "26-03-09T08:00", "26-03-16T07:59", None),
        ("daily", "26-03-02T08:00", "26-03-09T08:01", "2026-03-08"),
        ("monthly", "26-01-15T08:00", "26-02-28T08:01", "2026-01-01"),
        ("monthly", "26-01-15T08:00", "26-03-31T23:00", None),
        ("monthly", "26-01-15T08:00", "26-04-30T08:00", None),
    ],
)
def test_of_several_that_were_missed_the_last_is_made_up_unless_it_is_late_by_a_period(
    every: Every, after: str, now: str, first: str | None
) -> None:
    missed = missed_report(every, BERLIN, utc(after), utc(now))
    assert (missed and missed.first) == (first and date.fromisoformat(first))


# To whom, and how often


async def run(store: Store, people: PeopleSettings, *sinks: str) -> timedelta | None:
    return await Reports(store, dict.fromkeys(sinks or ("mail",), people), lambda _: None)()


def reports(folder: Path) -> list[tuple[str, str, str]]:
    query = "SELECT d.sink, e.kind, e.data FROM events e JOIN deliveries d ON d.event_id = e.id ORDER BY e.id"
    return [(sink, kind, json.loads(data)["title"]) for sink, kind, data in look(folder, query)]


@story
async def test_each_sink_gets_each_report_once_over_any_number_of_restarts(tmp_path: Path) -> None:
    hand = Hand()
    for at, number in ((-2.0, 0), (-0.1, 0), (0, 1), (0.1, 1), (30, 1), (167.9, 1), (168, 2), (200, 2)):
        hand.now = MONDAY + timedelta(hours=at)
        async with opened(tmp_path, hand, ["mail", "chat"]) as store:
            for _ in range(2):
                wait = await run(store, WEEKLY, "mail", "chat")
                assert wait is not None
                assert hand.now + wait == next_report("weekly", BERLIN, hand.now).due
        assert len(reports(tmp_path)) == 2 * number
    first = [("mail", "report.weekly", "Weekly report: 2 March to 8 March 2026")]
    assert reports(tmp_path)[:1] == first
    assert sorted({sink for sink, *_ in reports(tmp_path)}) == ["chat", "mail"]


@story
async def test_a_report_that_was_pruned_is_not_made_again(tmp_path: Path) -> None:
    hand = Hand()
    async with opened(tmp_path, hand, ["mail"]) as store:
        await run(store, WEEKLY)
        hand.now = MONDAY
        await run(store, WEEKLY)
        await settle(store, "mail")
        hand.advance(hours=2)
        await store.pruning.step(keep=timedelta(hours=1), from_id=0, limit=10)
        assert reports(tmp_path) == []
        await run(store, WEEKLY)
        assert reports(tmp_path) == []


@story
async def test_killed_between_making_a_report_and_noting_it_there_is_still_only_one(tmp_path: Path) -> None:
    hand = Hand()
    async with opened(tmp_path, hand, ["mail"]) as store:
        await run(store, WEEKLY)
        hand.now = MONDAY
        await run(store, WEEKLY)
        await store.figures.note_reported("mail", MONDAY - timedelta(days=3))
    async with opened(tmp_path, hand, ["mail"]) as store:
        await run(store, WEEKLY)
    assert len(reports(tmp_path)) == 1
    assert look(tmp_path, "SELECT * FROM variants") == []


@story
async def test_a_daemon_that_was_down_makes_up_for_one_report_and_wakes_its_sink(tmp_path: Path) -> None:
    hand, woken = Hand(), list[str]()
    async with opened(tmp_path, hand, ["mail"]) as store:
        await run(store, WEEKLY)
    hand.now = MONDAY + timedelta(days=16)
    async with opened(tmp_path, hand, ["mail"]) as store:
        await Reports(store, {"mail": WEEKLY}, woken.extend)()
    assert [title for *_, title in reports(tmp_path)] == ["Weekly report: 16 March to 22 March 2026"]
    assert woken == ["mail"]


@story
async def test_a_sink_that_is_to_get_reports_from_now_on_starts_with_the_next(tmp_path: Path) -> None:
    hand = Hand()
    async with opened(tmp_path, hand, ["mail"]) as store:
        hand.now = MONDAY + timedelta(days=1)
        await run(store, WEEKLY)
        assert reports(tmp_path) == []
        hand.now = MONDAY + timedelta(days=7)
        await run(store, WEEKLY)
        assert len(reports(tmp_path)) == 1


@story
async def test_a_clock_that_was_years_ahead_does_not_silence_reports(tmp_path: Path) -> None:
    hand = Hand()
    async with opened(tmp_path, hand, ["mail"]) as store:
        await store.figures.note_reported("mail", MONDAY + timedelta(days=3000))
        hand.now = MONDAY - timedelta(hours=1)
        await run(store, WEEKLY)
        hand.now = MONDAY
        await run(store, WEEKLY)
        assert len(reports(tmp_path)) == 1


@story
async def test_who_wants_no_reports_gets_none(tmp_path: Path) -> None:
    async with opened(tmp_path, Hand(), ["mail"]) as store:
        assert await run(store, PeopleSettings()) is None
        assert look(tmp_path, "SELECT * FROM meta WHERE name LIKE 'reported%'") == []


@story
async def test_a_report_is_of_its_own_period_alone(tmp_path: Path) -> None:
    hand = Hand()
    async with opened(tmp_path, hand, ["mail"]) as store:
        await run(store, WEEKLY)
        for number, moment in enumerate(("26-03-08T22:59", "26-03-08T23:00", "26-03-09T07:00")):
            hand.now = utc(moment)
            await add(store, planned(number, data={"final_price": "5"}))
        hand.now = MONDAY
        await run(store, WEEKLY)
        ((data,),) = look(tmp_path, "SELECT data FROM events WHERE source = 'eventferry'")
        assert json.loads(data)["sold"] == "1"
        assert json.loads(data)["gross_sales"] == "5.00 USD"


# What


def test_those_who_may_see_all_are_told_all() -> None:
    assert told(SUMS, next_report("weekly", BERLIN, MONDAY - timedelta(days=1)), WEEKLY) == {
        "title": "Weekly report: 2 March to 8 March 2026",
        "text": "Refunds are not deducted: BuiltByBit's API does not tell of them.",
        "sold": "12",
        "gross_sales": "1,234.50 EUR, 119.88 USD",
        "best_resource": "Skyline (7 sold)",
        "reviews": "3, 4.7 stars on average",
        "not_delivered": "1 given up, 2 rejected",
        "slowest_delivery": "4h12m (to mail)",
    }


def test_the_sample_in_the_docs_is_what_a_mail_says() -> None:
    period = next_report("weekly", BERLIN, MONDAY - timedelta(days=1))
    event = Event("eventferry", "1", None, "report.weekly", MONDAY, told(SUMS, period, WEEKLY))
    mail = build("email", host="localhost", audience="full", **{"from": "a@x.example", "to": ["b@x.example"]})
    text = (Path(__file__).parents[3] / "docs" / "recipes" / "weekly-report.md").read_text()
    sample = text.partition("```\n")[2].partition("```\n")[2].partition("```")[0]
    assert sample.startswith("Weekly report")
    assert sample in mail.render(Delivery("x", event, 1))


def test_the_public_is_told_neither_money_nor_what_sinks_there_are() -> None:
    period = next_report("daily", None, MONDAY)
    shown = told(SUMS, period, PeopleSettings(report="daily"))
    assert "gross_sales" not in shown
    assert not any(secret in str(shown) for secret in ("EUR", "USD", "1,234", "mail"))
    assert shown["sold"] == "12"


def test_a_period_in_which_nothing_happened_is_reported_too() -> None:
    nothing = Sums(0, {}, None, 0, None, 0, 0, None)
    shown = told(nothing, next_report("monthly", BERLIN, MONDAY), WEEKLY)
    assert {name: shown[name] for name in list(shown)[2:]} == {
        "sold": "0",
        "gross_sales": "none",
        "reviews": "0",
        "not_delivered": "0 given up, 0 rejected",
    }


@pytest.mark.parametrize(
    ("took", "text"),
    [(0.04, "under 1s"), (9.96, "10.0s"), (59.99, "60.0s"), (61.5, "1m2s"), (3600, "1h"), (90_061, "1d1h1m")],
)
def test_how_slow_the_slowest_was_is_said_as_finely_as_anybody_cares(took: float, text: str) -> None:
    sums = replace(SUMS, slowest=(timedelta(seconds=took), "mail"))
    shown = told(sums, next_report("daily", None, MONDAY), PeopleSettings())
    assert shown["slowest_delivery"] == text
