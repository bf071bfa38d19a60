"""The nominal day, and the days on which a receiver or the upstream has trouble."""

import asyncio
import json
from collections import Counter

from daemon.simulator.faults import Behaviour, Faults


def test_every_event_reaches_every_sink_once_and_is_completed_once(world):
    async def story():
        async with world() as w:
            w.configure(sinks=w.everything())
            first = [w.sim.upstream.add_sample() for _ in range(10)]
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 10)
            second = [w.sim.upstream.add_sample() for _ in range(20)]
            odd = w.sim.upstream.add("coupon.created", {"code": "XMAS"})
            await w.until(lambda: len(w.sim.upstream.completed) == 31)
            assert await w.stop() == 0
            ids = [*first, *second, odd]
            assert w.sim.upstream.completed == dict.fromkeys(w.sim.upstream.completed, 1)
            assert sorted(w.sim.upstream.completed) == sorted(ids)
            assert w.sim.upstream.pending == []
            assert Counter(w.accepted("hook")) == Counter(f"builtbybit-{each}-hook" for each in ids)
            messages = [json.loads(call.body) for call in w.sim.inbox.received("chat") if call.accepted]
            told = [embed["footer"]["text"] for message in messages for embed in message["embeds"]]
            assert sorted(told) == sorted(f"builtbybit:{each}" for each in ids)
            assert not any(call.hazards for call in w.sim.inbox.received("chat"))
            assert len({mail.id for mail in w.sim.mail.received}) == len(w.sim.mail.received) == 31
            lines = [json.loads(line) for line in (w.folder / "sales.jsonl").read_text().splitlines()]
            assert sorted(line["event_id"] for line in lines) == sorted(ids)
            assert not any(call.too_early for call in w.sim.upstream.calls)

    asyncio.run(story())


def test_nothing_is_completed_before_it_is_on_disk_and_delivered(world):
    """I2, seen from outside: when the completion arrives, another process reads the event in the database."""
    early: list[str] = []

    async def story():
        async with world(on_request=look) as w:
            looked["world"] = w
            w.configure()
            for _ in range(30):
                w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 30)
            assert await w.stop() == 0
        assert looked["completions"] >= 1
        assert early == []

    looked = {"world": None, "completions": 0}

    def look(stage, seen):
        if stage == "received" and seen.path.endswith("/events/complete"):
            looked["completions"] += 1
            w = looked["world"]
            for event_id in json.loads(seen.body)["event_ids"]:
                states = w.rows(
                    "SELECT d.state FROM deliveries d JOIN events e ON e.id = d.event_id WHERE e.external_id = ?",
                    str(event_id),
                )
                if states != [("delivered",)]:
                    early.append(str(event_id))

    asyncio.run(story())


def test_a_sink_that_is_down_for_a_while_gets_everything_afterwards_and_delays_nobody(world):
    async def story():
        async with world() as w:
            retries = 'retries = ["3s", "3s"]'
            w.configure(sinks=w.webhook("good") + w.webhook("bad", retries), source='complete_within = "30s"')
            w.sim.inbox.behave("bad", Behaviour(status=503))
            ids = [w.sim.upstream.add_sample() for _ in range(3)]
            await w.start()
            await w.until(lambda: len(w.accepted("good")) == 3)
            await w.until(lambda: len(w.sim.inbox.received("bad")) == 3)
            assert w.accepted("bad") == []
            assert w.sim.upstream.completed == {}
            w.sim.inbox.behave("bad", Behaviour())
            await w.until(lambda: len(w.sim.upstream.completed) == 3)
            assert await w.stop() == 0
            assert sorted(w.accepted("bad")) == sorted(f"builtbybit-{each}-bad" for each in ids)
            assert sorted(w.accepted("good")) == sorted(f"builtbybit-{each}-good" for each in ids)

    asyncio.run(story())


def test_a_dead_sink_does_not_fill_the_upstream_list(world):
    """I20: what was held for complete_within is completed, because it is on disk here."""

    async def story():
        async with world() as w:
            w.configure(sinks=w.webhook("dead"), source='complete_within = "2s"')
            w.sim.inbox.behave("dead", Behaviour(status=500))
            w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 1)
            assert w.rows("SELECT state FROM deliveries") == [("waiting",)]
            assert await w.stop() == 0

    asyncio.run(story())


def test_the_upstream_may_be_down_and_come_back(world):
    async def story():
        async with world(faults=Faults(error_status=500)) as w:
            w.configure()
            event_id = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: len(w.sim.upstream.calls) >= 2)
            w.sim.upstream.faults = Faults(drop="before")
            await w.until(lambda: len([call for call in w.sim.upstream.calls if call.status == 0]) >= 1)
            w.sim.upstream.faults = Faults()
            await w.until(lambda: event_id in w.sim.upstream.completed)
            assert await w.stop() == 0
            assert "source.failing" in w.log()
            assert "source.recovered" in w.log()
            assert w.log().count('"source.failing"') == 1

    asyncio.run(story())


def test_a_rate_limit_in_milliseconds_is_obeyed_even_over_a_restart(world):
    async def story():
        async with world(faults=Faults(read_limit=1, limit_window=6.0)) as w:
            w.configure()
            first = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: any(call.status == 429 for call in w.sim.upstream.calls))
            assert await w.stop() == 0
            assert first in w.sim.upstream.completed, "writes have a gate of their own"
            second = w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: second in w.sim.upstream.completed)
            assert await w.stop() == 0
            assert not any(call.too_early for call in w.sim.upstream.calls)

    asyncio.run(story())


def test_a_refused_token_is_told_once_and_deliveries_go_on(world):
    async def story():
        async with world() as w:
            w.configure(sinks=w.webhook("slow", 'retries = ["1s", "1s", "1s", "1s"]'), daemon='alerts = ["slow"]')
            w.sim.inbox.behave("slow", Behaviour(statuses=(503, 503)))
            w.sim.upstream.add_sample()
            await w.start()
            await w.until(lambda: "events.stored" in w.log())
            w.sim.upstream.faults = Faults(error_status=403, error_code="ScopeError")
            await w.until(lambda: any(call.status == 403 for call in w.sim.upstream.calls))
            await w.until(lambda: len(w.accepted("slow")) == 2)
            refused = len([call for call in w.sim.upstream.calls if call.status == 403 and call.method == "GET"])
            assert refused == 1
            assert "BuiltByBit refuses the token (403 ScopeError)" in w.log()
            bodies = [call.json() for call in w.sim.inbox.received("slow") if call.accepted]
            assert {body["type"] for body in bodies} >= {"alert.source"}
            assert w.sim.token not in w.log()
            assert await w.stop() == 0

    asyncio.run(story())
