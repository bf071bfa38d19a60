"""What is old and settled is forgotten in small steps; what waited for too long is given up."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

from daemon.contract import Event, Incoming
from daemon.rounds.alerts import Alerts
from daemon.rounds.lane_news import LaneNews
from daemon.rounds.prune import EVERY, STEP, Prune
from daemon.store import Planned, Store
from tests.daemon.rounds.world import Hand, arrive, look, opened, settle

KEEP = timedelta(days=180)


def pruning(store: Store, **give_up_after: timedelta) -> Prune:
    alerts = Alerts(store, ["mail"], lambda names: None)
    news = {sink: LaneNews(sink, alerts) for sink in give_up_after}
    return Prune(store, news, keep=KEEP, give_up_after=give_up_after)


def count(folder: Path, table: str) -> int:
    ((number,),) = look(folder, f"SELECT count(*) FROM {table}")
    return int(number)


async def completed(store: Store, ids: range) -> None:
    await store.acknowledgements.done("shop", [str(each) for each in ids])


def test_old_events_that_are_settled_and_completed_are_removed_in_steps_and_their_keys_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook"]) as store:
            prune = pruning(store)
            number = 2 * STEP + 5
            await arrive(store, number, "hook")
            while await settle(store, "hook"):
                pass
            for start in range(1, number + 1, 500):
                await completed(store, range(start, min(start + 500, number + 1)))
            clock.advance(days=100)
            await arrive(store, 3, "hook", first=10_000)
            clock.advance(days=79)
            assert await prune() == EVERY
            assert count(tmp_path, "events") == number + 3
            clock.advance(days=2)
            await prune()
            assert count(tmp_path, "events") == 3
            assert count(tmp_path, "tombstones") == number
            assert count(tmp_path, "attempts") == 0
            counted = look(tmp_path, "SELECT sum(count) FROM counters WHERE sink = 'hook' AND outcome = 'delivered'")
            assert counted == [(number,)]

            added = await store.events.add(
                "shop", [Planned(Incoming(Event("shop", "7", "1", "x", clock(), {})), ("hook",))]
            )
            assert (added.new, added.woken) == ([], set())

            clock.advance(days=92)
            await prune()
            assert count(tmp_path, "tombstones") == 1  # the one that is listed again

    asyncio.run(scenario())


def test_what_still_waits_or_is_not_completed_is_kept_however_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook"]) as store:
            prune = pruning(store)
            await arrive(store, 4, "hook")
            await settle(store, "hook", 2)
            await completed(store, range(2, 4))
            clock.advance(days=400)
            await prune()
            # 1 is not completed, 3 is not delivered, 4 is neither.
            assert look(tmp_path, "SELECT external_id FROM events ORDER BY id") == [("1",), ("3",), ("4",)]

    asyncio.run(scenario())


def test_a_kept_event_does_not_hide_older_ones_behind_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook"]) as store:
            await arrive(store, STEP + 50, "hook")
            await arrive(store, 50, first=5000)
            await completed(store, range(5000, 5050))
            clock.advance(days=200)
            await pruning(store)()
            assert count(tmp_path, "events") == STEP + 50

    asyncio.run(scenario())


def test_what_waited_for_too_long_is_given_up_kept_and_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook", "other", "mail"]) as store:
            prune = pruning(store, hook=timedelta(hours=36), other=timedelta(days=30))
            await arrive(store, STEP + 20, "hook", "other")
            clock.advance(hours=30)
            await arrive(store, 2, "hook", first=5000)
            clock.advance(hours=7)
            await prune()
            states = "SELECT sink, state, count(*) FROM deliveries WHERE sink != 'mail' GROUP BY 1, 2 ORDER BY 1, 2"
            assert look(tmp_path, states) == [
                ("hook", "gave_up", STEP + 20),
                ("hook", "waiting", 2),
                ("other", "waiting", STEP + 20),
            ]
            ((data,),) = look(tmp_path, "SELECT data FROM events WHERE source = 'eventferry'")
            text = json.loads(data)["text"]
            assert text == (
                f"hook: {STEP + 20} deliveries were given up, the last because: waited longer than 1d12h. They are "
                "kept. See: eventferry events --dead --sink hook"
            )
            await prune()
            assert len(look(tmp_path, "SELECT 1 FROM events WHERE source = 'eventferry'")) == 1

    asyncio.run(scenario())


def test_after_the_clock_was_set_far_nothing_counts_as_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook"]) as store:
            prune = pruning(store, hook=timedelta(days=30))
            await arrive(store, 3, "hook")
            await settle(store, "hook", 2)
            await completed(store, range(1, 4))
            clock.advance(days=4000)
            prune.suspended = True
            assert await prune() == EVERY
            assert count(tmp_path, "events") == 3
            assert look(tmp_path, "SELECT state FROM deliveries WHERE state = 'gave_up'") == []

    asyncio.run(scenario())


def test_deliveries_go_on_while_much_is_removed(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["hook"]) as store:
            await arrive(store, 5 * STEP)
            for start in range(1, 5 * STEP + 1, 500):
                await completed(store, range(start, start + 500))
            clock.advance(days=200)
            removing = asyncio.create_task(pruning(store)())
            claimed = 0
            while not removing.done():
                await arrive(store, 1, "hook", first=100_000 + claimed)
                claims = (await store.deliveries.claim("hook", limit=1, lease=timedelta(minutes=1))).claims
                claimed += len(claims)
            assert claimed >= 5
            assert count(tmp_path, "events") == claimed

    asyncio.run(scenario())
