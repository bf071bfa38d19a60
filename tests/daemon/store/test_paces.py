"""How much of each shared limit is used up, which outlives the process."""

import random
from datetime import timedelta

import pytest

from daemon.contract import Pace
from daemon.http import LONGEST_RETRY_AFTER
from daemon.store import Store
from daemon.store.paces import Spent
from tests.ledger import NOON, ManualClock, Stores, rows, story

ALL = Pace("discord")
URL = Pace("discord/one", 30, timedelta(minutes=1))
BOTH = (ALL, URL)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("idle", [0.0, 0.1])
@pytest.mark.parametrize("messages", [1, 2, 3, 7, 30, 1000])
def test_no_span_of_its_length_holds_more_than_the_rate_however_one_asks(messages: int, idle: float) -> None:
    pace = Pace("x", messages, timedelta(minutes=1))
    chance, spent, now, sent = random.Random(messages), Spent(), NOON, [NOON - timedelta(days=1)]
    for _ in range(messages * 5):
        if chance.random() < idle:
            now += timedelta(seconds=chance.expovariate(0.1))
        now = max(now, spent.free_at(pace))
        spent = spent.after(pace, 1, now)
        sent.append(now)
    assert all(sent[number + messages] - sent[number] >= pace.per for number in range(len(sent) - messages))
    assert idle or sent[-1] - sent[1] < pace.per * 6.5, "it is used, too"


@story
async def test_a_few_messages_go_at_once_and_the_rest_evenly(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        waits = []
        for _ in range(8):
            waits.append(max(store.paces.free_at(BOTH) - clock(), timedelta()).total_seconds())
            clock.advance(seconds=waits[-1])
            await store.paces.spend(BOTH)
        assert waits == pytest.approx([0, 0, 0, 0, 0, 60 / 26, 60 / 26, 60 / 26], abs=1e-5)


async def open_in(store: Store, *paces: Pace) -> float:
    return (store.paces.free_at(paces) - store.database.clock()).total_seconds()


@story
async def test_i11_a_hold_lasts_as_long_as_asked_for_and_survives_a_restart(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await store.paces.hold({"discord/one": timedelta(seconds=90)})
        await store.paces.hold({"discord/one": SECOND})
        for _ in range(5):
            await store.paces.spend(BOTH)
        assert await open_in(store, *BOTH) == 90
        assert await open_in(store, ALL) <= 0
    clock.advance(seconds=30)
    async with make_store() as store:
        await store.paces.load()
        assert await open_in(store, *BOTH) == 60
        assert await open_in(store, Pace("discord/two", 1), ALL) <= 0


@story
async def test_i11_what_was_spent_is_spent_after_a_restart(make_store: Stores) -> None:
    async with make_store() as store:
        for _ in range(5):
            await store.paces.spend(BOTH)
        before = await open_in(store, *BOTH)
    async with make_store() as store:
        await store.paces.load()
        assert await open_in(store, *BOTH) == before > 2
        assert await rows(store, "SELECT name FROM paces") == ["discord/one"], "what has no rate costs no writing"


@story
async def test_i12_when_the_clock_is_set_a_hold_lasts_as_long_as_before(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await store.paces.hold({"discord": 60 * SECOND})
        step = timedelta(hours=-3)
        clock.advance(seconds=step.total_seconds())
        await store.shift(step)
        assert await open_in(store, ALL) == 60
    async with make_store() as store:
        await store.paces.load()
        assert await open_in(store, ALL) == 60


@story
async def test_a_hold_of_a_wrong_clock_is_no_longer_than_we_ever_obey(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await store.paces.hold({"discord": 60 * SECOND})
        await store.paces.spend(BOTH)
    clock.advance(days=-3000)
    async with make_store() as store:
        await store.paces.load()
        assert await open_in(store, *BOTH) == LONGEST_RETRY_AFTER.total_seconds()


@story
async def test_while_a_message_is_under_way_nothing_is_regained(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        for _ in range(5):
            await store.paces.spend(BOTH)
        before = await open_in(store, *BOTH)
        clock.advance(seconds=40)
        store.paces.lengthen(BOTH, timedelta(seconds=40))
        assert await open_in(store, *BOTH) == before
