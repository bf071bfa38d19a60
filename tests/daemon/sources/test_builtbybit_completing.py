"""Completing events, and checking a source without changing anything there."""

import asyncio
import json
from typing import Any

import pytest

from daemon.contract import (
    AcknowledgementRefused,
    Unreachable,
)
from daemon.simulator import Faults, Simulator
from daemon.sources.builtbybit import BuiltByBitSource
from tests.daemon.sources.asking import TOKEN, against, enveloped, failing, ids, opened, sweep
from tests.receivers import Answer, hang_up, reply


@pytest.mark.parametrize(("status", "too_large"), [(400, False), (404, False), (409, False), (422, False), (413, True)])
@pytest.mark.parametrize("as_envelope", [True, False])
def test_a_refused_batch_is_an_answer(status: int, too_large: bool, as_envelope: bool) -> None:
    answer = failing(status, "EventNotFoundError") if as_envelope else reply(status, b"<html>")
    refusal, _ = against(answer, lambda source: source.acknowledge(["1", "2"]))
    code = " EventNotFoundError" if as_envelope else ""
    assert refusal == AcknowledgementRefused(f"HTTP {status}{code}", too_large)


@pytest.mark.parametrize(
    ("external_ids", "sent"),
    [
        (["4711"], [4711]),
        (["0", "-5"], [0, -5]),
        (["99999999999999999999999999"], [99999999999999999999999999]),
        (["9f1c", "007", "1e5", "-", "²"], ["9f1c", "007", "1e5", "-", "²"]),
        ([], []),
    ],
)
def test_ids_are_completed_as_the_numbers_that_they_were(external_ids: list[str], sent: list[Any]) -> None:
    _, server = against(enveloped("done"), lambda source: source.acknowledge(external_ids))
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v2/events/complete")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"event_ids": sent}


@pytest.mark.parametrize("data", ["done", None, [], {}, {"completed": 1}, 0, True])
def test_what_a_completion_answers_besides_success_is_of_no_interest(data: Any) -> None:
    assert against(enveloped(data), lambda source: source.acknowledge(["1"]))[0] is None


def test_the_simulator_agrees_with_what_is_completed() -> None:
    async def scenario() -> None:
        for kind in ("int", "str"):
            async with (
                Simulator.start(faults=Faults(ids=kind, unknown_id=404)) as sim,  # type: ignore[arg-type]
                opened(sim.api_url, token=sim.token) as source,
            ):
                for _ in range(3):
                    sim.upstream.add_sample()
                sim.upstream.add_raw({"event_id": "abc"})
                listed = ids(await sweep(source))
                assert len(listed) == 4
                assert await source.acknowledge(listed) is None
                assert sim.upstream.pending == []
                refusal = await source.acknowledge(["5"])
                assert refusal == AcknowledgementRefused("HTTP 404 EventNotFoundError")

    asyncio.run(scenario())


CHECKS: dict[str, tuple[Faults, int, str]] = {
    "none": (Faults(), 0, "token accepted, 0 events wait; if you expect some, is a listener enabled?"),
    "one": (Faults(), 1, "token accepted, 1 event waits"),
    "many": (Faults(), 230, "token accepted, 230 events wait"),
    "no stats": (Faults(stats="missing"), 30, "token accepted, 30 events wait"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_checking_says_what_waits_and_completes_nothing(name: str) -> None:
    faults, pending, sentence = CHECKS[name]

    async def scenario() -> None:
        async with Simulator.start(faults=faults) as sim, opened(sim.api_url, token=sim.token) as source:
            for _ in range(pending):
                sim.upstream.add_sample()
            assert await source.check() == sentence
            assert len(sim.upstream.pending) == pending
            assert [call.path for call in sim.upstream.calls] == ["/v2/health", "/v2/events"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (failing(401, "TokenInvalidError"), "BuiltByBit refuses the token (401 TokenInvalidError)"),
        (failing(500), "BuiltByBit answers with an error (HTTP 500 SomeError)"),
        (reply(200, b"<html>"), "without its envelope"),
        (hang_up, "BuiltByBit cannot be reached"),
        (failing(429, Retry_After="1000"), "shut"),
    ],
)
def test_checking_says_in_a_sentence_what_is_wrong(answer: Answer, sentence: str) -> None:
    async def act(source: BuiltByBitSource) -> str:
        with pytest.raises(Unreachable) as raised:
            await source.check()
        return str(raised.value)

    said, _ = against(answer, act)
    assert sentence in said
    assert TOKEN not in said
