"""Another process can drive the stand-ins and read their ledgers over HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from daemon.simulator import Simulator

Client = Callable[[Simulator], httpx.AsyncClient]


def test_events_are_added_and_the_state_shows_what_became_of_them(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            control = f"{sim.inbox_url}/_sim"
            samples = (await http.post(f"{control}/events", json={"samples": 2, "kind": "review"})).json()["ids"]
            own = {"kind": "purchase", "data": {"price": "1"}, "listener_id": 5}
            (made,) = (await http.post(f"{control}/events", json=own)).json()["ids"]
            assert (await http.post(f"{control}/events", json={"raw": {"x": 1}})).json() == {"ids": [None]}
            await http.post("/events/complete", json={"event_ids": [int(made)]})
            await http.post(sim.webhook_url("shop"), headers={"webhook-id": "d-1"})
            state = (await http.get(f"{control}/state")).json()
            assert state["pending"] == samples == sim.upstream.pending
            assert state["completed"] == {made: 1}
            assert [(call["method"], call["path"], call["status"]) for call in state["calls"]] == [
                ("POST", "/v2/events/complete", 200)
            ]
            assert [(one["id"], one["status"]) for one in state["received"]["shop"]] == [("d-1", 200)]
            assert state["mail"] == state["unknown"] == []
            assert sim.token not in (await http.get(f"{control}/state")).text

    asyncio.run(scenario())


def test_switches_are_set_for_the_api_the_receivers_and_mail(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            faults = f"{sim.inbox_url}/_sim/faults"
            order = {"api": {"error_status": 500}, "receivers": {"shop": {"status": 503}}, "mail": {"rcpt": ["451 no"]}}
            assert (await http.post(faults, json=order)).json() == {
                "api": {"error_status": 500},
                "mail": {"rcpt": ["451 no"]},
            }
            assert (await http.get("/health")).status_code == 500
            assert (await http.post(sim.webhook_url("shop"))).status_code == 503
            assert sim.mail.behaviour.rcpt == ("451 no",)
            await http.post(faults, json={"receivers": {}})
            assert (await http.get("/health")).status_code == 500
            await http.post(faults, json={"api": {}})
            assert (await http.get("/health")).status_code == 200
            assert (await http.post(sim.webhook_url("shop"))).status_code == 503

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("events", [], "the body must be a JSON object"),
        ("events", {}, 'give {"samples": 1 to 100000}'),
        ("events", {"samples": 0}, 'give {"samples": 1 to 100000}'),
        ("events", {"samples": 1, "kind": "sale"}, "kind must be one of purchase, review, update, publish, unknown"),
        ("events", {"samples": 1, "n": 2}, 'give {"samples": 1 to 100000}'),
        ("faults", {}, 'give {"api": {...}}'),
        ("faults", {"apis": {}}, 'give {"api": {...}}'),
        ("faults", {"api": {"latncy": 1}}, 'unknown switch "latncy"; did you mean "latency"?'),
        ("faults", {"receivers": {"a/b": {}}}, '"a/b" cannot be a receiver\'s name'),
        ("faults", {"api": {"latency": 1}, "mail": {"rcpt": [1]}}, "rcpt must be str, not int"),
    ],
)
def test_a_mistake_is_answered_in_one_line_and_changes_nothing(client: Client, path: str, body: Any, line: str) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            before = sim.upstream.faults
            answer = await http.post(f"{sim.inbox_url}/_sim/{path}", json=body)
            assert answer.status_code == 400
            assert answer.json()["error"].startswith(line)
            assert sim.upstream.faults is before
            assert sim.upstream.pending == []

    asyncio.run(scenario())


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            answer = await http.post(f"{sim.inbox_url}/_sim/faults", content=b"{")
            assert (answer.status_code, answer.json()) == (400, {"error": "the body is not JSON"})
            assert (await http.get(f"{sim.inbox_url}/_sim/other")).status_code == 404

    asyncio.run(scenario())


def test_it_tells_the_discord_url_of_any_name(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            told = await http.get(f"{sim.inbox_url}/_sim/discord/team_2")
            assert (told.status_code, told.text) == (200, f"{sim.discord_url('team_2')}\n")
            assert (await http.get(told.text.strip())).json()["name"] == "team_2"
            assert (await http.get(f"{sim.inbox_url}/_sim/discord/a.b")).status_code == 400

    asyncio.run(scenario())
