"""What happened within a time, as reports tell it."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from daemon.contract import Rejected, TryLater
from daemon.store import Store, Sums
from tests.ledger import NOON, ManualClock, Stores, add, planned, rows, send, story

HOUR = timedelta(hours=1)
SKY = {"resource_id": 5, "resource_title": "Sky"}


async def today(store: Store) -> Sums:
    return await store.figures.between(NOON - timedelta(hours=12), NOON + timedelta(hours=12))


@story
async def test_sales_are_summed_exactly_by_currency_whatever_the_placeholders_are_called(make_store: Stores) -> None:
    async with make_store() as store:
        await add(
            store,
            planned(1, "hook", data=SKY | {"final_price": "0.10", "currency": "EUR"}),
            planned(2, "hook", data=SKY | {"final_price": 0.2, "currency": "EUR"}),
            planned(3, data={"product_title": "Forge", "price": {"value": "12.99", "currency": "USD"}}),
            planned(4, kind="Resource Purchase", data={"purchasePrice": "7"}),
            planned(5, kind="review", data=SKY | {"final_price": "100"}),
        )
        sums = await today(store)
        assert sums.sold == 4
        assert sums.gross == {"": Decimal(7), "EUR": Decimal("0.3"), "USD": Decimal("12.99")}
        assert sums.best == ("Sky", 2)


@story
async def test_the_average_is_of_reviews_that_gave_stars(make_store: Stores) -> None:
    async with make_store() as store:
        for number, rating in enumerate((5, "4", None, "3.5", 99)):
            await add(store, planned(number, kind="review", data={"rating": rating}))
        await add(store, planned("sold", data={"stars": 1}))
        sums = await today(store)
        assert (sums.reviews, sums.sold) == (5, 1)
        assert sums.stars is not None
        assert round(sums.stars, 4) == Decimal("4.1667")
        assert (await store.browse.status())["events"]["stored"] == 6


@story
async def test_a_resource_that_was_renamed_is_still_the_same_and_goes_by_its_last_title(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, *(planned(f"a{n}", data={"resource_id": 5, "resource_title": "Zenith"}) for n in range(2)))
        await add(store, *(planned(f"b{n}", data={"resource_id": 6, "resource_title": "Forge"}) for n in range(3)))
        clock.advance(hours=2)
        await add(store, *(planned(f"c{n}", data={"resource_id": 5, "resource_title": "Apex"}) for n in range(2)))
        assert (await today(store)).best == ("Apex", 4)


@story
async def test_sums_of_earlier_releases_which_knew_no_titles_count_too(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, data={"resource_id": 5}), planned(2, data=SKY), planned(3, data={"x": 1}))
        assert (await today(store)).best == ("Sky", 2)


@story
async def test_the_slowest_delivery_is_remembered_with_its_sink(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", "mail"), planned(2, "hook"))
        clock.advance(seconds=2)
        await send(store, "hook")
        clock.advance(minutes=10)
        await add(store, planned(3, "hook"))
        await send(store, "mail")
        clock.advance(seconds=1)
        await send(store, "hook")
        assert (await today(store)).slowest == (timedelta(minutes=10, seconds=2), "mail")


@pytest.mark.parametrize(("gathered", "counts"), [("digest", False), ("quiet", False), ("late", True), ("burst", True)])
def test_what_was_held_back_as_the_config_asks_was_not_slow(
    make_store: Stores, clock: ManualClock, gathered: str, counts: bool
) -> None:
    @story
    async def run() -> None:
        async with make_store() as store:
            await add(store, planned(1, "hook"))
            await store.database.write(
                lambda connection, _: connection.exec_driver_sql(f"UPDATE deliveries SET gathered = '{gathered}'")
            )
            clock.advance(hours=3)
            await send(store, "hook")
            assert (await today(store)).slowest == ((3 * HOUR, "hook") if counts else None)

    run()


@story
async def test_dead_letters_are_counted_and_nothing_of_our_own_is(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"), planned(3, "mail"))
        await send(store, "hook", Rejected("no"))
        await send(store, "mail", TryLater("busy"))
        await store.pruning.give_up_waiting("mail", after=-HOUR, limit=10)
        await store.events.add_own("alert.x", "1", {"text": "oh", "final_price": 5}, ["hook"])
        await send(store, "hook", Rejected("no"))
        sums = await today(store)
        assert (sums.rejected, sums.gave_up, sums.sold, sums.slowest) == (2, 1, 3, None)


@story
async def test_what_an_operator_tries_out_is_counted_nowhere(make_store: Stores) -> None:
    async with make_store() as store:
        await store.events.add_own("test.purchase", "1", SKY | {"final_price": "9.99"}, ["hook"])
        await send(store, "hook")
        assert await rows(store, "SELECT * FROM counters") == []


@story
async def test_an_hour_belongs_to_the_time_in_which_it_begins_and_to_no_other(
    make_store: Stores, clock: ManualClock
) -> None:
    """Half-hour zones: midnight in Kolkata is 18:30 UTC, within an hour that is one sum."""
    half_past = datetime.fromisoformat("2026-03-04T18:30:00+00:00")
    async with make_store() as store:
        for number, minutes in enumerate((0, 29, 31, 61)):
            clock.now = half_past + timedelta(minutes=minutes - 30)
            await add(store, planned(number))
        day = timedelta(days=1)
        before = await store.figures.between(half_past - day, half_past)
        after = await store.figures.between(half_past, half_past + day)
        assert (before.sold, after.sold) == (3, 1)


@story
async def test_nothing_at_all_is_a_figure_too(make_store: Stores) -> None:
    async with make_store() as store:
        assert await today(store) == Sums(0, {}, None, 0, None, 0, 0, None)


@story
async def test_figures_outlive_the_events(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook", data=SKY | {"final_price": "9.99", "rating": "4"}, kind="purchase review"))
        await send(store, "hook")
        await store.acknowledgements.done("builtbybit", ["1"])
        before = await today(store)
        clock.advance(hours=1)
        await store.pruning.step(keep=timedelta(), from_id=0, limit=10)
        assert await rows(store, "SELECT id FROM events") == []
        assert await today(store) == before
        assert before.gross == {"": Decimal("9.99")}
