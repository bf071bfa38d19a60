"""What is new at a source comes into the store, whatever else it lists, and whoever completes it."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.simulator import Faults, Simulator
from daemon.simulator.samples import KINDS
from tests.daemon.rounds.world import Hand, look, running, settle


def between(wait: timedelta, least: float, most: float) -> bool:
    return timedelta(seconds=least) <= wait <= timedelta(seconds=most)


def test_events_are_stored_with_their_deliveries_and_the_sinks_are_woken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand(), sinks=("hook", "chat")) as shop:
            pending = [sim.upstream.add_sample() for _ in range(130)]
            await shop.collect()
            assert shop.stored() == pending
            assert sorted(shop.woken) == ["chat", "chat", "hook", "hook"]
            assert look(tmp_path, "SELECT sink, state, count(*) FROM deliveries GROUP BY 1, 2") == [
                ("chat", "waiting", 130),
                ("hook", "waiting", 130),
            ]
            assert shop.swept == 1
            shop.woken.clear()
            await shop.collect()
            assert shop.stored() == pending
            assert shop.woken == []
            assert sim.upstream.completions == []

    asyncio.run(scenario())


def test_the_pace_is_hot_after_an_event_and_cools_down_step_by_step(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand()) as shop:
            assert between(await shop.collect(), 27, 33)
            sim.upstream.add_sample()
            assert between(await shop.collect(), 13.5, 16.5)
            for quiet in (18.75, 23.4375, 29.296875, 30, 30):
                assert between(await shop.collect(), 0.9 * quiet, 1.1 * quiet)

    asyncio.run(scenario())


ODD: dict[str, str] = {
    "only an id": '{"event_id": 5}',
    "id as text": '{"event_id": "5", "trigger_type": "purchase", "trigger_data": {}}',
    "nulls": '{"event_id": 5, "listener_id": null, "created_at": null, "trigger_type": null, "trigger_data": null}',
    "wrong types": '{"event_id": 5, "listener_id": [], "created_at": {}, "trigger_type": 7, "trigger_data": "x"}',
    "surrogates": r'{"event_id": 5, "trigger_type": "\ud800", "trigger_data": {"\udfff": "\ud83d"}}',
    "numbers": '{"event_id": 5, "created_at": 1e400, "trigger_data": {"a": NaN, "b": -Infinity, "final_price": 1e400}}',
    "huge numbers": '{"event_id": 5, "created_at": 1' + "0" * 400 + ', "trigger_data": {"a": 1' + "0" * 400 + "}}",
    "zero bytes": r'{"event_id": 5, "trigger_type": "a\u0000b", "trigger_data": {"\u0000": "\u0000"}}',
    "deep data": '{"event_id": 5, "trigger_type": "a", "trigger_data": {"x": ' + "[" * 50_000 + "]" * 50_000 + "}}",
    "deep trigger": '{"event_id": 5, "trigger_type": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "at the decoder's limit": '{"event_id": 5, "x": ' + "[" * 975 + "]" * 975 + "}",
    "duplicate keys": '{"event_id": 4, "event_id": 5, "trigger_type": "a", "trigger_type": "b"}',
    "long trigger": '{"event_id": 5, "trigger_type": "' + "t" * 50_000 + '"}',
    "large data": '{"event_id": 5, "trigger_type": "a", "trigger_data": {"x": "' + "y" * 2_000_000 + '"}, "z": 1}',
    "odd money": '{"event_id": 5, "trigger_data": {"final_price": "9,99 €", "currency": ["EUR"], "resource_id": {}}}',
    "huge exponents": '{"event_id": 5, "trigger_type": "purchase", "trigger_data": {"price": "1e999999999"}}',
    "more fields": '{"event_id": 5, "attempt": 3, "trigger_type": "a", "listener_id": 1, "trigger_data": {}}',
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_event_is_stored_as_it_came_delivered_and_completed_beside_the_others(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, running(sim, tmp_path, Hand()) as shop:
            before, _, after = sim.upstream.add_sample(), sim.upstream.add_raw(ODD[name]), sim.upstream.add_sample()
            await shop.collect()
            assert shop.stored() == [before, "5", after]
            ((raw,),) = look(tmp_path, "SELECT raw FROM events WHERE external_id = '5'")
            assert json.loads(raw)["event_id"] in (5, "5")
            claims = (await shop.store.deliveries.claim("hook", limit=9, lease=timedelta(minutes=1))).claims
            (data,) = [claim.delivery.event.data for claim in claims if claim.delivery.event.external_id == "5"]
            assert json.dumps(data)
            await shop.store.deliveries.unclaim("hook", claims)
            assert await settle(shop.store, "hook") == 3
            await shop.acknowledge()
            assert shop.completed() == {before, "5", after}
            assert sim.upstream.pending == []

    asyncio.run(scenario())


def test_entries_without_an_id_are_set_aside_and_told_once_and_hide_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock, alert_sinks=("mail",)) as shop:
            for odd in ({"trigger_type": "purchase"}, {"event_id": None}, "[1]", '{"event_id": "\\ud800"}', "null"):
                sim.upstream.add_raw(odd)
            usual = [sim.upstream.add_sample() for _ in range(30)]
            for _ in range(3):
                await shop.collect()
            assert shop.stored() == usual
            aside = [row["raw"] for row in await shop.store.browse.unidentified()]
            assert len(aside) == 5
            assert '{"trigger_type":"purchase"}' in aside
            (told,) = shop.told("alert.unidentified")
            assert told.startswith(
                "shop listed 5 events without a usable id, which cannot be delivered and may be sales. "
            )
            assert told.endswith(". See: eventferry events --unidentified")
            assert shop.woken.count("mail") == 1
            sim.upstream.add_raw({"event_id": False})
            clock.advance(hours=25)
            await shop.collect()
            assert len(shop.told("alert.unidentified")) == 2

    asyncio.run(scenario())


def test_a_trigger_that_no_sink_wants_is_stored_and_told_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Simulator.start() as sim,
            running(sim, tmp_path, Hand(), wants=lambda kind: kind == "purchase") as shop,
        ):
            for kind in (*KINDS, *KINDS):
                sim.upstream.add_sample(kind)
            sim.upstream.add("\u202eodd", {})
            await shop.collect()
            sim.upstream.add_sample("review")
            await shop.collect()
            assert len(shop.stored()) == 12
            assert len(shop.told("alert.unrouted")) == 5
            assert all(text.endswith(". See: eventferry events --state unrouted") for text in shop.told())
            await shop.acknowledge()
            assert len(shop.completed()) == 10
            assert len(sim.upstream.pending) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("ignore_paging", [False, True])
def test_what_waited_before_the_first_start_can_be_recorded_instead_of_sent(
    tmp_path: Path, ignore_paging: bool
) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start(faults=Faults(ignore_paging=ignore_paging)) as sim:
            old = [sim.upstream.add_sample() for _ in range(60)]
            async with running(sim, tmp_path, clock, first_start="record") as shop:
                while sim.upstream.pending:
                    await shop.collect()
                    await shop.acknowledge()
                assert shop.stored() == old
                assert shop.woken == []
                await shop.collect()
                sim.upstream.add_sample()
                await shop.collect()
                assert shop.woken == ["hook"]
            states = "SELECT state, count(*) FROM deliveries GROUP BY 1 ORDER BY 1"
            assert look(tmp_path, states) == [("skipped", 60), ("waiting", 1)]
            async with running(sim, tmp_path, clock, first_start="record") as shop:
                sim.upstream.add_sample()
                await shop.collect()
            assert look(tmp_path, states) == [("skipped", 60), ("waiting", 2)]

    asyncio.run(scenario())


def test_a_first_sweep_that_fails_midway_is_still_the_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(cap_per_page=5, drop="before", scope="read", times=1)) as sim:
            for _ in range(8):
                sim.upstream.add_sample()
            async with running(sim, tmp_path, Hand(), first_start="record") as shop:
                await shop.collect()
                assert shop.stored() == []
            async with running(sim, tmp_path, Hand(), first_start="record") as shop:
                await shop.collect()
            assert look(tmp_path, "SELECT DISTINCT state FROM deliveries") == [("skipped",)]

    asyncio.run(scenario())


def test_a_sweep_that_fails_midway_keeps_what_it_brought(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        reads = 0

        async def on_request(stage: str, seen: Any) -> None:
            nonlocal reads
            if stage == "received" and seen.method == "GET":
                reads += 1
                sim.upstream.faults = Faults(cap_per_page=4, error_status=502 if reads == 3 else None)

        async with Simulator.start(on_request=on_request) as sim, running(sim, tmp_path, clock) as shop:
            pending = [sim.upstream.add_sample() for _ in range(12)]
            assert between(await shop.collect(), 2, 2.2)
            assert shop.stored() == pending[:8]
            assert shop.woken == ["hook", "hook"]
            assert shop.swept == 1
            clock.advance(seconds=3)
            await shop.collect()
            assert shop.stored() == pending

    asyncio.run(scenario())


def test_an_event_with_other_content_is_kept_beside_the_first_which_is_delivered(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim, running(sim, tmp_path, clock) as shop:
            sim.upstream.add("purchase", {"a": "1"}, event_id=5)
            await shop.collect()
            sim.upstream.withdraw("5")
            sim.upstream.add("purchase", {"a": "2"}, event_id=5)
            sim.upstream.add("purchase", {"a": "3"}, event_id=5)
            await shop.collect()
            assert shop.stored() == ["5"]
            assert look(tmp_path, "SELECT data FROM events") == [('{"a":"1"}',)]
            assert look(tmp_path, "SELECT data FROM variants ORDER BY id") == [('{"a":"2"}',), ('{"a":"3"}',)]
            (claim,) = (await shop.store.deliveries.claim("hook", limit=9, lease=timedelta(minutes=1))).claims
            assert claim.delivery.event.data == {"a": "1"}

    asyncio.run(scenario())


def test_no_completion_goes_out_during_a_sweep(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(cap_per_page=1)) as sim, running(sim, tmp_path, Hand()) as shop:
            for _ in range(4):
                sim.upstream.add_sample()
            await shop.collect()
            await settle(shop.store, "hook")
            sim.upstream.calls.clear()
            sim.upstream.faults = Faults(cap_per_page=1, latency=0.02)
            for first, second in ((shop.collect, shop.acknowledge), (shop.acknowledge, shop.collect)):
                await asyncio.gather(first(), second())
            assert [call.method for call in sim.upstream.calls] == ["GET"] * 4 + ["POST"] + ["GET"]

    asyncio.run(scenario())
