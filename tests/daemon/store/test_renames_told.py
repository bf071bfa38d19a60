"""Sinks and sources under another name: what the operator was told of them counts as told."""

from datetime import timedelta
from typing import Any

from daemon.contract import Rejected
from tests.ledger import ManualClock, Stores, add, enroll, planned, rows, send, story

TOLD = "SELECT key, active FROM notices ORDER BY key"


@story
async def test_what_the_operator_was_told_of_is_not_told_again_under_the_new_name(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await enroll(store, "old", "older")
        await store.sources.enroll("shop")
        await add(store, planned(1, "old"))
        await send(store, "old", Rejected("HTTP 400"))
        hour, day = timedelta(hours=1), timedelta(days=1)
        dead = await store.notices.dead_letters("alert.dead_letter:old", "old", at_most_every=hour)
        assert dead is not None
        assert dead.rejected == 1
        failing: dict[str, Any] = {"turn": "failing", "since": clock(), "again_after": day}
        assert await store.notices.is_news("alert.sink:old", **failing)
        assert await store.notices.is_news("alert.sink:older", **failing)
        assert await store.notices.is_news("alert.orphaned_sinks:old", again_after=day)
        for kind in ("source", "completion", "unidentified", "returned", "completed_elsewhere"):
            assert await store.notices.is_news(f"alert.{kind}:shop", again_after=day)
        assert await store.renames.carry_out({"new": "old"}, {"store": "shop"})
        clock.advance(minutes=10)
        assert await store.notices.dead_letters("alert.dead_letter:new", "new", at_most_every=hour) is None
        clock.advance(hours=2)
        again = await store.notices.dead_letters("alert.dead_letter:new", "new", at_most_every=hour)
        assert again is not None
        assert again.rejected == 0, "it was told under the old name"
        assert not await store.notices.is_news("alert.sink:new", **failing)
        for kind in ("source", "completion", "unidentified", "returned", "completed_elsewhere"):
            assert not await store.notices.is_news(f"alert.{kind}:store", again_after=day)
        assert await store.notices.is_over("alert.sink:new")
        assert await store.notices.is_over("alert.sink:older"), "another sink's news stay its own"
        assert not await store.notices.is_over("alert.orphaned_sinks:old")


@story
async def test_what_was_told_of_the_new_name_before_it_was_said_to_be_a_renaming_stays_so(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "old", "new")
        for name in ("old", "new"):
            assert await store.notices.is_news(f"alert.dead_letter:{name}", again_after=timedelta(days=1))
        assert await store.notices.is_news("alert.sink:old", turn="stopped", again_after=timedelta(days=1))
        await store.renames.carry_out({"new": "old"}, {})
        assert await rows(store, TOLD) == [
            ("alert.dead_letter:new", 1),
            ("alert.dead_letter:old", 0),
            ("alert.sink:old", 0),
            ("alert.sink:old is stopped", 0),
        ], "the lane is that of the new name, so the trouble of the old one is over"
