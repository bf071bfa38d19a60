"""The receivers answer as Discord and as a webhook would, and keep a ledger of what came."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from daemon.simulator import Behaviour, Simulator

QUIET = {"allowed_mentions": {"parse": []}}


def http_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=10)


def test_a_delivery_is_kept_with_its_id_headers_and_body() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            url = sim.webhook_url("shop")
            for webhook_id in ("a-1", "a-2", "a-1"):
                answer = await http.post(url, json={"n": webhook_id}, headers={"Webhook-Id": webhook_id})
                assert answer.status_code == 200
            received = sim.inbox.received("shop")
            assert [call.id for call in received] == ["a-1", "a-2", "a-1"]
            assert [call.json() for call in received] == [{"n": "a-1"}, {"n": "a-2"}, {"n": "a-1"}]
            assert received[0].headers["content-type"] == "application/json"
            assert all(call.accepted and call.at <= time.monotonic() for call in received)
            assert sim.inbox.received("other") == []

    asyncio.run(scenario())


def test_discord_answers_with_the_message_if_it_is_waited_for() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            url = sim.discord_url("sales")
            message = {"content": "hello", "embeds": [{"title": "t"}], **QUIET}
            answer = await http.post(f"{url}?wait=true", json=message)
            assert answer.status_code == 200
            made = answer.json()
            assert made["content"] == "hello"
            assert made["embeds"] == [{"type": "rich", "title": "t"}]
            required = {
                "type", "content", "mentions", "mention_roles", "attachments", "embeds", "timestamp", "flags",
                "edited_timestamp", "components", "id", "channel_id", "author", "pinned", "mention_everyone", "tts",
            }  # fmt: skip
            assert required <= made.keys()
            assert 17 <= len(made["id"]) <= 20
            headers = {name.lower() for name in answer.headers}
            assert {
                f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset", "reset-after", "bucket")
            } <= headers
            silent = await http.post(url.replace("/api/", "/api/v10/"), json=message)
            assert (silent.status_code, silent.content) == (204, b"")
            first, second = sim.inbox.received("sales")
            assert first.id == made["id"] != second.id
            assert first.hazards == ()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"content": "x" * 2001}, 50035),
        ({"content": ""}, 50006),
        ([], 50109),
        ({"embeds": [{"title": "x" * 257}]}, 50035),
    ],
)
def test_discord_refuses_a_message_that_breaks_its_rules(message: Any, code: int) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            answer = await http.post(sim.discord_url("sales"), json=message)
            assert (answer.status_code, answer.json()["code"]) == (400, code)
            assert ("errors" in answer.json()) == (code == 50035)
            assert [call.accepted for call in sim.inbox.received("sales")] == [False]

    asyncio.run(scenario())


def test_a_look_at_a_discord_webhook_tells_who_it_is_and_delivers_nothing() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            url = sim.discord_url("sales")
            answer = await http.get(url)
            assert answer.status_code == 200
            assert answer.json()["name"] == "sales"
            assert url.endswith(f"/{answer.json()['id']}/{answer.json()['token']}")
            sim.inbox.behave("sales", Behaviour(deleted=True))
            for answer in (await http.get(url), await http.post(url, json={"content": "x"}), await http.get(url[:-1])):
                assert (answer.status_code, answer.json()["code"]) == (404, 10015)
            assert [call.status for call in sim.inbox.received("sales")] == [404]
            sim.inbox.behave("sales", Behaviour(status=401))
            assert (await http.get(url)).json()["code"] == 50027
            assert (await http.get(sim.webhook_url("shop"))).status_code == 405

    asyncio.run(scenario())


def test_discord_limits_in_seconds_and_notes_who_comes_too_early() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            sim.inbox.behave("sales", Behaviour(limit=2, limit_window=0.5))
            url = sim.discord_url("sales")
            first = await http.post(url, json={"content": "1"})
            assert first.headers["x-ratelimit-remaining"] == "1"
            await http.post(url, json={"content": "2"})
            limited = await http.post(url, json={"content": "3"})
            assert limited.status_code == 429
            assert limited.headers["retry-after"] == "1"
            body = limited.json()
            assert 0 < body["retry_after"] <= 0.5
            assert body["global"] is False
            await http.post(url, json={"content": "4"})
            await asyncio.sleep(body["retry_after"])
            assert (await http.post(url, json={"content": "5"})).status_code == 204
            assert [call.too_early for call in sim.inbox.received("sales")] == [False, False, False, True, False]

    asyncio.run(scenario())


def test_each_discord_url_is_a_webhook_of_its_own_with_its_own_limit() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            for name in ("sales", "private"):
                sim.inbox.behave(name, Behaviour(limit=1, limit_window=60))
                url = (await http.get(f"{sim.inbox_url}/_sim/discord/{name}")).text.strip()
                answers = [await http.post(url, json={"content": name}) for _ in range(2)]
                assert [answer.status_code for answer in answers] == [204, 429]
                assert [call.accepted for call in sim.inbox.received(name)] == [True, False]

    asyncio.run(scenario())


def test_discords_limit_of_a_channel_is_told_by_nothing_but_a_429() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            sim.inbox.behave("sales", Behaviour(limit=5, channel_limit=2, channel_window=60))
            url = sim.discord_url("sales")
            first, second, third = [await http.post(url, json={"content": "x"}) for _ in range(3)]
            assert [answer.status_code for answer in (first, second, third)] == [204, 204, 429]
            assert [answer.headers["x-ratelimit-remaining"] for answer in (first, second, third)] == ["4", "3", "2"]
            assert 50 < third.json()["retry_after"] <= 60

    asyncio.run(scenario())


def test_discord_can_limit_all_that_an_address_sends() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            sim.inbox.behave("sales", Behaviour(status=429, global_limit=True))
            answer = await http.post(sim.discord_url("sales"), json={"content": "x"})
            assert (answer.status_code, answer.json()["global"]) == (429, True)
            assert (answer.headers["x-ratelimit-scope"], answer.headers["x-ratelimit-global"]) == ("global", "true")

    asyncio.run(scenario())


def test_a_thread_can_be_gone_while_its_channel_is_there() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            sim.inbox.behave("sales", Behaviour(thread_gone=True))
            url = sim.discord_url("sales")
            answer = await http.post(f"{url}?thread_id=5", json={"content": "x"})
            assert (answer.status_code, answer.json()["code"]) == (404, 10003)
            assert (await http.post(url, json={"content": "x"})).status_code == 204

    asyncio.run(scenario())


def test_statuses_come_in_order_and_then_the_last_word() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            url = sim.webhook_url("shop")
            sim.inbox.behave("shop", Behaviour(statuses=(503, 202, 302, 204), retry_after="7"))
            answers = [await http.post(url) for _ in range(5)]
            assert [answer.status_code for answer in answers] == [503, 202, 302, 204, 200]
            assert answers[0].headers["retry-after"] == "7"
            assert answers[2].headers["location"] == "/webhook/shop-redirected"
            sim.inbox.behave("shop", Behaviour(status=410))
            assert [(await http.post(url)).status_code for _ in range(3)] == [410] * 3
            early = [call.too_early for call in sim.inbox.received("shop")]
            assert early == [False, True, True, True, True, True, True, True]

    asyncio.run(scenario())


def test_discord_errors_are_json_or_those_of_the_edge() -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            url = sim.discord_url("sales")
            sim.inbox.behave("sales", Behaviour(statuses=(401, 429, 500), retry_after="3"))
            answers = [await http.post(url, json={"content": "x"}) for _ in range(3)]
            assert [answer.json()["code"] for answer in (answers[0], answers[2])] == [50027, 0]
            assert answers[1].json()["retry_after"] == 3
            sim.inbox.behave("sales", Behaviour(status=429, edge=True))
            ban = await http.post(url, json={"content": "x"})
            assert (ban.status_code, ban.text) == (429, "error code: 1015\n")
            assert "via" not in ban.headers

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "accepted"),
    [
        (Behaviour(drop="before", times=1), False),
        (Behaviour(drop="after", times=1), True),
        (Behaviour(drop="midway", times=1), True),
        (Behaviour(hang=True, times=1), True),
    ],
)
def test_a_receiver_can_take_a_delivery_and_its_answer_be_lost(behaviour: Behaviour, accepted: bool) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, http_client() as http:
            sim.inbox.behave("shop", behaviour)
            with pytest.raises(httpx.HTTPError):
                await http.post(sim.webhook_url("shop"), headers={"webhook-id": "a"}, timeout=0.3)
            assert (await http.post(sim.webhook_url("shop"), headers={"webhook-id": "a"})).status_code == 200
            assert [(call.id, call.accepted) for call in sim.inbox.received("shop")] == [("a", accepted), ("a", True)]

    asyncio.run(scenario())
