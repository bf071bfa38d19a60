"""A sink in trouble: probed instead of burnt through, stopped when it is gone, told to the others once."""

import asyncio
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.app.operator import Operator
from daemon.contract import Closed, Delivery, Rejected, Report, TryLater
from tests.daemon.rounds.lanes import STATES, Answer, Scripted, accept, always, hang, running, until
from tests.daemon.rounds.world import Hand, look

DOWN = always(TryLater("HTTP 503"))


def told(folder: Path) -> list[str]:
    rows = look(folder, "SELECT data FROM events WHERE source = 'eventferry' ORDER BY id")
    return [json.loads(data)["text"] for (data,) in rows]


def burnt(folder: Path) -> list[int]:
    """Counted failures of the deliveries that wait."""
    return [row[0] for row in look(folder, "SELECT failures FROM deliveries WHERE state = 'waiting' ORDER BY id")]


def test_a_failing_lane_probes_with_another_delivery_each_time_and_uses_none_of_them_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(DOWN, concurrency=2)
        async with running(tmp_path, clock, hook=sink) as lanes:
            lane = lanes.of["hook"]
            await lanes.arrive(8, "hook")
            await until(lambda: lane.lane.health == "failing")
            await lane.drained()
            before = burnt(tmp_path)
            assert sum(before) == len(sink.got) <= 6
            sink.got.clear()
            for hours in range(1, 40):
                await lanes.pass_time(clock, hours=1)
                assert len(sink.got) == hours
            ids = sink.ids()
            assert all(one != other for one, other in pairwise(ids))
            assert all(ids.count(str(number)) in (4, 5) for number in range(1, 9))
            assert burnt(tmp_path) == before
            assert sink.most_under_way <= 2

            sink.answer = accept
            await lanes.pass_time(clock, hours=1)
            await until(lambda: lanes.settled == 8)
            assert lane.lane.health == "ok"

    asyncio.run(scenario())


def test_when_a_sink_works_again_what_waited_long_after_failures_goes_out_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(DOWN, waits=[timedelta(hours=20)] * 3)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(8, "hook")
            await until(lambda: lanes.of["hook"].lane.health == "failing")
            await lanes.of["hook"].drained()
            assert sum(burnt(tmp_path)) >= 5
            sink.answer = accept
            await lanes.pass_time(clock, minutes=1)
            await until(lambda: lanes.settled == 8)

    asyncio.run(scenario())


def test_probes_come_ever_more_slowly_and_new_events_do_not_hurry_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(DOWN, concurrency=1)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(6, "hook")
            await until(lambda: lanes.of["hook"].lane.health == "failing")
            await lanes.of["hook"].drained()
            sink.got.clear()
            began, probes = clock.now, []
            for minute in range(240):
                await lanes.pass_time(clock, seconds=15)
                if minute % 20 == 0:
                    await lanes.arrive(1, "hook", first=100 + minute)
                if len(sink.got) > len(probes):
                    probes.append((clock.now - began).total_seconds())
            gaps = [after - before for before, after in pairwise(probes)]
            assert 5 <= len(probes) <= 8
            assert gaps == sorted(gaps)
            assert max(gaps) <= 16 * 60

    asyncio.run(scenario())


def test_the_only_delivery_of_a_failing_lane_follows_its_own_schedule(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(DOWN)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(1, "hook")
            for _ in range(400):
                await lanes.pass_time(clock, minutes=15)
            assert look(tmp_path, "SELECT state, failures FROM deliveries") == [("gave_up", 12)]

    asyncio.run(scenario())


def test_one_poison_event_among_good_ones_does_not_make_its_lane_fail(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def poisoned(delivery: Delivery) -> Report:
            return Report(TryLater("HTTP 500")) if delivery.event.external_id == "1" else await accept(delivery)

        clock = Hand()
        sink = Scripted(poisoned)
        async with running(tmp_path, clock, hook=sink) as lanes:
            for day in range(20):
                await lanes.arrive(3, "hook", first=1 + 10 * day)
                await lanes.pass_time(clock, hours=12)
            assert lanes.of["hook"].lane.health == "ok"
            assert look(tmp_path, STATES) == [
                ("delivered", 59),
                ("gave_up", 1),
            ]

    asyncio.run(scenario())


def test_a_closed_sink_stops_keeps_what_waits_and_is_probed_after_a_while(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(always(Closed("HTTP 410: gone")), concurrency=1)
        async with running(tmp_path, clock, hook=sink, alert_sinks=("hook", "mail"), mail=Scripted()) as lanes:
            await lanes.arrive(5, "hook")
            await until(lambda: lanes.settled == 1)
            for _ in range(14):
                await lanes.pass_time(clock, minutes=1)
            assert len(sink.got) == 1
            await lanes.pass_time(clock, minutes=3)
            assert len(sink.got) == 2
            assert burnt(tmp_path) == [0] * 5
            assert told(tmp_path) == [
                "hook stopped: HTTP 410: gone. 5 deliveries wait, nothing is lost. Put a new URL into "
                "/etc/eventferry/secrets/hook, then: sudo systemctl restart eventferry"
            ]
            sink.answer = accept
            await lanes.pass_time(clock, minutes=40)
            await until(lambda: lanes.settled == 7)
            await until(lambda: len(told(tmp_path)) == 2)
            assert told(tmp_path)[1].startswith("hook works again.")

    asyncio.run(scenario())


def test_a_sink_that_must_not_be_probed_waits_for_a_command_even_over_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(always(Closed("HTTP 404: the webhook was deleted", probe=False)), concurrency=1)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(3, "hook")
            await until(lambda: lanes.of["hook"].lane.health == "stopped")
            await lanes.pass_time(clock, days=9)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(1, "hook", first=9)
            await lanes.pass_time(clock, days=9)
            assert len(sink.got) == 1
            sink.answer = accept
            await Operator(lanes.store, lanes.of).resume_sink({"name": "hook"})
            await until(lambda: lanes.settled == 4)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer", [always(Closed("gone")), always(Rejected("HTTP 400")), hang], ids=["closed", "rejected", "hung"]
)
def test_no_alert_about_a_sink_is_carried_by_it_and_each_matter_is_told_once(tmp_path: Path, answer: Answer) -> None:
    async def scenario() -> None:
        clock = Hand()
        broken, mail = Scripted(answer, concurrency=2, seconds=0.05), Scripted()
        async with running(tmp_path, clock, alert_sinks=("broken", "mail"), broken=broken, mail=mail) as lanes:
            for number in range(1, 4):
                await lanes.arrive(4, "broken", first=10 * number)
                await lanes.pass_time(clock, minutes=1)
            await lanes.of["broken"].drained()
            about = {text.split(":")[0].split()[0] for text in told(tmp_path)}
            assert all(delivery.event.source == "shop" for delivery in broken.got)
            assert len(told(tmp_path)) == len(mail.got) == (0 if answer is hang else 1)
            assert about <= {"broken"}

    asyncio.run(scenario())


def test_two_broken_alert_sinks_do_not_keep_telling_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        one, other = Scripted(always(Rejected("HTTP 400"))), Scripted(always(Rejected("HTTP 401")))
        async with running(tmp_path, clock, alert_sinks=("one", "other"), one=one, other=other) as lanes:
            await lanes.arrive(1, "one")
            for _ in range(60):
                await lanes.pass_time(clock, seconds=30)
            assert len(told(tmp_path)) == 1, "the message's own end is no news"
            assert len(one.got) + len(other.got) == 2

    asyncio.run(scenario())


def test_health_outlives_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        sink = Scripted(DOWN, concurrency=1)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(9, "hook")
            await until(lambda: lanes.of["hook"].lane.health == "failing")
        sink.got.clear()
        async with running(tmp_path, clock, hook=sink) as lanes:
            assert lanes.of["hook"].lane.health == "failing"
            await lanes.pass_time(clock, seconds=1)
            assert sink.got == []
            await lanes.pass_time(clock, minutes=1)
            assert len(sink.got) == 1

    asyncio.run(scenario())


def test_results_that_come_in_together_are_each_judged_on_their_own(tmp_path: Path) -> None:
    """Of four under way at once one finds the receiver gone; the sink stops, whatever the others met before."""

    async def scenario() -> None:
        clock = Hand()
        arrived = asyncio.Barrier(4)

        async def together(delivery: Delivery) -> Report:
            await arrived.wait()
            return Report(Closed("gone", probe=False)) if delivery.event.external_id == "1" else await accept(delivery)

        sink = Scripted(together)
        async with running(tmp_path, clock, hook=sink) as lanes:
            await lanes.arrive(8, "hook")
            await until(lambda: lanes.settled == 3)
            await lanes.of["hook"].drained()
            assert lanes.of["hook"].lane.health == "stopped"
            assert look(tmp_path, STATES) == [
                ("delivered", 3),
                ("waiting", 5),
            ]

    asyncio.run(scenario())
