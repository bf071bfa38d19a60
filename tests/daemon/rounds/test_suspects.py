"""What an earlier process died over, or beside, goes out one at a time, and everything else flows."""

import asyncio
import time
from pathlib import Path

import pytest

from daemon.contract import Delivery, Report
from daemon.rounds import suspects as module
from tests.daemon.rounds.lanes import STATES, Answer, Scripted, accept, running, until
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


def test_a_sink_that_hangs_over_a_suspect_lets_those_of_other_sinks_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F42: after a crash too, who is healthy waits for one deadline of who is not, and no more."""
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.1)

    async def scenario() -> None:
        order: list[str] = []

        def noting(name: str, seconds: float) -> Answer:
            async def answer(delivery: Delivery) -> Report:
                order.append(name)
                await asyncio.sleep(seconds)
                return await accept(delivery)

            return answer

        clock = Hand()
        async with opened(tmp_path, clock, ["a", "b"]) as store:
            await arrive(store, 2, "a", "b")
        await die_over(tmp_path, clock, "a", "b")
        async with running(tmp_path, clock, a=Scripted(noting("a", 0.3)), b=Scripted(noting("b", 0))) as lanes:
            await until(lambda: lanes.settled == 4)
        assert sorted(order) == ["a", "a", "b", "b"]
        after_the_first = order[order.index("a") + 1 :]
        assert after_the_first == sorted(after_the_first, reverse=True)

    asyncio.run(scenario())


def test_i8_what_kills_us_at_several_sinks_is_counted_once_for_all_of_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["a", "b"]) as store:
            await arrive(store, 1, "a", "b")
        await die_over(tmp_path, clock, "a", "b")
        for sink in ("a", "b"):
            async with opened(tmp_path, clock, ["a", "b"]) as store:
                suspects = await store.deliveries.void_claims()
                (alone,) = [each for each in suspects if each.sink == sink]
                assert (await store.deliveries.claim_suspect(sink, alone.row_id, lease=LEASE)).claims
        a, b = Scripted(), Scripted()
        async with running(tmp_path, clock, a=a, b=b) as lanes:
            lanes.wake()
            await until(lambda: look(tmp_path, STATES) == [("gave_up", 2)])
            assert (a.got, b.got) == ([], [])

    asyncio.run(scenario())


def test_a_suspect_that_lives_through_its_attempt_is_cleared_with_its_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with opened(tmp_path, clock, ["a", "b"]) as store:
            await arrive(store, 1, "a", "b")
        await die_over(tmp_path, clock, "a", "b")
        assert look(tmp_path, "SELECT deaths FROM events") == [(0,)]
        async with running(tmp_path, clock, a=Scripted(), b=Scripted()) as lanes:
            assert look(tmp_path, "SELECT deaths FROM events") == [(1,)]
            await until(lambda: lanes.settled == 2)
        assert look(tmp_path, "SELECT deaths FROM events") == [(0,)]

    asyncio.run(scenario())
