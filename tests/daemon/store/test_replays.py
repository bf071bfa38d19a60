"""Sending again what a person asks for."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from daemon.contract import Delivered, Rejected, TryLater
from daemon.store import Selection, Store
from tests.ledger import LEASE, ManualClock, Stores, add, attempted, claim, enroll, planned, record, rows, send, story


async def waiting(store: Store) -> list[str]:
    return await rows(
        store,
        "SELECT external_id || ' ' || sink FROM deliveries JOIN events ON events.id = event_id "
        "WHERE state = 'waiting' ORDER BY events.id, sink",
    )


async def some_of_each(store: Store, clock: ManualClock) -> None:
    """A is delivered and rejected, b waits and is skipped, c is unrouted."""
    await add(store, planned("a", "hook", "mail"), planned("b", "hook"), planned("c"))
    await add(store, planned("d", "hook", skip=True))
    one, _ = await claim(store)
    await record(store, attempted(one, Delivered("200"), clock()))
    await send(store, "mail", outcome=Rejected("550"))


@story
async def test_i6_a_replay_keeps_the_delivery_id_and_counts(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        (first,) = await send(store, body=b"sent")
        assert await store.replays.replay(Selection(keys=["builtbybit:1"])) == 1
        (second,) = await send(store)
        assert await store.replays.replay(Selection(keys=["1"])) == 1
        (third,) = await claim(store)
        assert first.delivery.id == second.delivery.id == third.delivery.id
        assert [one.delivery.replays for one in (first, second, third)] == [0, 1, 2]
        assert [one.delivery.attempt for one in (first, second, third)] == [1, 2, 3]


@story
async def test_a_replay_gives_all_attempts_anew_and_leaves_what_is_completed_complete(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        while await send(store, outcome=TryLater("HTTP 500"), body=b"sent"):
            clock.advance(days=2)
        await store.acknowledgements.done("builtbybit", ["1"])
        assert await store.replays.replay(Selection(keys=["1"])) == 1
        columns = "state, reason, failures, deaths, settled_at, body"
        assert await rows(store, f"SELECT {columns} FROM deliveries") == [("waiting", "replay", 0, 0, None, b"sent")]
        due = await store.acknowledgements.due("builtbybit", hold=timedelta(), limit=9)
        assert (due.external_ids, due.held) == ((), 0)
        (one,) = await claim(store)
        assert (one.failures, one.delivery.attempt) == (0, 13)
        assert await rows(store, "SELECT count(*) FROM attempts") == [12]


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [(Delivered("250"), {}), (Rejected("550"), {}), (TryLater("450"), {"done": ["a@b.example"]})],
)
@story
async def test_only_what_was_given_up_goes_on_where_it_got_to(
    make_store: Stores, clock: ManualClock, outcome: Delivered | Rejected | TryLater, kept: dict[str, object]
) -> None:
    """What was delivered or rejected as a whole would find nothing left to do."""
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        while await send(store, outcome=outcome, progress={"done": ["a@b.example"]}):
            clock.advance(days=2)
        assert await store.replays.replay(Selection(keys=["1"])) == 1
        (one,) = await claim(store)
        assert one.delivery.progress == kept


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), ["a hook", "a mail", "d hook"]),
        (Selection(keys=["builtbybit:a"]), ["a hook", "a mail"]),
        (Selection(keys=["a", "d", "nothing"]), ["a hook", "a mail", "d hook"]),
        (Selection(keys=["other:a"]), []),
        (Selection(keys=["other:a", "builtbybit:d"]), ["d hook"]),
        (Selection(keys=["other:d", "a"]), ["a hook", "a mail"]),
        (Selection(sinks=["mail"]), ["a mail"]),
        (Selection(states=["rejected", "gave_up"]), ["a mail"]),
        (Selection(states=["skipped"]), ["d hook"]),
        (Selection(keys=["a"], sinks=["hook"], states=["rejected"]), []),
    ],
)
@story
async def test_all_conditions_of_a_selection_must_hold_and_nothing_that_waits_is_touched(
    make_store: Stores, clock: ManualClock, selection: Selection, chosen: list[str]
) -> None:
    async with make_store() as store:
        await some_of_each(store, clock)
        assert await store.replays.matching(selection) == len(chosen)
        assert await store.replays.replay(selection) == len(chosen)
        assert await waiting(store) == sorted([*chosen, "b hook"])
        assert await store.replays.replay(selection) == 0


@story
async def test_a_selection_can_begin_at_a_moment(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        since = clock.advance(hours=1)
        await add(store, planned(2, "hook"))
        await send(store)
        assert await store.replays.replay(Selection(since=since)) == 1
        assert await waiting(store) == ["2 hook"]


@story
async def test_an_id_with_a_colon_is_found_plain_and_as_a_key(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned("urn:x:1", "hook"))
        await send(store)
        for key in ("urn:x:1", "builtbybit:urn:x:1"):
            assert await store.replays.matching(Selection(keys=[key])) == 1
        assert await store.replays.matching(Selection(keys=["x:1"])) == 0


@story
async def test_a_large_replay_is_whole(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(1201)))
        while await send(store):
            pass
        assert await store.replays.replay(Selection()) == 1201
        assert len(await waiting(store)) == 1201


# To sinks that had no such delivery


@pytest.mark.parametrize(
    ("selection", "to", "chosen"),
    [
        (Selection(keys=["a"], sinks=["new"]), ["new"], ["a new"]),
        (Selection(keys=["a", "c"], sinks=["new"]), ["new"], ["a new", "c new"]),
        (Selection(keys=["a"], sinks=["mail"]), ["mail"], ["a mail"]),
        (Selection(keys=["b"], sinks=["hook", "new"]), ["hook", "new"], ["b new"]),
        (Selection(keys=["a"]), ["new"], ["a hook", "a mail", "a new"]),
        (Selection(states=["rejected"], sinks=["new"]), ["new"], ["a new"]),
        (Selection(sinks=["new"]), ["new"], ["a new", "b new", "c new", "d new"]),
        (Selection(keys=["a"], sinks=["new"]), ["new", "newer"], ["a new", "a newer"]),
    ],
)
@story
async def test_events_can_be_sent_to_sinks_that_they_were_not_routed_to(
    make_store: Stores, clock: ManualClock, selection: Selection, to: Sequence[str], chosen: list[str]
) -> None:
    async with make_store() as store:
        await some_of_each(store, clock)
        assert await store.replays.replay(selection, add_to=to) == len(chosen)
        assert await waiting(store) == sorted([*chosen, "b hook"])
        assert await store.replays.replay(selection, add_to=to) == 0


@story
async def test_what_is_sent_on_request_is_told_apart(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        await store.replays.replay(Selection(keys=["1"]), add_to=["hook"])
        (one,) = await claim(store)
        assert (one.delivery.replays, one.delivery.attempt) == (1, 1)
        assert await rows(store, "SELECT reason FROM deliveries") == ["sent on request"]


@story
async def test_what_waited_to_be_told_with_others_is_replayed_singly(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await send(store)
        await store.database.write(
            lambda connection, _: connection.exec_driver_sql("UPDATE deliveries SET gathered = 'digest'")
        )
        await store.replays.replay(Selection())
        assert await rows(store, "SELECT state, gathered FROM deliveries") == [("waiting", None)]


@story
async def test_what_is_replayed_unnamed_leaves_out_tests_and_takes_our_own_events_to_no_further_sink(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await enroll(store, "hook", "panel")
        await add(store, planned(1, "hook"))
        await store.events.add_own("test.purchase", "t1", {}, [])
        await store.trials.claim("t1", "hook", lease=LEASE)
        await store.events.add_own("alert.sink", "a1", {}, ["hook"])
        await send(store)
        assert await store.replays.matching(Selection(sinks=["hook"], states=["delivered", "waiting"])) == 2
        assert await store.replays.matching(Selection(sinks=[]), add_to=["panel"]) == 1
        named = Selection(["eventferry:a1", "eventferry:t1"], sinks=[])
        assert await store.replays.replay(named, add_to=["panel"]) == 2
