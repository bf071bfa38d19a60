"""What is owed in a name that the config no longer has: counted, kept, and settled only on request."""

from daemon.contract import Closed, Rejected
from tests.ledger import ManualClock, Stores, add, claim, enroll, planned, rows, send, story

STATES = "SELECT sink, state, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2"


@story
async def test_what_waits_under_other_names_is_counted_by_name(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "hook", "old", "done")
        for source in ("builtbybit", "shop"):
            await store.sources.enroll(source)
        await add(store, planned(1, "hook", "old"), planned(2, "old"), planned(3, "done"))
        await send(store, "done")
        await store.events.add("shop", [planned(4, "hook", source="shop")])
        owed = await store.orphans.owed(but_sinks=["hook"], but_sources=["builtbybit"])
        assert (owed.deliveries, owed.events) == ({"old": 2}, {"shop": 1})
        none = await store.orphans.owed(but_sinks=["hook", "old", "done"], but_sources=["builtbybit", "shop"])
        assert (none.deliveries, none.events) == ({}, {})
        assert [await store.orphans.waiting(name) for name in ("hook", "old", "done", "nosuch")] == [2, 2, 0, 0]


@story
async def test_what_is_discarded_stays_on_record_with_time_and_reason(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await enroll(store, "hook", "old")
        await add(store, planned(1, "hook", "old"), planned(2, "old"))
        await send(store, "old", Rejected("HTTP 400"))
        await add(store, planned(3, "old"), planned(4, "old"))
        await claim(store, "old", limit=1)
        later = clock.advance(hours=1)
        await store.orphans.discard("old", sink=True, source=False)
        assert await rows(store, STATES) == [("hook", "waiting", 1), ("old", "discarded", 2), ("old", "rejected", 2)]
        found = "SELECT DISTINCT reason, due_at, claimed_at FROM deliveries WHERE state = 'discarded'"
        assert await rows(store, found) == [("discarded on request", None, None)]
        (shown,) = await store.browse.show("builtbybit:3")
        assert shown["deliveries"][0]["settled_at"] == later.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert await store.orphans.waiting("old") == 0


@story
async def test_the_events_of_a_removed_source_are_no_longer_to_be_completed_and_still_go_out(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await store.events.add("shop", [planned(1, "hook", source="shop"), planned(2, source="shop")])
        await add(store, planned(1, "hook"))
        await store.orphans.discard("shop", sink=False, source=True)
        by = "SELECT source, acknowledged_by, ack_reason FROM events ORDER BY id"
        assert await rows(store, by) == [
            ("shop", "nobody", "discarded on request"),
            ("shop", "nobody", "discarded on request"),
            ("builtbybit", None, None),
        ]
        assert await rows(store, STATES) == [("hook", "waiting", 2)]


@story
async def test_once_discarded_it_is_told_anew_if_it_happens_again(make_store: Stores) -> None:
    async with make_store() as store:
        for name in ("alert.orphaned_sinks:old", "alert.orphaned_sources:old"):
            assert await store.notices.is_news(name, again_after=None)
        await store.orphans.discard("old", sink=True, source=True)
        for name in ("alert.orphaned_sinks:old", "alert.orphaned_sources:old"):
            assert await store.notices.is_news(name, again_after=None)


@story
async def test_a_new_sink_starts_with_new_events_only(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await add(store, planned(1, "hook"))
        await send(store, "hook", Closed("gone"))
        await enroll(store, "hook", "new")
        await add(store, planned(2, "hook", "new"))
        assert [claim.delivery.event.external_id for claim in await claim(store, "new")] == ["2"]
