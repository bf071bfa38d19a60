"""Tests that an operator sends: what is told of one afterwards."""

from dataclasses import replace
from datetime import timedelta

from daemon.contract import Delivered
from tests.ledger import LEASE, Stores, attempted, enroll, record, story


@story
async def test_one_that_took_no_time_is_told_with_0_milliseconds(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store)
        await store.events.add_own("test.purchase", "t1", {}, [])
        (one,) = (await store.trials.claim("t1", "hook", lease=LEASE)).claims
        at_once = replace(attempted(one, Delivered("200"), store.database.clock()), duration=timedelta())
        await record(store, at_once)
        assert await store.trials.conclude(one.row_id) == {
            "outcome": "delivered", "reason": "200", "answer": "", "milliseconds": 0,
        }  # fmt: skip
