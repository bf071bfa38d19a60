"""Events that are listed again: repeats, changed ones, and those that come back."""

from datetime import timedelta
from typing import Any

import sqlalchemy

from daemon.store import Store
from daemon.store.events import CHUNK
from tests.ledger import ManualClock, Stores, add, claim, planned, rows, send, story


async def acknowledge(store: Store, *numbers: int) -> None:
    await store.acknowledgements.done("builtbybit", [str(number) for number in numbers])


async def prune(store: Store, clock: ManualClock) -> None:
    clock.advance(days=2)
    await store.pruning.step(keep=timedelta(days=1), from_id=0, limit=1000)


@story
async def test_i9_a_repeat_changes_nothing(make_store: Stores) -> None:
    everything = "SELECT * FROM events", "SELECT * FROM deliveries", "SELECT * FROM counters", "SELECT * FROM variants"
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        before = [await rows(store, query) for query in everything]
        again = await add(store, planned(1, "hook", "mail"), planned(2), planned(2))
        assert (again.new, again.unrouted, again.woken, again.changed, again.returned) == ([], [], set(), [], [])
        assert [await rows(store, query) for query in everything] == before


@story
async def test_the_same_id_at_another_source_is_another_event(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        other = await store.events.add("other", [planned(1, "hook", source="other")])
        assert [event.key for event in other.new] == ["other:1"]


@story
async def test_i9_a_changed_repeat_is_kept_beside_the_first_and_flagged_and_the_first_is_delivered(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", data={"price": "5"}))
        changed = await add(store, planned(1, "hook", data={"price": "6"}, kind="refund", raw="{}"))
        assert [event.kind for event in changed.changed] == ["refund"]
        assert (await add(store, planned(1, "hook", data={"price": "6"}, kind="refund", raw="{}"))).changed == []
        assert (await add(store, planned(1, "hook", data={"price": "5"}))).changed == []
        assert len((await add(store, planned(1, data={"price": "7"}))).changed) == 1
        assert await rows(store, "SELECT kind, data, raw FROM variants") == [
            ("refund", '{"price":"6"}', "{}"),
            ("purchase", '{"price":"7"}', None),
        ]
        (one,) = await claim(store)
        assert one.delivery.event.data == {"price": "5"}


@story
async def test_i9_a_page_that_lists_an_id_twice_is_met_like_two_pages(make_store: Stores) -> None:
    one, other = planned(1, "hook", data={"n": 1}), planned(1, "hook", data={"n": 2})
    async with make_store() as store:
        added = await add(store, one, planned(2), other, one, other)
        assert [event.external_id for event in added.new] == ["1", "2"]
        assert [event.data for event in added.changed] == [{"n": 2}]
        assert await rows(store, "SELECT count(*) FROM deliveries") == [1]


@story
async def test_f35_a_page_of_any_length_is_looked_up_in_pieces(make_store: Stores) -> None:
    """SQLite takes at most 32,766 parameters in one statement, and a page of 32 MiB can list more ids than that."""
    page = [planned(number, data={}) for number in range(3 * CHUNK + 1)]
    looked_up: list[int] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            looked_up.append(len(parameters))

    async with make_store() as store:
        assert store.database._write_engine is not None
        sqlalchemy.event.listen(store.database._write_engine, "before_cursor_execute", note)
        assert len((await add(store, *page)).new) == len(page)
        assert (await add(store, *page)).new == []
        assert max(looked_up) == CHUNK + 1
        looked_up.clear()
        assert len((await add(store, *[planned("the same")] * 1000)).new) == 1
        assert len(looked_up) < 5


# Events that come back


@story
async def test_i19_an_event_listed_again_after_its_completion_is_completed_again_and_not_sent_again(
    make_store: Stores, clock: ManualClock
) -> None:
    """Ever more slowly, and with an alarm from the third time on."""
    waits, alarms = [], []
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await send(store)
        for _ in range(14):
            await acknowledge(store, 1)
            added = await add(store, planned(1, "hook"))
            assert (added.new, added.woken) == ([], set())
            alarms.append(added.returned)
            due = await store.acknowledgements.due("builtbybit", hold=timedelta(), limit=10)
            waits.append((due.next_due_at - clock()).total_seconds() if due.next_due_at else 0)
            if due.next_due_at:
                assert due.external_ids == ()
                clock.now = due.next_due_at
            due = await store.acknowledgements.due("builtbybit", hold=timedelta(), limit=10)
            assert due.external_ids == ("1",)
            assert await claim(store) == ()
        assert waits == [0, 30, 60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600, 21600]
        assert alarms == [[], []] + [["1"]] * 12
        assert await rows(store, "SELECT state, attempt FROM deliveries") == [("delivered", 1)]


@story
async def test_while_it_waits_to_be_completed_again_its_return_is_no_news(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await acknowledge(store, 1)
        for _ in range(5):
            assert (await add(store, planned(1, "hook"))).returned == []
        assert await rows(store, "SELECT relisted FROM events") == [1]


@story
async def test_i9_a_pruned_event_that_returns_is_completed_and_never_sent_again(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        await send(store)
        await acknowledge(store, 1, 2)
        await prune(store, clock)
        assert await rows(store, "SELECT count(*) FROM events") == [0]
        alarms = []
        for _ in range(4):
            for _ in range(2):  # the second time its completion is already due
                added = await add(store, planned(1, "hook"))
                assert (added.new, added.woken) == ([], set())
                alarms += added.returned
            clock.advance(hours=7)
            due = await store.acknowledgements.due("builtbybit", hold=timedelta(), limit=10)
            assert due.external_ids == ("1",)
            await acknowledge(store, 1)
            due = await store.acknowledgements.due("builtbybit", hold=timedelta(), limit=10)
            assert (due.external_ids, due.next_due_at) == ((), None)
        assert alarms == ["1", "1"]
        assert await rows(store, "SELECT count(*) FROM deliveries") == [0]
