"""What people and scripts see of the ledger."""

import json
from datetime import timedelta
from typing import Any

import pytest

from daemon.contract import Delivered, Rejected, TryLater, Unidentified
from daemon.store import EventFilter, Store
from tests.ledger import ManualClock, Stores, add, attempted, claim, enroll, planned, record, rows, send, story


async def fill(store: Store, clock: ManualClock) -> None:
    """One of each: 1 delivered and dead, 2 waiting after a failure, 3 unrouted, 4 completed, one of our own."""
    await enroll(store, "hook", "mail")
    await add(store, planned(1, "hook", "mail"), planned(2, "hook", kind="Review"), planned(3, kind="odd%_"))
    first, second = await claim(store)
    await record(
        store,
        attempted(first, Delivered("200"), clock(), body=b"\xffbody"),
        attempted(second, TryLater("HTTP 500"), clock()),
    )
    await send(store, "mail", outcome=Rejected("550"))
    clock.advance(hours=1)
    await add(store, planned(4, "hook"), aside=[Unidentified('{"x": 1}', "no event_id")])
    await store.acknowledgements.done("builtbybit", ["4"])
    await store.events.add_own("alert.sink", "alert-1", {"text": "down"}, ["mail"])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EventFilter(), ["alert-1", "4", "3", "2", "1"]),
        (EventFilter(limit=2), ["alert-1", "4"]),
        (EventFilter(limit=0), []),
        (EventFilter(limit=10**9), ["alert-1", "4", "3", "2", "1"]),
        (EventFilter(state="waiting"), ["alert-1", "4", "2"]),
        (EventFilter(state="delivered"), ["1"]),
        (EventFilter(state="dead"), ["1"]),
        (EventFilter(state="rejected"), ["1"]),
        (EventFilter(state="gave_up"), []),
        (EventFilter(state="unrouted"), ["3"]),
        (EventFilter(state="unacknowledged"), ["3", "2", "1"]),
        (EventFilter(sink="mail"), ["alert-1", "1"]),
        (EventFilter(sink="mail", state="waiting"), ["alert-1"]),
        (EventFilter(sink="hook", state="rejected"), []),
        (EventFilter(sink="hook", state="unacknowledged"), ["2", "1"]),
        (EventFilter(kind="REV"), ["2"]),
        (EventFilter(kind="%"), ["3"]),
        (EventFilter(kind="_"), ["3"]),
        (EventFilter(kind="'; DROP TABLE events; --"), []),
    ],
)
@story
async def test_events_are_listed_newest_first_and_as_filtered(
    make_store: Stores, clock: ManualClock, wanted: EventFilter, found: list[str]
) -> None:
    async with make_store() as store:
        await fill(store, clock)
        assert [event["external_id"] for event in await store.browse.events(wanted)] == found


@story
async def test_a_list_can_begin_at_a_moment(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await fill(store, clock)
        listed = await store.browse.events(EventFilter(since=clock() - timedelta(minutes=1)))
        assert [event["external_id"] for event in listed] == ["alert-1", "4"]


@story
async def test_a_listed_event_tells_where_its_deliveries_are_in_plain_json(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await fill(store, clock)
        event = (await store.browse.events(EventFilter(state="dead")))[0]
        assert json.loads(json.dumps(event)) == event
        assert event["key"] == "builtbybit:1"
        assert event["deliveries"] == {"hook": "delivered", "mail": "rejected"}
        assert event["stored_at"] == "2026-03-04T12:00:00.000Z"
        assert not {"id", "data", "raw", "digest", "routed"} & event.keys()


@story
async def test_a_list_longer_than_sqlites_limit_on_parameters_is_whole(make_store: Stores) -> None:
    async with make_store() as store:
        await store.database.write(
            lambda connection, _: connection.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 33000) "
                "INSERT INTO events (source, external_id, kind, occurred_at, stored_at, data, digest, routed) "
                "SELECT 'b', i, 'k', '2026-03-04 12:00:00', '2026-03-04 12:00:00', '{}', x'00', 0 FROM n"
            )
        )
        assert len(await store.browse.events(EventFilter(limit=33_000))) == 33_000


# One event


@pytest.mark.parametrize("name", ["builtbybit:1", "1", "builtbybit-1-hook", "builtbybit-1-mail"])
@story
async def test_an_event_is_shown_whole_by_its_key_its_id_or_the_id_receivers_know(
    make_store: Stores, clock: ManualClock, name: str
) -> None:
    async with make_store() as store:
        await fill(store, clock)
        await add(store, planned(1, data={"other": True}))
        (event,) = await store.browse.show(name)
        assert json.loads(json.dumps(event)) == event
        assert event["key"] == "builtbybit:1"
        assert event["data"]["final_price"] == "9.99"
        assert [variant["data"] for variant in event["variants"]] == [{"other": True}]
        hook, mail = event["deliveries"]
        assert (hook["sink"], hook["state"], hook["body"]) == ("hook", "delivered", "\ufffdbody")
        assert [(one["outcome"], one["milliseconds"]) for one in hook["attempts"]] == [("delivered", 12)]
        assert (mail["state"], mail["attempts"][0]["reason"]) == ("rejected", "550")


@pytest.mark.parametrize(
    "name", ["", ":", "nothing", "builtbybit:9", "other:1", "builtbybit-1-nobody", "d-abc", "hook"]
)
@story
async def test_what_nobody_knows_is_not_shown(make_store: Stores, clock: ManualClock, name: str) -> None:
    async with make_store() as store:
        await fill(store, clock)
        assert await store.browse.show(name) == []


@story
async def test_an_id_with_colons_or_of_great_length_is_found(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned("urn:x:1", "hook"), planned("y" * 90, "hook"))
        _, long = await claim(store)
        assert long.delivery.id.startswith("d-")
        for name, found in {
            "urn:x:1": "urn:x:1",
            "builtbybit:urn:x:1": "urn:x:1",
            long.delivery.id: "y" * 90,
        }.items():
            assert [event["external_id"] for event in await store.browse.show(name)] == [found]


@story
async def test_the_same_id_at_two_sources_is_shown_twice(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        await store.events.add("other", [planned(1, source="other")])
        assert [event["key"] for event in await store.browse.show("1")] == ["builtbybit:1", "other:1"]


@story
async def test_f14_a_damaged_event_can_still_be_looked_at(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        sql = "UPDATE events SET data = CAST(x'7b22ff' AS TEXT)"
        await store.database.write(lambda connection, _: connection.exec_driver_sql(sql))
        (event,) = await store.browse.show("1")
        assert event["data"] == '{"\ufffd'


# Everything


@story
async def test_the_status_of_an_empty_store_is_all_noughts(make_store: Stores) -> None:
    async with make_store() as store:
        assert await store.browse.status() == {
            "paused": False,
            "events": {"stored": 0, "unrouted": 0, "unacknowledged": 0, "unidentified": 0},
            "dead_letters": 0,
            "sources": [],
            "gates": [],
            "sinks": [],
        }


@story
async def test_the_status_counts_what_there_was_and_what_is_open(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await fill(store, clock)
        await store.sources.enroll("builtbybit")
        await store.gates.shut("api.example", "read", timedelta(minutes=1))
        status: Any = await store.browse.status()
        assert json.loads(json.dumps(status)) == status
        assert status["events"] == {"stored": 4, "unrouted": 1, "unacknowledged": 3, "unidentified": 1}
        assert status["dead_letters"] == 1
        assert status["gates"][0]["opens_at"] == "2026-03-04T13:01:00.000Z"
        assert [source["name"] for source in status["sources"]] == ["builtbybit"]
        numbers = ("name", "kind", "waiting", "delivered", "rejected", "gave_up")
        assert [tuple(sink[number] for number in numbers) for sink in status["sinks"]] == [
            ("hook", "webhook", 2, 1, 0, 0),
            ("mail", "webhook", 1, 0, 1, 0),
        ]
        assert status["sinks"][0]["lane"]["health"] == "ok"


@story
async def test_what_was_listed_without_an_id_is_shown(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await fill(store, clock)
        (item,) = await store.browse.unidentified()
        assert (item["raw"], item["reason"], item["source"]) == ('{"x": 1}', "no event_id", "builtbybit")
        assert await rows(store, "SELECT count(*) FROM unidentified") == [1]
