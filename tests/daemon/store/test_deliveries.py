"""What goes out: claims, leases, deaths."""

import functools
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from daemon.contract import Delivered, TryLater
from daemon.gathering import Gathering
from daemon.lane import Lane
from daemon.store import Store
from daemon.store.claims import DEATHS_TO_QUARANTINE, MOST_CHARACTERS
from daemon.timing import parse_digest
from tests.ledger import (
    LEASE,
    NOON,
    ManualClock,
    Stores,
    add,
    attempted,
    claim,
    enroll,
    planned,
    record,
    rows,
    send,
    story,
)


async def probe(store: Store, last_probed: int | None = None) -> int | None:
    claimed = await store.deliveries.claim_probe("hook", last_probed=last_probed, lease=LEASE)
    return claimed.claims[0].row_id if claimed.claims else None


# Claims


@story
async def test_what_is_due_is_claimed_oldest_first_and_only_for_its_sink(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook", "mail"))
        clock.advance(seconds=1)
        await add(store, planned(3, "hook"))
        assert [one.delivery.event.external_id for one in await claim(store, limit=2)] == ["1", "2"]
        assert [one.delivery.event.external_id for one in await claim(store, limit=2)] == ["3"]
        assert [one.delivery.event.external_id for one in await claim(store, "mail")] == ["2"]
        assert await claim(store, "nobody") == ()


@story
async def test_i15_no_claim_holds_more_than_memory_should_but_one_event_always_fits(
    make_store: Stores, clock: ManualClock
) -> None:
    sizes = {"1": 0.4, "2": 0.4, "3": 0.4, "4": 3, "5": 0.1}
    noon = Gathering(parse_digest("12:00"), None, None, ZoneInfo("UTC"))
    for sink, gathering in {"hook": None, "post": replace(noon, digest=None), "digest": noon}.items():
        async with make_store() as store:
            for name, size in sizes.items():
                await add(store, planned(f"{sink}{name}", sink, data={"text": "x" * int(MOST_CHARACTERS * size)}))
            claim_next = functools.partial(store.deliveries.claim, sink, limit=100, lease=LEASE, gathering=gathering)
            if sink == "digest":
                await claim_next()
                clock.advance(days=1)
            handed_out = []
            while (claimed := await claim_next()).claims:
                assert claimed.next_due_at == clock() + (LEASE if len(handed_out) == 3 else timedelta())
                assert (claimed.cause == "digest") == (sink == "digest")
                handed_out.append([one.delivery.event.external_id.removeprefix(sink) for one in claimed.claims])
            assert handed_out == [["1", "2"], ["3"], ["4"], ["5"]]


@story
async def test_i6_a_delivery_has_one_id_through_every_attempt_and_restart(
    make_store: Stores, clock: ManualClock
) -> None:
    ids, attempts = set(), []
    async with make_store() as store:
        await add(store, planned("x.1", "hook"))
    for _ in range(4):
        async with make_store() as store:
            (one,) = await send(store, outcome=TryLater("HTTP 500"))
            ids.add(one.delivery.id)
            attempts.append(one.delivery.attempt)
            clock.advance(days=1)
    assert len(ids) == 1
    assert attempts == [1, 2, 3, 4]
    assert "." not in ids.pop()


@story
async def test_i7_the_attempt_is_on_disk_before_it_is_made(make_store: Stores, database: Path) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
        with closing(sqlite3.connect(database)) as other:
            row = other.execute("SELECT attempt, claimed_at, tried_at, due_at, state FROM deliveries").fetchone()
        until = (NOON + LEASE).strftime("%F %T.%f")
        assert row == (1, NOON.strftime("%F %T.%f"), NOON.strftime("%F %T.%f"), until, "waiting")


@story
async def test_a_claimed_delivery_is_not_claimed_again_before_its_lease_ends(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
        clock.advance(seconds=LEASE.total_seconds() - 0.001)
        again = await store.deliveries.claim("hook", limit=1, lease=LEASE)
        assert (again.claims, again.next_due_at) == ((), NOON + LEASE)
        assert await probe(store) is None


@story
async def test_a_claim_with_no_verdict_falls_due_again_by_itself(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        (first,) = await claim(store)
        clock.advance(minutes=2)
        (second,) = await claim(store)
        assert second.row_id == first.row_id
        assert (second.delivery.attempt, second.failures) == (2, 1)
        assert await rows(store, "SELECT attempt, outcome, milliseconds FROM attempts") == [(1, "cut_off", None)]
        assert await rows(store, "SELECT failures, deaths FROM deliveries") == [(1, 1)]


@story
async def test_an_attempt_that_gets_lost_again_and_again_is_quarantined_and_never_forgotten(
    make_store: Stores, clock: ManualClock
) -> None:
    """In one process, without a death: as if recording its verdict failed each time."""
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        for _ in range(DEATHS_TO_QUARANTINE):
            assert len(await claim(store)) == 1
            clock.advance(minutes=2)
        last = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert (last.claims, last.quarantined, last.next_due_at) == ((), 1, None)


@story
async def test_a_late_verdict_changes_nothing(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        (late,) = await claim(store)
        clock.advance(minutes=2)
        (current,) = await claim(store)
        before = await rows(store, "SELECT * FROM deliveries"), await rows(store, "SELECT * FROM attempts")
        assert await record(store, attempted(late, Delivered("200"), clock())) == 0
        assert (await rows(store, "SELECT * FROM deliveries"), await rows(store, "SELECT * FROM attempts")) == before
        assert await record(store, attempted(current, Delivered("200"), clock())) == 1
        assert await record(store, attempted(current, TryLater("500"), clock())) == 0
        assert await rows(store, "SELECT state, attempt FROM deliveries") == [("delivered", 2)]


@story
async def test_a_verdict_after_the_lease_counts_as_long_as_nobody_claimed_it_again(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        (slow,) = await claim(store)
        clock.advance(hours=1)
        assert await record(store, attempted(slow, Delivered("200"), clock())) == 1


@story
async def test_what_was_claimed_and_not_sent_can_be_given_back(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        first, second = await claim(store)
        await record(store, attempted(second, Delivered(), clock()))
        await store.deliveries.unclaim("hook", [first, second])
        assert await rows(store, "SELECT state, due_at IS NULL, claimed_at FROM deliveries ORDER BY id") == [
            ("waiting", 0, None),
            ("delivered", 1, None),
        ]
        (again,) = await claim(store)
        assert (again.row_id, again.failures) == (first.row_id, 0)
        assert await rows(store, "SELECT count(*) FROM attempts WHERE outcome = 'cut_off'") == [0]


@story
async def test_when_nothing_is_due_the_next_moment_is_told(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        empty = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert (empty.claims, empty.next_due_at) == ((), None)
        await add(store, planned(1, "hook"))
        await send(store, outcome=TryLater("HTTP 500"))
        idle = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert (idle.claims, idle.next_due_at) == ((), NOON + timedelta(seconds=5))


@story
async def test_deliveries_of_a_sink_that_is_no_longer_configured_wait_and_are_counted(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "gone"), planned(2, "gone"))
    async with make_store() as store:
        await enroll(store, "hook")
        status = await store.browse.status()
        assert [(sink["name"], sink["lane"], sink["waiting"]) for sink in status["sinks"] if sink["waiting"]] == [
            ("gone", None, 2)
        ]


# Probes


@story
async def test_a_probe_is_the_delivery_longest_untried_and_never_the_same_twice_running(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(3)))
        tried, last = [], None
        for _ in range(7):
            clock.advance(minutes=1)
            last = await probe(store, last)
            assert last is not None
            tried.append(last)
            clock.advance(minutes=2)
        assert tried == [1, 2, 3, 1, 2, 3, 1]


@story
async def test_a_probe_does_not_wait_for_what_is_not_yet_due(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        await send(store, outcome=TryLater("HTTP 500"))
        assert await claim(store) == ()
        assert await probe(store, last_probed=2) == 1


@story
async def test_the_only_delivery_that_waits_is_no_probe_twice_running(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        assert await probe(store, last_probed=1) is None


# Verdicts beside the lane


@story
async def test_verdicts_and_the_lane_are_stored_together(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await add(store, planned(1, "hook"))
        (one,) = await claim(store)
        lane = Lane(since=NOON, health="slowed", reason="HTTP 429", held_until=NOON + timedelta(minutes=5))
        await record(store, attempted(one, TryLater("HTTP 429", throttled=True), clock()), lane=lane)
    async with make_store() as store:
        assert (await enroll(store, "hook"))["hook"] == lane


@story
async def test_when_the_sink_works_again_what_waits_after_failures_falls_due_now(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, *(planned(number, "hook", "mail") for number in range(4)))
        await send(store, outcome=TryLater("HTTP 500"))
        await send(store, "mail", outcome=TryLater("421"))
        clock.advance(seconds=1)
        number = await probe(store)
        clock.advance(seconds=1)
        first = (await store.deliveries.claim_probe("hook", last_probed=number, lease=LEASE)).claims[0]
        await record(store, attempted(first, Delivered(), clock()), release=True)
        assert len(await claim(store)) == 2, "one is delivered, one is still under way"
        assert await claim(store, "mail") == ()
