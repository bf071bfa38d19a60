"""Discord sinks in their lanes, against a simulated Discord that counts as the real one does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from daemon.clock import SteadyClock
from daemon.http import Http
from daemon.rounds.policy import LanePolicy
from daemon.simulator import Behaviour, Simulator
from sinks.discord import DiscordSink
from tests.daemon.rounds.lanes import STATES, Lanes, running, until
from tests.daemon.rounds.world import look

MINUTE = 1.5
"""Seconds that stand for a minute, so that ten of them need not be waited for."""
AS_IN_LIFE = Behaviour(limit=5, limit_window=MINUTE / 30, channel_limit=30, channel_window=MINUTE)


def discord_sink(sim: Simulator, name: str, **values: Any) -> Any:
    settings = {"url": sim.discord_url(name), "rate": f"30/{MINUTE * 1000:g}ms"} | values
    sink: Any = DiscordSink(DiscordSink.Settings.model_validate(settings), Http())
    sink.policy = LanePolicy((timedelta(seconds=0.1),) * 5, sink.concurrency, sink.batch_limit, timedelta(seconds=30))
    return sink


@asynccontextmanager
async def lanes_of(folder: Path, **sinks: Any) -> AsyncIterator[Lanes]:
    async with running(folder, SteadyClock(), **sinks) as lanes:
        yield lanes
    for sink in sinks.values():
        await sink.close()


def all_delivered(folder: Path, number: int) -> bool:
    return look(folder, STATES) == [("delivered", number)]


def test_a_thousand_events_arrive_in_a_hundred_messages_without_one_429(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.inbox.behave("sales", AS_IN_LIFE)
            async with lanes_of(tmp_path, sales=discord_sink(sim, "sales")) as lanes:
                await lanes.arrive(1000, "sales")
                await until(lambda: all_delivered(tmp_path, 1000), 120)
            calls = sim.inbox.received("sales")
            assert Counter(call.status for call in calls) == {200: 100}
            assert not any(call.too_early or call.hazards for call in calls)
            shown = [embed["footer"]["text"] for call in calls for embed in call.json()["embeds"]]
            assert Counter(shown) == Counter(f"shop:{number}" for number in range(1, 1001))
            assert all("discord.com/channels" in row[0] for row in look(tmp_path, "SELECT reason FROM deliveries"))

    asyncio.run(scenario())


def test_two_sinks_of_one_webhook_stay_below_its_limit_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.inbox.behave("sales", AS_IN_LIFE)
            one, two = (discord_sink(sim, "sales", audience=audience) for audience in ("public", "full"))
            async with lanes_of(tmp_path, one=one, two=two) as lanes:
                await lanes.arrive(200, "one", "two")
                await until(lambda: all_delivered(tmp_path, 400), 120)
            assert {call.status for call in sim.inbox.received("sales")} == {200}

    asyncio.run(scenario())


def test_i11_f39_after_a_429_nothing_comes_too_early_and_no_attempt_is_used_up(tmp_path: Path) -> None:
    """The limit of the channel is a surprise: a bare 429."""

    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.inbox.behave("sales", Behaviour(channel_limit=2, channel_window=0.4))
            one, two = (discord_sink(sim, "sales") for _ in range(2))
            async with lanes_of(tmp_path, one=one, two=two) as lanes:
                await lanes.arrive(40, "one", "two")
                await until(lambda: all_delivered(tmp_path, 80), 120)
            calls = sim.inbox.received("sales")
            assert {call.status for call in calls} == {200, 429}
            assert not any(call.too_early for call in calls)
            assert look(tmp_path, "SELECT max(failures) FROM deliveries") == [(0,)]

    asyncio.run(scenario())


def test_a_limit_for_all_webhooks_holds_the_other_channels_too_but_no_other_sink(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.inbox.behave("sales", Behaviour(statuses=(429,), global_limit=True, retry_after="1"))
            sales, other = discord_sink(sim, "sales"), discord_sink(sim, "other")
            async with lanes_of(tmp_path, sales=sales, other=other) as lanes:
                await lanes.arrive(1, "sales")
                await until(lambda: look(tmp_path, "SELECT 1 FROM paces WHERE name = 'discord'"))
                await lanes.arrive(1, "other", first=2)
                await until(lambda: all_delivered(tmp_path, 2), 60)
            (call,) = sim.inbox.received("other")
            assert call.at - sim.inbox.received("sales")[0].at >= 1

    asyncio.run(scenario())


def test_the_ban_of_the_edge_holds_every_discord_sink_for_ten_minutes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.inbox.behave("sales", Behaviour(status=429, edge=True, retry_after="1"))
            sales, other = discord_sink(sim, "sales"), discord_sink(sim, "other")
            async with lanes_of(tmp_path, sales=sales, other=other) as lanes:
                await lanes.arrive(1, "sales")
                await until(lambda: look(tmp_path, "SELECT 1 FROM paces WHERE name = 'discord'"))
                await lanes.arrive(1, "other", first=2)
                until_then = lanes.of["other"].turn.held()
                assert until_then is not None
                assert timedelta(minutes=9) < until_then - lanes.store.database.clock() <= timedelta(minutes=10)
                await asyncio.sleep(0.1)
            assert sim.inbox.received("other") == []

    asyncio.run(scenario())


def test_a_thread_that_is_gone_stops_its_sink_and_not_the_others_of_the_webhook(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim:
            sim.inbox.behave("sales", Behaviour(thread_gone=True))
            thread, channel = discord_sink(sim, "sales", thread_id="5"), discord_sink(sim, "sales")
            async with lanes_of(tmp_path, thread=thread, channel=channel) as lanes:
                await lanes.arrive(3, "thread", "channel")
                await until(lambda: lanes.of["thread"].lane.health == "stopped")
                await until(lambda: look(tmp_path, STATES) == [("delivered", 3), ("waiting", 3)])
                assert "thread is gone, not the webhook" in lanes.of["thread"].lane.reason

    asyncio.run(scenario())
