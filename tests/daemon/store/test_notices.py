"""What the operator has been told."""

from datetime import timedelta

from tests.ledger import ManualClock, Stores, rows, story

DAY = timedelta(days=1)


@story
async def test_a_matter_is_news_once_and_again_when_it_goes_on_for_long(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        told = []
        for _ in range(49):
            told.append(await store.notices.is_news("sink down", again_after=DAY))
            clock.advance(hours=1)
        assert [hour for hour, news in enumerate(told) if news] == [0, 24, 48]
        assert await rows(store, "SELECT times, active FROM notices") == [(3, 1)]


@story
async def test_some_matters_are_news_only_once_until_they_are_over(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        assert await store.notices.is_news("unrouted", again_after=None)
        clock.advance(days=1000)
        assert not await store.notices.is_news("unrouted", again_after=None)
        assert await store.notices.is_over("unrouted")
        assert await store.notices.is_news("unrouted", again_after=None)


@story
async def test_the_end_is_news_only_of_what_was_told(make_store: Stores) -> None:
    async with make_store() as store:
        assert not await store.notices.is_over("sink down")
        assert await store.notices.is_news("sink down", again_after=DAY)
        assert await store.notices.is_over("sink down")
        assert not await store.notices.is_over("sink down")


@story
async def test_what_was_told_is_remembered_over_a_restart(make_store: Stores) -> None:
    async with make_store() as store:
        assert await store.notices.is_news("sink down", again_after=DAY)
        assert await store.notices.is_news("another", again_after=DAY)
    async with make_store() as store:
        assert not await store.notices.is_news("sink down", again_after=DAY)
        assert await store.notices.is_over("sink down")


@story
async def test_i16_a_matter_whose_name_no_database_can_hold_is_told_once_all_the_same(make_store: Stores) -> None:
    async with make_store() as store:
        assert await store.notices.is_news("unrouted:\ud800\0", again_after=None)
        assert not await store.notices.is_news("unrouted:\ud800\0", again_after=None)
        assert await store.notices.is_over("unrouted:\ud800\0")
