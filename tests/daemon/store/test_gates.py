"""The gates of all upstream hosts, which outlive the process."""

from datetime import timedelta

import pytest

from daemon.contract import SourceThrottled
from daemon.http import LONGEST_RETRY_AFTER
from daemon.store import Store
from tests.ledger import NOON, ManualClock, Stores, rows, story

HOST = "api.example"
MINUTE = timedelta(minutes=1)


def is_open(store: Store, access: str = "read", host: str = HOST) -> bool:
    try:
        store.gates.require_open(host, access)  # type: ignore[arg-type]
    except SourceThrottled:
        return False
    return True


@story
async def test_i11_a_shut_gate_lets_nothing_out_before_its_time(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        assert is_open(store)
        raised = await store.gates.shut(HOST, "read", MINUTE)
        assert (str(raised), raised.access, raised.until) == (
            "rate limit for reads until 2026-03-04 12:01:00 UTC",
            "read",
            NOON + MINUTE,
        )
        clock.advance(seconds=59.999)
        with pytest.raises(SourceThrottled) as caught:
            store.gates.require_open(HOST, "read")
        assert caught.value.until == NOON + MINUTE
        clock.advance(seconds=0.001)
        assert is_open(store)


@story
async def test_f29_reads_writes_and_hosts_have_gates_of_their_own(make_store: Stores) -> None:
    async with make_store() as store:
        await store.gates.shut(HOST, "read", MINUTE)
        assert [is_open(store), is_open(store, "write"), is_open(store, host="other")] == [False, True, True]


@story
async def test_i11_gates_survive_a_restart(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await store.gates.shut(HOST, "write", MINUTE)
        await store.gates.shut(HOST, "write", 2 * MINUTE)
    clock.advance(seconds=90)
    async with make_store() as store:
        await store.gates.load()
        assert [is_open(store, "write"), is_open(store)] == [False, True]
        clock.advance(seconds=30)
        assert is_open(store, "write")
        assert await rows(store, "SELECT strikes FROM gates") == [2]


@story
async def test_i12_a_gate_from_a_clock_that_was_wrong_is_shut_for_a_day_at_most(
    make_store: Stores, clock: ManualClock
) -> None:
    clock.advance(days=4000)
    async with make_store() as store:
        await store.gates.shut(HOST, "read", MINUTE)
    clock.now = NOON
    async with make_store() as store:
        await store.gates.load()
        clock.now = NOON + LONGEST_RETRY_AFTER - MINUTE
        assert not is_open(store)
        clock.advance(minutes=1)
        assert is_open(store)


@story
async def test_without_a_wish_the_wait_grows_until_a_request_passes(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        waits = []
        for _ in range(4):
            trouble = await store.gates.shut(HOST, "read", None)
            waits.append((trouble.until - clock()).total_seconds())
            clock.now = trouble.until
        assert [round(wait / first) for wait, first in zip(waits, (1, 2, 4, 8), strict=True)] == [1, 1, 1, 1]
        await store.gates.passed(HOST, "read")
        assert await rows(store, "SELECT count(*) FROM gates") == [0]
        assert (await store.gates.shut(HOST, "read", None)).until - clock() <= timedelta(seconds=1.1)


@story
async def test_i11_a_request_that_was_under_way_does_not_open_the_gate_that_another_shut(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await store.gates.shut(HOST, "read", MINUTE)
        await store.gates.passed(HOST, "read")
        assert not is_open(store)
        clock.advance(minutes=1)
        await store.gates.passed(HOST, "read")
        assert is_open(store)
        await store.gates.passed(HOST, "read")


@pytest.mark.parametrize("step", [timedelta(hours=7), timedelta(days=-2)])
@story
async def test_i12_a_step_of_the_wall_clock_opens_no_gate_early_nor_after_a_restart(
    make_store: Stores, clock: ManualClock, step: timedelta
) -> None:
    async with make_store() as store:
        await store.gates.shut(HOST, "read", 2 * MINUTE)
        clock.now += step
        await store.shift(step)
        clock.advance(seconds=119)
        assert not is_open(store)
    async with make_store() as store:
        await store.gates.load()
        assert not is_open(store)
        clock.advance(seconds=1)
        assert is_open(store)
