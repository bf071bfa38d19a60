"""Forgetting what is old and settled."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from daemon.contract import Rejected, TryLater, Unidentified
from daemon.store import Selection, Store
from daemon.store.pruning import TOMBSTONES_KEPT, Pruned
from daemon.tables import deliveries
from tests.ledger import NOON, ManualClock, Stores, add, claim, planned, rows, send, story

KEEP = timedelta(days=180)
MONTH = timedelta(days=30)


async def step(store: Store, from_id: int = 0, limit: int = 1000) -> Pruned:
    return await store.pruning.step(keep=KEEP, from_id=from_id, limit=limit)


async def complete(store: Store, *ids: object) -> None:
    await store.acknowledgements.done("builtbybit", [str(each) for each in ids])


async def left(store: Store) -> list[str]:
    return await rows(store, "SELECT external_id FROM events ORDER BY id")


@story
async def test_i4_only_what_is_old_settled_and_completed_is_removed(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, *(planned(name, "hook") for name in ("delivered", "not completed")))
        await send(store)
        await add(store, planned("rejected", "hook"))
        await send(store, outcome=Rejected("no"))
        await add(store, planned("waiting", "hook"), planned("unrouted"))
        await complete(store, "delivered", "rejected", "waiting", "unrouted")
        clock.advance(days=180)
        assert await step(store) == Pruned(0, None), "exactly as old as is kept"
        clock.advance(seconds=1)
        await add(store, planned("young"))
        await complete(store, "young")
        assert await step(store) == Pruned(3, None)
        assert await left(store) == ["not completed", "waiting", "young"]
        assert await step(store) == Pruned(0, None)


@story
async def test_what_is_under_way_is_not_removed(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await complete(store, 1)
        clock.advance(days=181)
        await claim(store)
        assert await step(store) == Pruned(0, None)


@story
async def test_an_event_goes_with_all_that_hangs_on_it_and_leaves_its_key_and_the_counters(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", "mail"), planned(2))
        await add(store, planned(1, data={"other": 1}))
        await send(store)
        await send(store, "mail", outcome=Rejected("550"))
        await complete(store, 1, 2)
        before = await rows(store, "SELECT * FROM counters")
        clock.advance(days=181)
        assert (await step(store)).removed == 2
        for table in ("events", "variants", "deliveries", "attempts"):
            assert await rows(store, f"SELECT count(*) FROM {table}") == [0], table
        keys = "SELECT source, external_id, relisted, ack_due_at FROM tombstones"
        assert await rows(store, keys) == [("builtbybit", "1", 0, None), ("builtbybit", "2", 0, None)]
        assert await rows(store, "SELECT * FROM counters") == before
        assert (await store.browse.status())["events"]["stored"] == 2


@story
async def test_what_the_daemon_said_itself_leaves_no_key(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await store.events.add_own("alert.sink", "alert-1", {}, ["mail"])
        await send(store, "mail")
        clock.advance(days=181)
        assert (await step(store)).removed == 1
        assert await rows(store, "SELECT count(*) FROM tombstones") == [0]


@story
async def test_a_step_looks_at_so_many_and_the_next_goes_on_behind_them(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, *(planned(number, *(["hook"] if number < 5 else [])) for number in range(25)))
        await complete(store, *range(25))
        clock.advance(days=181)
        steps, from_id = [], 0
        while True:
            pruned = await step(store, from_id, limit=10)
            steps.append(pruned)
            if pruned.next_id is None:
                break
            from_id = pruned.next_id
        assert steps == [Pruned(5, 10), Pruned(10, 20), Pruned(5, None)]
        assert await left(store) == ["0", "1", "2", "3", "4"]


@story
async def test_a_step_ends_at_the_first_piece_that_holds_something_young(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, *(planned(number) for number in range(15)))
        clock.advance(days=181)
        await add(store, *(planned(number) for number in range(15, 40)))
        await complete(store, *range(40))
        assert await step(store, limit=10) == Pruned(10, 10)
        assert await step(store, 10, limit=10) == Pruned(5, None)


@story
async def test_i9_keys_outlive_their_events_by_ninety_days_and_longer_while_listed(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1), planned(2))
        await complete(store, 1, 2)
        clock.advance(days=181)
        await step(store)
        clock.now += TOMBSTONES_KEPT
        await store.pruning.remnants(keep=KEEP)
        assert await rows(store, "SELECT external_id FROM tombstones") == ["1", "2"]
        assert timedelta(days=90) <= TOMBSTONES_KEPT
        await add(store, planned(2))
        clock.advance(seconds=1)
        await store.pruning.remnants(keep=KEEP)
        assert await rows(store, "SELECT external_id FROM tombstones") == ["2"]


@story
async def test_what_was_set_aside_and_said_goes_when_it_is_old(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, aside=[Unidentified("{}", "no id")])
        await store.notices.is_news("over", again_after=None)
        await store.notices.is_over("over")
        await store.notices.is_news("still so", again_after=None)
        clock.now += KEEP
        await store.pruning.remnants(keep=KEEP)
        tables = "SELECT (SELECT count(*) FROM unidentified), (SELECT count(*) FROM notices)"
        assert await rows(store, tables) == [(1, 2)]
        clock.advance(seconds=1)
        await store.pruning.remnants(keep=KEEP)
        assert await rows(store, tables) == [(0, 1)]


# What has waited too long


@story
async def test_what_waited_too_long_is_given_up_and_stays_to_be_replayed(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", "mail"), planned(2, "hook"))
        await send(store, outcome=TryLater("503", timedelta(hours=24)))
        clock.now += MONTH
        await add(store, planned(3, "hook"))
        assert await store.pruning.give_up_waiting("hook", after=MONTH, limit=10) == 0
        clock.advance(seconds=1)
        assert await store.pruning.give_up_waiting("hook", after=MONTH, limit=10) == 2
        assert await store.pruning.give_up_waiting("hook", after=MONTH, limit=10) == 0
        states = (
            "SELECT event_id, sink, state, reason, due_at, settled_at IS NOT NULL FROM deliveries WHERE event_id < 3"
        )
        assert await rows(store, f"{states} ORDER BY event_id, sink") == [
            (1, "hook", "gave_up", "waited longer than 30d", None, 1),
            (1, "mail", "waiting", None, "2026-03-04 12:00:00.000000", 0),
            (2, "hook", "gave_up", "waited longer than 30d", None, 1),
        ]
        assert await rows(store, "SELECT count FROM counters WHERE outcome = 'gave_up'") == [2]
        assert [one.delivery.event.external_id for one in await claim(store)] == ["3"]
        assert await store.replays.replay(Selection(states=["gave_up"])) == 2


@pytest.mark.parametrize(("after", "text"), [(timedelta(minutes=90), "1h30m"), (timedelta(days=3), "3d")])
@story
async def test_the_reason_names_the_wait_as_the_config_writes_it(
    make_store: Stores, clock: ManualClock, after: timedelta, text: str
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        clock.advance(days=9)
        await store.pruning.give_up_waiting("hook", after=after, limit=10)
        assert await rows(store, "SELECT reason FROM deliveries") == [f"waited longer than {text}"]


@story
async def test_it_is_given_up_in_pieces_and_never_while_under_way(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(5)))
        clock.advance(days=31)
        await claim(store, limit=1)
        numbers = [await store.pruning.give_up_waiting("hook", after=MONTH, limit=3) for _ in range(3)]
        assert numbers == [3, 1, 0]
        assert await rows(store, "SELECT state FROM deliveries ORDER BY id") == ["waiting"] + ["gave_up"] * 4


@story
async def test_what_a_person_asked_for_again_waits_as_long_as_if_it_were_new(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await send(store)
        clock.advance(days=100)
        await store.replays.replay(Selection(keys=["1"]), add_to=["mail"])
        for sink in ("hook", "mail"):
            assert await store.pruning.give_up_waiting(sink, after=MONTH, limit=10) == 0
        clock.advance(days=31)
        for sink in ("hook", "mail"):
            assert await store.pruning.give_up_waiting(sink, after=MONTH, limit=10) == 1


@story
async def test_what_waits_for_a_digest_is_not_given_up_before_it(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        due = NOON + timedelta(days=7)
        await store.database.write(
            lambda connection, _: connection.execute(update(deliveries).values(gathered="digest", due_at=due))
        )
        clock.advance(days=6)
        assert await store.pruning.give_up_waiting("hook", after=timedelta(days=1), limit=10) == 0
        clock.advance(days=1, hours=23)
        assert await store.pruning.give_up_waiting("hook", after=timedelta(days=1), limit=10) == 0
        clock.advance(hours=2)
        assert await store.pruning.give_up_waiting("hook", after=timedelta(days=1), limit=10) == 1
