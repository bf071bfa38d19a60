"""What comes in: events with their deliveries, in one transaction."""

import asyncio
import itertools
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy.exc import IntegrityError

from daemon.contract import OWN_SOURCE, Event, Incoming, Unidentified
from daemon.store import Planned
from daemon.store.text import data_text, digest_of, storable
from tests.events import EVENTS, HOSTILE
from tests.ledger import NOON, Stores, add, claim, planned, rows, send, story


@story
async def test_a_new_event_is_stored_with_a_delivery_for_each_sink_that_wants_it(make_store: Stores) -> None:
    async with make_store() as store:
        added = await add(store, planned(1, "hook", "mail"), planned(2, "hook"), planned(3))
        assert [event.external_id for event in added.new] == ["1", "2", "3"]
        assert [event.external_id for event in added.unrouted] == ["3"]
        assert added.woken == {"hook", "mail"}
        assert await rows(store, "SELECT external_id, routed FROM events") == [("1", 2), ("2", 1), ("3", 0)]
        assert await rows(store, "SELECT event_id, sink, state, attempt FROM deliveries ORDER BY event_id, sink") == [
            (1, "hook", "waiting", 0),
            (1, "mail", "waiting", 0),
            (2, "hook", "waiting", 0),
        ]


@story
async def test_what_is_stored_comes_back_as_the_same_event(make_store: Stores) -> None:
    event = planned(1, "hook", data={"a": [1, None, {"b": "ü\ud800"}], "price": 9.99}, channel=None).incoming.event
    async with make_store() as store:
        await add(store, planned(1, "hook", data=event.data, channel=None))
        (claimed,) = await claim(store)
        assert claimed.delivery.event == event


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
@story
async def test_i16_whatever_an_event_holds_is_stored_and_handed_out(
    make_store: Stores, data: dict[str, object]
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", data=data), planned(2, "hook"))
        claims = [*await claim(store), *await claim(store)]
        assert data_text(claims[0].delivery.event.data) == data_text(data)
        assert claims[1].delivery.event.external_id == "2"


_ids = itertools.count()


@given(EVENTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_i16_any_event_is_stored_once_and_handed_out_intact(make_store: Stores, event: Event) -> None:
    async def go() -> None:
        listed = replace(event, source="builtbybit", external_id=f"{next(_ids)} {event.external_id}")
        async with make_store() as store:
            for _ in range(2):
                await add(store, *[Planned(Incoming(listed), ("hook",))] * 2)
            (sent,) = await send(store)
            assert sent.delivery.event.kind == storable(event.kind)
            assert sent.delivery.event.occurred_at == event.occurred_at
            assert data_text(sent.delivery.event.data) == data_text(event.data)

    asyncio.run(go())


@story
async def test_i16_a_trigger_that_is_no_unicode_hides_no_other_event(make_store: Stores) -> None:
    odd = "sale \ud800\0"
    async with make_store() as store:
        added = await add(store, planned(1, "hook", kind=odd, channel=odd, raw=odd), planned(2, "hook"))
        assert len(added.new) == 2
        assert (await add(store, planned(1, "hook", kind=odd, channel=odd, raw=odd))).changed == []
        first, _ = await claim(store)
        assert (first.delivery.event.kind, first.delivery.event.channel) == ("sale ?\ufffd", "sale ?\ufffd")
        assert await rows(store, "SELECT kind FROM counters WHERE kind LIKE 'sale%'") == ["sale ?\ufffd"]


# All or none


@story
async def test_i3_a_page_its_deliveries_and_the_cursor_are_stored_together(make_store: Stores) -> None:
    async with make_store() as store:
        await store.sources.enroll("builtbybit")
        await add(store, planned(1, "hook"), cursor="after-1")
        assert await store.sources.cursor("builtbybit") == "after-1"
        await add(store, planned(2, "hook"))
        assert await store.sources.cursor("builtbybit") == "after-1"


BREAKS = {
    "events": "INSERT ON events WHEN NEW.external_id = '2'",
    "deliveries": "INSERT ON deliveries WHEN NEW.sink = 'mail'",
    "counters": "INSERT ON counters",
    "aside": "INSERT ON unidentified",
    "cursor": "UPDATE ON sources",
}


@pytest.mark.parametrize("moment", BREAKS.values(), ids=BREAKS.keys())
@story
async def test_i3_what_fails_in_the_middle_leaves_nothing(make_store: Stores, moment: str) -> None:
    tables = ("events", "deliveries", "counters", "unidentified", "variants")
    page = [planned(1, "hook"), planned(2, "hook", "mail")]
    trigger = f"CREATE TRIGGER stop BEFORE {moment} BEGIN SELECT RAISE(ABORT, 'not now'); END"
    more = {"aside": [Unidentified("{}", "no id")], "cursor": "next"}
    async with make_store() as store:
        await store.sources.enroll("builtbybit")
        await store.database.write(lambda connection, _: connection.exec_driver_sql(trigger))
        with pytest.raises(IntegrityError, match="not now"):
            await add(store, *page, **more)
        assert [await rows(store, f"SELECT count(*) FROM {table}") for table in tables] == [[0]] * 5
        assert await store.sources.cursor("builtbybit") is None
        await store.database.write(lambda connection, _: connection.exec_driver_sql("DROP TRIGGER stop"))
        assert len((await add(store, *page, **more)).new) == 2


KILLED_WHILE_STORING = """
import asyncio, os, sys
from pathlib import Path
from zoneinfo import ZoneInfo
from daemon.clock import wall_now
from daemon.store import Planned, Store
from tests.ledger import add, planned

async def main():
    store = Store(Path(sys.argv[1]), wall_now)
    await store.database.open()
    await add(store, planned(1, "hook"))
    print("stored", flush=True)

    def die(connection, now):
        os._exit(9)

    await asyncio.gather(add(store, planned(2, "hook")), store.database.write(die))

asyncio.run(main())
"""


def test_w1_what_was_answered_survives_a_kill_and_what_was_not_leaves_nothing(database: Path) -> None:
    """I1: the first is durable here; the second is still pending upstream, and not half here."""
    result = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_STORING, str(database)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (9, "stored\n"), result.stderr
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT external_id FROM events").fetchall() == [("1",)]
        assert connection.execute("SELECT count(*) FROM deliveries").fetchone() == (1,)


# Set aside, skipped, our own


@story
async def test_what_has_no_usable_id_is_set_aside_once(make_store: Stores) -> None:
    odd = [
        Unidentified('{"sale": 1}', "no event_id"),
        Unidentified("\ud800", "no text"),
        Unidentified('{"sale": 1}', ""),
    ]
    async with make_store() as store:
        assert (await add(store, planned(1), aside=odd)).unidentified == 2
        assert (await add(store, aside=odd)).unidentified == 0
        assert await rows(store, "SELECT raw, reason FROM unidentified") == [
            ('{"sale": 1}', "no event_id"),
            ("\\ud800", "no text"),
        ]


@story
async def test_events_that_are_only_recorded_have_skipped_deliveries(make_store: Stores) -> None:
    async with make_store() as store:
        added = await add(store, planned(1, "hook", skip=True))
        assert (len(added.new), added.woken) == (1, set())
        assert await rows(store, "SELECT state, due_at, settled_at IS NOT NULL FROM deliveries") == [
            ("skipped", None, 1)
        ]
        assert await claim(store) == ()
        due = await store.acknowledgements.due("builtbybit", hold=timedelta(hours=1), limit=10)
        assert due.external_ids == ("1",)


@story
async def test_what_the_daemon_says_itself_is_acknowledged_nowhere(make_store: Stores) -> None:
    async with make_store() as store:
        for _ in range(2):
            await store.events.add_own("alert.sink", "alert-1", {"text": "down"}, ["mail"])
        assert await rows(store, "SELECT source, acknowledged_by, relisted FROM events") == [(OWN_SOURCE, "nobody", 0)]
        assert (await store.acknowledgements.due(OWN_SOURCE, hold=timedelta(), limit=10)).external_ids == ()
        (one,) = await claim(store, "mail")
        assert (one.delivery.event.occurred_at, one.delivery.event.data) == (NOON, {"text": "down"})


@story
async def test_a_naive_moment_is_refused_and_other_zones_become_utc(make_store: Stores) -> None:
    there = datetime(2026, 3, 4, 1, 30, tzinfo=timezone(timedelta(hours=-11)))
    async with make_store() as store:
        with pytest.raises(Exception, match="naive datetime"):
            await add(store, planned(1, occurred_at=datetime(2026, 3, 4)))  # noqa: DTZ001
        await add(store, planned(2, "hook", occurred_at=there))
        (one,) = await claim(store)
        assert one.delivery.event.occurred_at == there
        assert one.delivery.event.occurred_at.utcoffset() == timedelta()
        assert await rows(store, "SELECT occurred_at FROM events") == ["2026-03-04 12:30:00.000000"]


@story
async def test_the_two_times_of_a_clock_that_is_set_back_are_stored_apart(make_store: Stores) -> None:
    """For Python both are equal."""
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    async with make_store() as store:
        await add(store, planned(1, occurred_at=twice), planned(2, occurred_at=twice.replace(fold=1)))
        assert await rows(store, "SELECT occurred_at FROM events ORDER BY id") == [
            "2026-10-25 00:30:00.000000",
            "2026-10-25 01:30:00.000000",
        ]


def test_a_digest_tells_every_part_apart() -> None:
    parts = [
        ("a", "b", "{}", None),
        ("a", None, "{}", None),
        ("ab", None, "{}", None),
        ("a", "b", "{}", ""),
        ("a", "b", "[]", None),
    ]
    assert len({digest_of(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("text", "stored"), [("plain", "plain"), ("ünï", "ünï"), ("a\0b", "a\ufffdb"), ("\ud83d half", "? half"), ("", "")]
)
def test_text_is_changed_only_where_no_database_could_hold_it(text: str, stored: str) -> None:
    assert storable(text) == stored
    assert storable(stored) == stored
