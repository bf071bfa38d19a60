"""What an earlier process died over, or beside, goes out one at a time, and everything else flows."""

import asyncio
import time
from pathlib import Path

from daemon.contract import Delivery, Report
from tests.daemon.rounds.lanes import Scripted, accept, running, until
from tests.daemon.rounds.world import LEASE, Hand, arrive, look, opened


async def die_over(folder: Path, clock: Hand, *sinks: str) -> None:
    """A process that takes what is due to these sinks, and comes to no verdict."""
    async with opened(folder, clock, sinks) as store:
        for suspect in await store.deliveries.void_claims():
            await store.deliveries.claim_suspect(suspect.sink, suspect.row_id, lease=LEASE)
        for sink in sinks:
            await store.deliveries.claim(sink, limit=2, lease=LEASE)


def test_suspects_of_all_sinks_go_one_after_the_other_while_the_rest_flows(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, under_way, most = Hand(), 0, 0

        async def watched(delivery: Delivery) -> Report:
            nonlocal under_way, most
            if int(delivery.event.external_id) <= 2:
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.02)
                under_way -= 1
            return await accept(delivery)

        async with opened(tmp_path, clock, ["one", "other"]) as store:
            await arrive(store, 2, "one", "other")
        await die_over(tmp_path, clock, "one", "other")
        async with opened(tmp_path, clock) as store:
            await arrive(store, 6, "one", "other", first=3)
        one, other = Scripted(watched), Scripted(watched)
        async with running(tmp_path, clock, one=one, other=other) as lanes:
            began = time.monotonic()
            await until(lambda: lanes.settled == 12)
            assert time.monotonic() - began < 0.9
            assert under_way == most == 0
            await until(lambda: lanes.settled == 16)
            assert time.monotonic() - began >= 0.9
            assert most == 1
            assert {delivery.attempt for delivery in one.got if int(delivery.event.external_id) <= 2} == {2}
        assert look(tmp_path, "SELECT DISTINCT state, deaths FROM deliveries") == [("delivered", 0)]

    asyncio.run(scenario())


def test_a_single_round_does_not_wait_for_its_suspects(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["one"]) as store:
            await arrive(store, 2, "one")
        await die_over(tmp_path, clock, "one")
        async with running(tmp_path, clock, one=Scripted()) as lanes:
            assert lanes.suspects is not None
            lanes.suspects.hurry()
            began = time.monotonic()
            lanes.wake()
            await until(lambda: lanes.settled == 2)
            assert time.monotonic() - began < 0.9

    asyncio.run(scenario())


def test_after_the_third_death_it_is_given_up_unsent_and_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["one"]) as store:
            await arrive(store, 1, "one")
        for _ in range(3):
            await die_over(tmp_path, clock, "one")
        sink, mail = Scripted(), Scripted()
        async with running(tmp_path, clock, alert_sinks=("mail",), one=sink, mail=mail) as lanes:
            await until(lambda: lanes.settled == 1)
            assert (len(sink.got), len(mail.got)) == (0, 1)
        states = look(tmp_path, "SELECT state, reason FROM deliveries WHERE sink = 'one'")
        assert states == [("gave_up", "the daemon died 3 times while sending it; not sent")]

    asyncio.run(scenario())
