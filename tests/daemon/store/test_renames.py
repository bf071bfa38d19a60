"""Sinks and sources under another name: nothing is lost, nothing is sent twice, and receivers see the ids they know."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from daemon.contract import Closed, Delivered, Rejected, Unidentified
from daemon.gathering import Gathering
from daemon.lane import Lane
from daemon.quantities import Rate
from daemon.store import Selection, Store
from tests.ledger import LEASE, ManualClock, Stores, add, attempted, claim, enroll, planned, record, rows, send, story

STATES = "SELECT sink, state, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2"


async def ids(store: Store, sink: str) -> list[str]:
    """What receivers of a sink see, in the order in which it is sent; all of it is delivered by this."""
    return [claim.delivery.id for claim in await send(store, sink)]


@story
async def test_i6_after_a_sink_was_renamed_all_goes_on_with_the_ids_that_receivers_know(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "old")
        await add(store, planned(1, "old"), planned(2, "old"))
        await send(store, "old")
        await add(store, planned(3, "old"), planned(4, "old"))
        for _ in range(3):  # restarts with renamed_from still in the config
            moved = await store.renames.carry_out({"new": "old"}, {})
            await enroll(store, "new")
        assert moved == {}
        assert await rows(store, STATES) == [("new", "delivered", 2), ("new", "waiting", 2)]
        await add(store, planned(5, "new"))
        assert await ids(store, "new") == ["builtbybit-3-old", "builtbybit-4-old", "builtbybit-5-new"]
        await store.replays.replay(Selection(keys=["1", "5"]))
    async with make_store() as store:  # and without it
        await enroll(store, "new")
        (shown,) = await store.browse.show("builtbybit-1-old")
        assert [one["delivery_id"] for one in shown["deliveries"]] == ["builtbybit-1-old"]
        assert await store.browse.show("builtbybit-5-old") == []
        assert await ids(store, "new") == ["builtbybit-1-old", "builtbybit-5-new"]


@story
async def test_i6_renamed_twice_it_is_still_known_by_its_first_name(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "a")
        await add(store, planned(1, "a"))
        await store.renames.carry_out({"b": "a"}, {})
        await enroll(store, "b")
        await add(store, planned(2, "b"))
        await store.renames.carry_out({"c": "b"}, {})
        await enroll(store, "c")
        await add(store, planned(3, "c"))
        assert await ids(store, "c") == ["builtbybit-1-a", "builtbybit-2-b", "builtbybit-3-c"]


@story
async def test_a_renamed_sink_stays_in_the_state_it_was_in(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await enroll(store, "old")
        await add(store, planned(1, "old"))
        stopped = Lane(since=clock(), health="stopped", reason="gone", probe=False, stopped_by="receiver")
        (one,) = await claim(store, "old")
        await record(store, attempted(one, Closed("gone"), clock()), sink="old", lane=stopped)
        await store.renames.carry_out({"new": "old"}, {})
        assert (await enroll(store, "new"))["new"] == stopped
        assert [sink["name"] for sink in (await store.browse.status())["sinks"]] == ["new"]


@story
async def test_the_statistics_of_a_sink_go_along_even_if_the_new_name_has_some(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "old", "new")
        await add(store, planned(1, "old", "new"))
        await send(store, "old")
        await send(store, "new")
        await store.renames.carry_out({"new": "old"}, {})
        await enroll(store, "new")
        await add(store, planned(2, "new"))
        await send(store, "new")
        assert [(sink["name"], sink["delivered"]) for sink in (await store.browse.status())["sinks"]] == [("new", 3)]


@story
async def test_what_went_out_of_a_burst_counts_under_the_new_name(make_store: Stores) -> None:
    burst = "SELECT name FROM meta WHERE name LIKE 'burst of %'"
    async with make_store() as store:
        await enroll(store, "old")
        await add(store, planned(1, "old"))
        gathering = Gathering(None, Rate(20, timedelta(minutes=1)), None, None)
        assert (await store.deliveries.claim("old", limit=1, lease=LEASE, gathering=gathering)).claims
        assert await rows(store, burst) == ["burst of old"]
        await store.renames.carry_out({"new": "old"}, {})
        assert await rows(store, burst) == ["burst of new"]


@story
async def test_when_the_new_name_was_in_use_already_no_event_goes_out_twice(make_store: Stores) -> None:
    """It was renamed without a word, ran so for a while, and was then said to have been renamed."""
    async with make_store() as store:
        await enroll(store, "old")
        await add(store, planned(1, "old"), planned(2, "old"))
        await enroll(store, "new")
        await add(store, planned(3, "new"))
        (one,) = await claim(store, "new", limit=1)
        await record(store, attempted(one, Delivered("200"), store.database.clock()), sink="new")
        await store.replays.replay(Selection(keys=["3"], states=["delivered"]), add_to=["old"])
        await store.renames.carry_out({"new": "old"}, {})
        await add(store, planned(4, "new"))
        assert await rows(store, STATES) == [("new", "waiting", 4), ("old", "discarded", 1)]
        assert sorted(await ids(store, "new")) == [
            "builtbybit-1-old", "builtbybit-2-old", "builtbybit-3-new", "builtbybit-4-new",
        ]  # fmt: skip
        assert await store.renames.carry_out({"new": "old"}, {}) == {}


@story
async def test_i6_a_renamed_source_goes_on_with_its_events_its_cursor_and_its_ids(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await store.sources.enroll("shop")
        listed = [planned(number, "hook", source="shop") for number in (1, 2, 3)]
        await store.events.add("shop", listed, aside=[Unidentified("{}", "no id")], cursor="page 7")
        await store.sources.save("shop", {"read": {}}, swept=True)
        await store.acknowledgements.done("shop", ["1"])
        await send(store, "hook", Rejected("HTTP 400"))
        for _ in range(2):
            await store.renames.carry_out({}, {"store": "shop"})
            memory = await store.sources.enroll("store")
        assert (await store.sources.cursor("store"), memory.first) == ("page 7", False)
        again = [planned(number, "hook", source="store") for number in (1, 2, 3, 4)]
        added = await store.events.add("store", again)
        assert [event.external_id for event in added.new] == ["4"], "what is listed again is known"
        assert await rows(store, "SELECT DISTINCT source FROM unidentified") == ["store"]
        await store.replays.replay(Selection(keys=["store:2"]))
        assert sorted(await ids(store, "hook")) == ["shop-2-hook", "store-4-hook"]
        (shown,) = await store.browse.show("shop-2-hook")
        assert shown["key"] == "store:2"


@story
async def test_what_was_pruned_stays_known_under_the_new_name(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await store.sources.enroll("shop")
        await store.events.add("shop", [planned(1, source="shop")])
        await store.acknowledgements.done("shop", ["1"])
        clock.advance(days=200)
        await store.pruning.step(keep=clock.now - clock.now.replace(year=2026, month=3, day=5), from_id=0, limit=10)
        assert await rows(store, "SELECT source FROM tombstones") == ["shop"]
        await store.renames.carry_out({}, {"store": "shop"})
        assert (await store.events.add("store", [planned(1, source="store")])).new == []


@story
async def test_a_source_that_ran_under_the_new_name_already_completes_and_sends_each_event_once(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await enroll(store, "hook", "mail")
        await store.sources.enroll("shop")
        await store.events.add("shop", [planned(1, "hook", "mail", source="shop"), planned(2, "hook", source="shop")])
        await store.sources.enroll("store")
        await store.events.add("store", [planned(1, "hook", source="store")])
        await store.renames.carry_out({}, {"store": "shop"})
        assert await rows(store, "SELECT source, external_id, acknowledged_by FROM events ORDER BY id") == [
            ("shop", "1", "nobody"),
            ("store", "2", None),
            ("store", "1", None),
        ]
        assert await ids(store, "hook") == ["shop-2-hook", "store-1-hook"]
        assert await ids(store, "mail") == ["shop-1-mail"], "the new one never had this delivery"


@story
async def test_what_only_the_earlier_name_of_a_source_still_owes_is_not_given_up_for_a_twin_that_nobody_sends(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await store.sources.enroll("shop")
        await store.events.add("shop", [planned(1, "hook", source="shop")])
        await store.sources.enroll("store")
        await store.events.add("store", [planned(1, "hook", source="store", skip=True)])
        await store.renames.carry_out({}, {"store": "shop"})
        assert await ids(store, "hook") == ["shop-1-hook"]


@story
async def test_what_was_delivered_under_the_earlier_name_of_a_source_is_not_sent_again(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "hook", "mail")
        await store.sources.enroll("shop")
        await store.events.add("shop", [planned(1, "hook", source="shop")])
        await send(store, "hook")
        await store.sources.enroll("store")
        await store.events.add("store", [planned(1, "hook", "mail", source="store")])
        await store.renames.carry_out({}, {"store": "shop"})
        assert await ids(store, "hook") == []
        assert await ids(store, "mail") == ["store-1-mail"]


@story
async def test_what_waits_under_the_earlier_name_of_a_sink_is_sent_though_the_new_one_once_gave_it_up(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await enroll(store, "old", "new")
        await add(store, planned(1, "old"))
        await store.database.write(lambda connection, _: connection.execute(text(GIVEN_UP)))
        await store.renames.carry_out({"new": "old"}, {})
        assert await rows(store, STATES) == [("new", "waiting", 1), ("old", "discarded", 1)]
        assert len(await ids(store, "new")) == 1


GIVEN_UP = "INSERT INTO deliveries (event_id, sink, state) SELECT id, 'new', 'gave_up' FROM events"


@pytest.mark.parametrize("old", ["nosuch", "eventferry"])
def test_a_name_that_never_was_changes_nothing(make_store: Stores, old: str) -> None:
    @story
    async def scenario() -> None:
        async with make_store() as store:
            await enroll(store, "hook")
            await add(store, planned(1, "hook"))
            await store.events.add_own("alert.x", "1", {}, ["hook"])
            assert await store.renames.carry_out({"hook": old}, {"builtbybit": old}) == {}
            assert await ids(store, "hook") == ["builtbybit-1-hook", "eventferry-1-hook"]

    scenario()


@story
async def test_void_claims_and_suspects_follow_the_new_name(make_store: Stores) -> None:
    """The process died while it sent, and starts again with the sink renamed."""
    async with make_store() as store:
        await enroll(store, "old")
        await add(store, planned(1, "old"))
        (before,) = await claim(store, "old")
    async with make_store() as store:
        await store.renames.carry_out({"new": "old"}, {})
        (suspect,) = await store.deliveries.void_claims()
        assert suspect.sink == "new"
        (again,) = (await store.deliveries.claim_suspect("new", suspect.row_id, lease=LEASE)).claims
        assert (again.delivery.id, again.delivery.attempt) == (before.delivery.id, 2)
