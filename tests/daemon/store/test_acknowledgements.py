"""Which events may be marked complete upstream, and what came of it."""

from datetime import timedelta

import pytest

from daemon.contract import Delivered, Rejected, TryLater
from daemon.store import Store
from daemon.store.acknowledgements import Acknowledgeable
from tests.ledger import NOON, ManualClock, Stores, add, attempted, claim, planned, record, rows, send, story

HOLD = timedelta(minutes=5)
SOURCE = "builtbybit"


async def due(store: Store, hold: timedelta = HOLD, limit: int = 100) -> Acknowledgeable:
    return await store.acknowledgements.due(SOURCE, hold=hold, limit=limit)


async def ids(store: Store, hold: timedelta = HOLD) -> tuple[str, ...]:
    return (await due(store, hold)).external_ids


async def gone(store: Store, *listed: int) -> int:
    before = store.database.clock() + timedelta(seconds=1)
    return await store.acknowledgements.gone(SOURCE, listed={str(number) for number in listed}, stored_before=before)


async def prune(store: Store, clock: ManualClock) -> None:
    clock.advance(days=2)
    await store.pruning.step(keep=timedelta(days=1), from_id=0, limit=1000)


@story
async def test_i2_only_what_is_settled_may_be_completed_at_once(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", "mail"), planned(2, "hook"), planned(3, "mail"), planned(4))
        assert await due(store) == Acknowledgeable(("4",), NOON + HOLD, 3)
        first, second = await claim(store)
        await record(store, attempted(first, Delivered(), clock()), attempted(second, Rejected("no"), clock()))
        assert await due(store) == Acknowledgeable(("2", "4"), NOON + HOLD, 2)
        await send(store, "mail", outcome=TryLater("450"))
        assert await ids(store) == ("2", "4")
        clock.advance(seconds=30)
        await send(store, "mail")
        assert await due(store) == Acknowledgeable(("1", "2", "3", "4"), None, 0)


@story
async def test_i20_what_a_dead_sink_holds_back_is_completed_after_a_while_since_it_is_on_disk_here(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        clock.advance(minutes=1)
        await add(store, planned(2, "hook"))
        assert await due(store) == Acknowledgeable((), NOON + HOLD, 2)
        clock.now = NOON + HOLD
        assert await due(store) == Acknowledgeable(("1",), NOON + HOLD + timedelta(minutes=1), 1)
        clock.advance(minutes=1)
        assert await due(store) == Acknowledgeable(("1", "2"), None, 0)
        assert await rows(store, "SELECT DISTINCT state FROM deliveries") == ["waiting"]


@story
async def test_i20_without_a_hold_everything_that_is_stored_may_be_completed(make_store: Stores) -> None:
    """How `when-stored` works, and the rule of the 60 %."""
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(5)))
        assert (await due(store)).held == 5
        assert await ids(store, timedelta()) == ("0", "1", "2", "3", "4")


@story
async def test_as_many_are_named_as_were_asked_for_oldest_first(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, *(planned(number) for number in range(5)))
        assert await due(store, limit=2) == Acknowledgeable(("0", "1"), clock(), 0)
        await store.acknowledgements.done(SOURCE, ["0", "1"])
        assert await due(store, limit=2) == Acknowledgeable(("2", "3"), clock(), 0)
        await store.acknowledgements.done(SOURCE, ["2", "3"])
        assert await due(store, limit=2) == Acknowledgeable(("4",), None, 0)


@story
async def test_sources_do_not_mix(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        await store.events.add("other", [planned(1, source="other"), planned(2, source="other")])
        await store.acknowledgements.done("other", ["1"])
        assert await ids(store) == ("1",)
        assert (await store.acknowledgements.due("other", hold=HOLD, limit=9)).external_ids == ("2",)
        assert await store.acknowledgements.gone("other", listed=set(), stored_before=NOON + HOLD) == 1
        assert await ids(store) == ("1",)


@story
async def test_what_is_done_is_on_record_and_due_no_more(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1), planned(2))
        await store.acknowledgements.unclear(SOURCE, ["1"], "no answer")
        await store.acknowledgements.done(SOURCE, ["1", "2", "never heard of"])
        assert await due(store) == Acknowledgeable((), None, 0)
        columns = "external_id, acknowledged_by, acknowledged_at IS NOT NULL, ack_due_at, ack_reason"
        assert await rows(store, f"SELECT {columns} FROM events") == [
            ("1", "us", 1, None, None),
            ("2", "us", 1, None, None),
        ]


@story
async def test_f33_an_id_that_is_refused_is_set_aside_ever_longer_and_hides_no_other(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned("bad"), planned("good"))
        hours = []
        for _ in range(9):
            assert "bad" in await ids(store)
            await store.acknowledgements.refused(SOURCE, "bad", "HTTP 422")
            waiting = await due(store)
            assert waiting.external_ids == ("good",)
            assert waiting.next_due_at is not None
            hours.append((waiting.next_due_at - clock()).total_seconds() / 3600)
            clock.now = waiting.next_due_at
        assert hours == [0.25, 0.5, 1, 2, 4, 8, 16, 24, 24]
        assert await rows(store, "SELECT ack_tries, ack_reason FROM events WHERE external_id = 'bad'") == [
            (9, "HTTP 422")
        ]


@story
async def test_f34_what_the_source_lists_no_more_is_complete_there_by_us_if_we_had_asked(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"), planned(3, "hook"), planned(4))
        await store.acknowledgements.unclear(SOURCE, ["1"], "no answer within 30 s")
        assert await rows(store, "SELECT ack_tries, ack_reason FROM events WHERE id = 1") == [
            (1, "no answer within 30 s")
        ]
        assert await gone(store, 3) == 2
        assert await rows(store, "SELECT external_id, acknowledged_by FROM events") == [
            ("1", "us"),
            ("2", "elsewhere"),
            ("3", None),
            ("4", "elsewhere"),
        ]
        assert len(await claim(store)) == 3, "what is gone upstream is delivered all the same"
        assert await gone(store, 3) == 0


@story
async def test_i19_what_came_back_and_went_before_we_asked_again_was_not_completed_by_somebody_else(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        await store.acknowledgements.done(SOURCE, ["1"])
        await add(store, planned(1))
        assert await gone(store) == 0
        assert await rows(store, "SELECT acknowledged_by FROM events") == ["us"]


@story
async def test_what_was_stored_during_the_sweep_is_not_taken_for_gone(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        began = clock.advance(seconds=1)
        await add(store, planned(1))
        assert await store.acknowledgements.gone(SOURCE, listed=set(), stored_before=began) == 0
        assert await ids(store) == ("1",)


@story
async def test_f35_a_sweep_may_list_any_number(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1), planned(99_999))
        listed = {str(number) for number in range(40_000)}
        assert await store.acknowledgements.gone(SOURCE, listed=listed, stored_before=NOON + HOLD) == 1
        assert await ids(store) == ("1",)


@story
async def test_i19_an_event_that_came_back_before_it_was_delivered_is_held_like_any_other(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        assert await ids(store, timedelta()) == ("1",)
        await store.acknowledgements.done(SOURCE, ["1"])
        clock.advance(minutes=1)
        await add(store, planned(1, "hook"))
        assert await due(store) == Acknowledgeable((), NOON + HOLD, 1)
        clock.now = NOON + HOLD
        assert await due(store) == Acknowledgeable(("1",), None, 0)


@pytest.mark.parametrize("refusals", [0, 1])
@story
async def test_i9_a_pruned_event_that_returned_is_completed_until_it_stays_away(
    make_store: Stores, clock: ManualClock, refusals: int
) -> None:
    async with make_store() as store:
        await add(store, planned(1))
        await store.acknowledgements.done(SOURCE, ["1"])
        await prune(store, clock)
        await add(store, planned(1))
        assert await due(store) == Acknowledgeable(("1",), None, 0)
        for _ in range(refusals):
            await store.acknowledgements.refused(SOURCE, "1", "HTTP 404")
            assert await due(store) == Acknowledgeable((), clock() + timedelta(hours=24), 0)
        assert await gone(store) == 0
        assert await due(store) == Acknowledgeable((), None, 0)


@story
async def test_returned_events_fill_what_the_limit_leaves(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, *(planned(number) for number in range(4)))
        await store.acknowledgements.done(SOURCE, ["0", "1", "2", "3"])
        await prune(store, clock)
        await add(store, *(planned(number) for number in range(6)))
        assert await due(store, limit=3) == Acknowledgeable(("4", "5", "0"), clock(), 0)
        await store.acknowledgements.done(SOURCE, ["4", "5", "0"])
        assert await due(store, limit=9) == Acknowledgeable(("1", "2", "3"), None, 0)


@story
async def test_i12_moments_set_by_a_clock_that_was_far_ahead_hold_no_completion_up(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        clock.advance(days=4000)
        await add(store, planned("held", "hook"), planned("refused"))
        await store.acknowledgements.refused(SOURCE, "refused", "HTTP 422")
        clock.now = NOON
        assert await due(store) == Acknowledgeable(("held", "refused"), None, 0)


@story
async def test_a_clock_that_went_back_a_little_completes_nothing_early(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        clock.advance(seconds=-2)
        assert await due(store) == Acknowledgeable((), NOON + HOLD, 1)
