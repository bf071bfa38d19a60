"""What is sent after a death of the process, a wrong clock, or damage on the disk."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from daemon.contract import Delivered, TryLater
from daemon.store import Selection, Store
from daemon.store.claims import DEATHS_TO_QUARANTINE
from daemon.store.deliveries import Suspect
from tests.ledger import LEASE, NOON, ManualClock, Stores, add, attempted, claim, planned, record, rows, send, story


async def probe(store: Store, last_probed: int | None = None) -> int | None:
    claimed = await store.deliveries.claim_probe("hook", last_probed=last_probed, lease=LEASE)
    return claimed.claims[0].row_id if claimed.claims else None


@story
async def test_i5_after_a_restart_what_was_under_way_is_due_at_once_and_nothing_else(
    make_store: Stores, clock: ManualClock
) -> None:
    """I13: that is all there is to recover."""
    async with make_store() as store:
        await add(store, *(planned(number, "hook") for number in range(3)))
        first, second, _ = await claim(store)
        await record(store, attempted(first, Delivered(), clock()), attempted(second, TryLater("500"), clock()))
    async with make_store() as store:
        assert await store.deliveries.void_claims() == [Suspect(3, "hook", deaths=1, event_deaths=1)]
        assert await claim(store) == ()
        again = await store.deliveries.claim_suspect("hook", 3, lease=LEASE)
        assert [(one.delivery.attempt, one.failures) for one in again.claims] == [(2, 1)]
        assert await rows(store, "SELECT delivery_id, attempt, outcome FROM attempts ORDER BY id") == [
            (1, 1, "delivered"),
            (2, 1, "try_later"),
            (3, 1, "cut_off"),
        ]


@story
async def test_i8_an_event_that_three_processes_died_over_is_quarantined_and_the_rest_flows(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned("poison", "hook"))
        await claim(store)
    for death in range(2, DEATHS_TO_QUARANTINE + 1):
        async with make_store() as store:
            assert await store.deliveries.void_claims() == [Suspect(1, "hook", death - 1, death - 1)]
            assert await claim(store) == (), "it goes alone"
            assert await probe(store) is None
            (one,) = (await store.deliveries.claim_suspect("hook", 1, lease=LEASE)).claims
            assert one.delivery.attempt == death
    async with make_store() as store:
        await add(store, planned("good", "hook"))
        assert await store.deliveries.void_claims() == [Suspect(1, "hook", deaths=3, event_deaths=3)]
        last = await store.deliveries.claim_suspect("hook", 1, lease=LEASE)
        assert (last.claims, last.quarantined) == ((), 1)
        assert [one.delivery.event.external_id for one in await send(store)] == ["good"]
        assert await rows(store, "SELECT state, deaths, reason, settled_at IS NULL, due_at FROM deliveries") == [
            ("gave_up", 3, "the daemon died 3 times while sending it; not sent", 0, None),
            ("delivered", 0, "200", 0, None),
        ]
        assert await rows(store, "SELECT outcome FROM attempts WHERE delivery_id = 1") == ["cut_off"] * 3
        assert await rows(store, "SELECT count FROM counters WHERE outcome = 'gave_up' AND sink = 'hook'") == [1]


@story
async def test_a_suspect_that_was_not_tried_is_one_after_the_next_start_too(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
    for _ in range(5):
        async with make_store() as store:
            assert await store.deliveries.void_claims() == [Suspect(1, "hook", deaths=1, event_deaths=1)]


@story
async def test_a_suspect_whose_attempt_gets_lost_in_the_same_process_falls_due_again(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
    async with make_store() as store:
        await store.deliveries.void_claims()
        await store.deliveries.claim_suspect("hook", 1, lease=LEASE)
        idle = await store.deliveries.claim("hook", limit=1, lease=LEASE)
        assert (idle.claims, idle.next_due_at) == ((), clock() + LEASE)
        clock.advance(minutes=2)
        assert len(await claim(store)) == 1


@story
async def test_a_suspect_that_was_settled_meanwhile_is_not_sent(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
    async with make_store() as store:
        await store.deliveries.void_claims()
        clock.advance(days=40)
        assert await store.pruning.give_up_waiting("hook", after=timedelta(days=30), limit=9) == 1
        gone = await store.deliveries.claim_suspect("hook", 1, lease=LEASE)
        assert (gone.claims, gone.quarantined) == ((), 0)


@story
async def test_a_verdict_clears_a_suspect(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
    async with make_store() as store:
        await store.deliveries.void_claims()
        (one,) = (await store.deliveries.claim_suspect("hook", 1, lease=LEASE)).claims
        await record(store, attempted(one, TryLater("HTTP 500"), clock()))
        assert await store.deliveries.void_claims() == []
        clock.advance(days=1)
        assert len(await claim(store)) == 1


@story
async def test_i12_waits_begun_by_a_clock_that_was_wrong_begin_anew_at_a_restart(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await add(store, planned("right", "hook"))
        await send(store, outcome=TryLater("503", timedelta(hours=20)))
        clock.advance(days=4000)
        await add(store, planned("tried", "mail"), planned("untried", "file"))
        await send(store, "mail", outcome=TryLater("503", timedelta(hours=3)))
    clock.now = NOON + timedelta(hours=1)
    async with make_store() as store:
        await store.deliveries.void_claims()
        moments = {}
        for sink in ("hook", "mail", "file"):
            claimed = await store.deliveries.claim(sink, limit=9, lease=LEASE)
            moments[sink] = "now" if claimed.claims else claimed.next_due_at
        assert moments == {"hook": NOON + timedelta(hours=20), "mail": NOON + timedelta(hours=4), "file": "now"}


@pytest.mark.parametrize("step", [timedelta(hours=5), timedelta(days=-3)])
@story
async def test_i12_after_a_step_of_the_wall_clock_what_waits_goes_on_for_as_long_as_before(
    make_store: Stores, clock: ManualClock, step: timedelta
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "mail"))
        await send(store, outcome=TryLater("503", timedelta(hours=2)))
        await claim(store, "mail")
        clock.now += step
        await store.shift(step)
        waits = [await store.deliveries.claim(sink, limit=9, lease=LEASE) for sink in ("hook", "mail")]
        assert [wait.claims for wait in waits] == [(), ()]
        assert [wait.next_due_at for wait in waits] == [clock() + timedelta(hours=2), clock() + LEASE]
    async with make_store() as store:
        await store.deliveries.void_claims()
        wait = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert wait.next_due_at == clock() + timedelta(hours=2)


# Damage


@pytest.mark.parametrize(
    "damage",
    [
        "data = replace(data, '9.99', '0.99')",
        "data = CAST(substr(CAST(data AS BLOB), 1, 9) || x'ff' || substr(CAST(data AS BLOB), 11) AS TEXT)",
        "data = CAST(data AS BLOB)",
        "data = 5",
        "data = ''",
        "kind = 'refund'",
        "channel = NULL",
        "raw = 'more'",
        "digest = zeroblob(32)",
    ],
)
@story
async def test_f14_a_damaged_event_is_quarantined_and_the_others_flow(make_store: Stores, damage: str) -> None:
    """M5: SQLite's own check does not notice a bit that flips in a text."""
    async with make_store() as store:
        await add(store, planned(1, "hook", "mail"), planned(2, "hook", "mail"), planned(3, "hook", "mail"))
        sql = f"UPDATE events SET {damage} WHERE external_id = '2'"
        await store.database.write(lambda connection, _: connection.exec_driver_sql(sql))
        claimed = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert [one.delivery.event.external_id for one in claimed.claims] == ["1", "3"]
        assert claimed.quarantined == 1
        state = "SELECT state, reason FROM deliveries WHERE event_id = 2 ORDER BY sink"
        assert await rows(store, state) == [
            ("gave_up", "its stored content is damaged; not sent"),
            ("waiting", None),
        ]
        probed = await store.deliveries.claim_probe("mail", last_probed=2, lease=LEASE)
        assert (probed.claims, probed.quarantined) == ((), 1)
        assert len(await store.browse.show("builtbybit:2")) == 1


@pytest.mark.parametrize("damage", ["attempt = 'x'", "failures = x'00ff'", "replays = 'x'"])
@story
async def test_f14_a_number_that_is_none_stops_no_lane(make_store: Stores, damage: str) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        sql = f"UPDATE deliveries SET {damage} WHERE event_id = 1"
        await store.database.write(lambda connection, _: connection.exec_driver_sql(sql))
        claimed = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert [one.delivery.attempt for one in claimed.claims] == [1, 1]
        assert [one.failures for one in claimed.claims] == [0, 0]


@story
async def test_f14_a_count_of_deaths_that_is_none_can_be_ranked_beside_others(make_store: Stores) -> None:
    """Where it could not, every lane stood still."""
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        sql = "UPDATE deliveries SET deaths = 'x'"
        await store.database.write(lambda connection, _: connection.exec_driver_sql(sql))
        assert await store.deliveries.void_claims() == [Suspect(1, "hook", deaths=0, event_deaths=0)]


@story
async def test_f14_an_id_that_is_no_text_is_quarantined(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"), planned(2, "hook"))
        sql = "UPDATE events SET external_id = x'ff' WHERE id = 1"
        await store.database.write(lambda connection, _: connection.exec_driver_sql(sql))
        claimed = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert [one.delivery.event.external_id for one in claimed.claims] == ["2"]
        assert claimed.quarantined == 1


@story
async def test_f14_a_delivery_whose_event_is_gone_does_not_keep_its_lane_awake(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        with closing(sqlite3.connect(store.database.path)) as outside:
            outside.execute("UPDATE deliveries SET event_id = 99")
            outside.commit()
        claimed = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert (claimed.claims, claimed.quarantined) == ((), 1)
        assert await rows(store, "SELECT state, reason FROM deliveries") == [
            ("gave_up", "its event is missing; not sent")
        ]
        again = await store.deliveries.claim("hook", limit=9, lease=LEASE)
        assert (again.next_due_at, again.quarantined) == (None, 0)


@story
async def test_a_test_that_the_process_died_over_is_discarded_unless_a_person_asked_for_it_again(
    make_store: Stores,
) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        await claim(store)
        for name in ("cut off", "unconcluded", "replayed"):
            await store.events.add_own("test.purchase", f"test-{name}", {}, [])
            (one,) = (await store.trials.claim(f"test-{name}", "hook", lease=LEASE)).claims
            if name == "replayed":
                await store.trials.conclude(one.row_id)
            elif name == "unconcluded":
                await record(store, attempted(one, TryLater("500"), store.database.clock()))
        await store.replays.replay(Selection(keys=["test-replayed"]))
    async with make_store() as store:
        assert [suspect.row_id for suspect in await store.deliveries.void_claims()] == [1]
        assert await rows(store, "SELECT state, settled_at IS NULL, claimed_at FROM deliveries ORDER BY id") == [
            ("waiting", 1, None),
            ("discarded", 0, None),
            ("discarded", 0, None),
            ("waiting", 1, None),
        ]
        assert await rows(store, "SELECT outcome FROM attempts WHERE delivery_id = 2") == ["cut_off"]
