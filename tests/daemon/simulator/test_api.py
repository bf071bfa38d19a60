"""The stand-in for BuiltByBit's API speaks as the real one is documented to."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from daemon.simulator import Faults, Simulator

Client = Callable[[Simulator], httpx.AsyncClient]


def error_code(answer: httpx.Response) -> str:
    """The code in an error envelope, whose whole shape is checked on the way."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"result", "error"}
    assert body["result"] == "error"
    assert body["error"].keys() == {"code", "message"}
    assert isinstance(body["error"]["message"], str)
    code = body["error"]["code"]
    assert isinstance(code, str)
    return code


def listed_ids(answer: httpx.Response) -> list[str]:
    return [str(event["event_id"]) for event in answer.json()["data"]["events"]]


def test_a_page_of_events_has_the_shape_of_the_openapi_description(client: Client) -> None:
    async def scenario() -> httpx.Response:
        async with Simulator.start(seed=3) as sim, client(sim) as http:
            for _ in range(30):
                sim.upstream.add_sample()
            return await http.get("/events", params={"page": 2, "per_page": 20})

    answer = asyncio.run(scenario())
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"result", "data"}
    assert body["result"] == "success"
    assert body["data"].keys() == {"events", "stats"}
    assert body["data"]["stats"] == {"total": 30, "page": 2, "per_page": 20, "max_page": 2}
    assert len(body["data"]["events"]) == 10
    for event in body["data"]["events"]:
        assert {name: type(value) for name, value in event.items()} == {
            "event_id": int,
            "listener_id": int,
            "created_at": int,
            "trigger_type": str,
            "trigger_data": dict,
        }
        assert abs(event["created_at"] - time.time()) < 60


def test_completing_answers_with_a_text_and_the_event_is_listed_no_more(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            first, second = sim.upstream.add_sample(), sim.upstream.add_sample()
            answer = await http.post("/events/complete", json={"event_ids": [int(first)]})
            assert answer.status_code == 200
            assert answer.json().keys() == {"result", "data"}
            assert answer.json()["result"] == "success"
            assert isinstance(answer.json()["data"], str)
            assert listed_ids(await http.get("/events")) == [second]
            assert sim.upstream.pending == [second]
            assert sim.upstream.completed == {first: 1}
            assert sim.upstream.calls[0].event_ids == (first,)

    asyncio.run(scenario())


def test_health_is_ok_and_pages_default_to_25(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            assert (await http.get("/health")).json() == {"result": "success", "data": "ok"}
            for _ in range(26):
                sim.upstream.add_sample()
            assert len(listed_ids(await http.get("/events"))) == 25
            assert len(listed_ids(await http.get("/events?page=2"))) == 1
            assert listed_ids(await http.get("/events?page=3")) == []
            for query in ("page=0", "page=x", "per_page=0", "per_page=101"):
                answer = await http.get(f"/events?{query}")
                assert (answer.status_code, error_code(answer)) == (400, "ParameterError")

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/nothing", "/events/complete", "/../v1/events"])
def test_an_unknown_route_is_answered_with_an_error_envelope(client: Client, path: str) -> None:
    async def scenario() -> httpx.Response:
        async with Simulator.start() as sim, client(sim) as http:
            return await http.get(path)

    answer = asyncio.run(scenario())
    assert (answer.status_code, error_code(answer)) == (404, "EndpointNotFoundError")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "HeaderMissingError"),
        ("abc", "HeaderFormatError"),
        ("Basic abc", "HeaderFormatError"),
        ("Token wrong", "TokenInvalidError"),
        ("Token abc", ""),
        ("Bearer abc", ""),
        ("Private abc", ""),
    ],
)
def test_only_the_right_token_with_its_type_is_let_in(header: str | None, code: str) -> None:
    async def scenario() -> None:
        async with (
            Simulator.start(token="abc") as sim,
            httpx.AsyncClient(base_url=sim.api_url, trust_env=False) as http,
        ):
            event_id = sim.upstream.add_sample()
            headers = {} if header is None else {"Authorization": header}
            answer = await http.post("/events/complete", json={"event_ids": [int(event_id)]}, headers=headers)
            if code:
                assert (answer.status_code, error_code(answer)) == (401, code)
            assert sim.upstream.completed == ({} if code else {event_id: 1})
            assert "abc" not in repr(sim.upstream.calls)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "request_made",
    [
        {"content": b"{}"},
        {"content": b"[1]"},
        {"content": b"\xff"},
        {"json": {"event_ids": 5}},
        {"json": {"event_ids": [True]}},
        {"json": {"event_ids": ["910001"]}},
        {"data": {"event_ids": "910001"}},
    ],
)
def test_a_completion_that_is_not_as_documented_is_refused(client: Client, request_made: dict[str, object]) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            sim.upstream.add_sample()
            headers = {"Content-Type": "application/json"} if "content" in request_made else {}
            answer = await http.post("/events/complete", headers=headers, **request_made)  # type: ignore[arg-type]
            assert (answer.status_code, error_code(answer)) == (400, "BodyError")
            assert sim.upstream.completed == {}

    asyncio.run(scenario())


def test_reads_and_writes_are_limited_apart_in_milliseconds_and_who_comes_early_is_noted(client: Client) -> None:
    async def scenario() -> None:
        faults = Faults(read_limit=2, limit_window=0.3)
        async with Simulator.start(faults=faults) as sim, client(sim) as http:
            assert [(await http.get("/health")).status_code for _ in range(2)] == [200, 200]
            answer = await http.get("/events")
            assert (answer.status_code, error_code(answer)) == (429, "RateLimitError")
            milliseconds = int(answer.headers["retry-after"])
            assert 0 < milliseconds <= 300
            assert (await http.get("/health")).status_code == 429
            assert (await http.post("/events/complete", json={"event_ids": []})).status_code == 200
            await asyncio.sleep(milliseconds / 1000)
            assert (await http.get("/health")).status_code == 200
            assert [call.too_early for call in sim.upstream.calls] == [False, False, False, True, False, False]

    asyncio.run(scenario())


def test_an_edge_speaks_html_and_seconds(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            sim.upstream.faults = Faults(error_status=503, retry_after="edge", limit_window=7)
            answer = await http.get("/events")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
            assert "html" in answer.headers["content-type"]
            sim.upstream.faults = Faults(read_limit=0, retry_after="edge_date", limit_window=7)
            answer = await http.get("/events")
            assert answer.status_code == 429
            wait = parsedate_to_datetime(answer.headers["retry-after"]) - datetime.now(UTC)
            assert 5 < wait.total_seconds() <= 8
            with pytest.raises(ValueError, match="Expecting"):
                answer.json()

    asyncio.run(scenario())


def test_errors_hit_the_chosen_share_of_the_chosen_calls(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(seed=5) as sim, client(sim) as http:
            sim.upstream.faults = Faults(scope="write", error_status=403, error_code="ScopeMissing", times=1)
            assert (await http.get("/health")).status_code == 200
            answer = await http.post("/events/complete", json={"event_ids": []})
            assert (answer.status_code, error_code(answer)) == (403, "ScopeMissing")
            assert (await http.post("/events/complete", json={"event_ids": []})).status_code == 200
            sim.upstream.faults = Faults(share=0.5, error_status=500)
            statuses = [(await http.get("/health")).status_code for _ in range(60)]
            assert 15 < statuses.count(500) < 45
            assert set(statuses) == {200, 500}

    asyncio.run(scenario())


def test_a_call_can_take_effect_although_it_is_answered_with_an_error(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(error_status=502, error_done=True)) as sim, client(sim) as http:
            event_id = sim.upstream.add_sample()
            answer = await http.post("/events/complete", json={"event_ids": [int(event_id)]})
            assert answer.status_code == 502
            assert sim.upstream.completed == {event_id: 1}

    asyncio.run(scenario())


def test_a_redirect_leads_to_a_login_page_that_the_ledger_would_show(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(error_status=302)) as sim, client(sim) as http:
            answer = await http.get("/events")
            assert (answer.status_code, answer.headers["location"]) == (302, "/login")
            assert [call.path for call in sim.upstream.calls] == ["/v2/events"]

    asyncio.run(scenario())


def test_ids_may_be_text_and_are_then_taken_as_text(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start(faults=Faults(ids="str")) as sim, client(sim) as http:
            event_id = sim.upstream.add_sample()
            listed = (await http.get("/events")).json()["data"]["events"][0]
            assert (listed["event_id"], listed["listener_id"]) == (event_id, "7001")
            await http.post("/events/complete", json={"event_ids": [event_id]})
            assert sim.upstream.completed == {event_id: 1}

    asyncio.run(scenario())


def test_malformed_raw_events_are_listed_as_they_are(client: Client) -> None:
    async def scenario() -> None:
        async with Simulator.start() as sim, client(sim) as http:
            sim.upstream.add_raw('{"event_id": 1e400, "x": NaN}')
            assert sim.upstream.add_raw({"event_id": "abc"}) == "abc"
            text = (await http.get("/events")).text
            assert '[{"event_id": 1e400, "x": NaN},{"event_id": "abc"}]' in text
            assert (await http.post("/events/complete", json={"event_ids": ["abc"]})).status_code == 200
            assert sim.upstream.pending == []
            assert json.loads((await http.get("/events")).text)["data"]["stats"]["total"] == 1

    asyncio.run(scenario())
