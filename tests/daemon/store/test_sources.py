"""What is known about each source between restarts."""

from daemon.store import SourceMemory
from tests.ledger import ManualClock, Stores, add, rows, story

WELL = {"read": {"health": "ok"}, "write": {"health": "refused", "reason": "ü"}}


@story
async def test_a_source_is_new_until_its_first_whole_sweep(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        assert await store.sources.enroll("shop") == SourceMemory({}, first=True)
        await store.sources.save("shop", WELL, swept=False)
    async with make_store() as store:
        assert await store.sources.enroll("shop") == SourceMemory(WELL, first=True)
        await store.sources.save("shop", WELL, swept=True)
        clock.advance(hours=1)
        await store.sources.save("shop", {}, swept=True)
        await store.sources.save("shop", {}, swept=False)
    async with make_store() as store:
        assert await store.sources.enroll("shop") == SourceMemory({}, first=False)
        moments = "SELECT first_sweep_at, last_sweep_at FROM sources"
        assert await rows(store, moments) == [("2026-03-04 12:00:00.000000", "2026-03-04 13:00:00.000000")]


@story
async def test_a_cursor_is_kept_for_each_source(make_store: Stores) -> None:
    async with make_store() as store:
        await store.sources.enroll("builtbybit")
        await store.sources.enroll("other")
        assert await store.sources.cursor("builtbybit") is None
        await add(store, cursor="")
        await store.events.add("other", [], cursor="17")
    async with make_store() as store:
        assert await store.sources.cursor("builtbybit") == ""
        assert await store.sources.cursor("other") == "17"
        assert await store.sources.cursor("unknown") is None


@story
async def test_a_pause_survives_a_restart(make_store: Stores) -> None:
    async with make_store() as store:
        assert not await store.sources.paused()
        await store.sources.set_paused(True)
        await store.sources.set_paused(True)
    async with make_store() as store:
        assert await store.sources.paused()
        assert (await store.browse.status())["paused"]
        await store.sources.set_paused(False)
        assert not await store.sources.paused()


@story
async def test_saving_a_source_that_was_never_enrolled_makes_none(make_store: Stores) -> None:
    async with make_store() as store:
        await store.sources.save("typo", WELL, swept=True)
        assert await rows(store, "SELECT count(*) FROM sources") == [0]
