"""Rate limits: how long they last, and that reads and writes are apart."""

import asyncio
from datetime import timedelta

import pytest

from daemon.contract import (
    Access,
    SourceThrottled,
    SourceUnavailable,
    Unreachable,
)
from daemon.sources.builtbybit import BuiltByBitSource
from tests.daemon.sources.asking import Gates, against, enveloped, failing, opened, sweep
from tests.receivers import reply

ENVELOPE = b'{"result":"error","error":{"code":"RateLimitError","message":"Too many requests."}}'
EDGE = b"<html>Slow down</html>"
S, MS = timedelta(seconds=1), timedelta(milliseconds=1)
WAITS: list[tuple[bytes, str | None, timedelta | None]] = [
    (ENVELOPE, "60000", 60 * S),
    (ENVELOPE, "1", MS),
    (ENVELOPE, "493.25", 493.25 * MS),
    (ENVELOPE, "0.5", 0.5 * MS),
    (ENVELOPE, " 1500 ", 1500 * MS),
    (ENVELOPE, "86400000", 24 * 3600 * S),
    (ENVELOPE, "86400001", None),
    (ENVELOPE, "1000000000000", None),
    (ENVELOPE, "9" * 400, None),
    (ENVELOPE, "1e3", S),
    (ENVELOPE, "0", None),
    (ENVELOPE, "0.0", None),
    (ENVELOPE, "-1500", None),
    (ENVELOPE, "nan", None),
    (ENVELOPE, "inf", None),
    (ENVELOPE, "", None),
    (ENVELOPE, None, None),
    (ENVELOPE, "in a while", None),
    (ENVELOPE, "Wed, 04 Mar 2026 05:06:37 GMT", 30 * S),
    (ENVELOPE, "Wed, 04 Mar 2026 05:00:00 GMT", None),
    (EDGE, "60", 60 * S),
    (EDGE, "0.25", 0.25 * S),
    (EDGE, "86400", 24 * 3600 * S),
    (EDGE, "86401", None),
    (EDGE, "60000", 60_000 * S),
    (EDGE, "0", None),
    (EDGE, "-5", None),
    (EDGE, "soon", None),
    (EDGE, None, None),
    (EDGE, "Wed, 04 Mar 2026 05:07:07 GMT", 60 * S),
    (EDGE, "Wed, 04 Mar 2026 06:07:07 +0100", 60 * S),
    (EDGE, "Wed, 04 Mar 2026 05:07:07", 60 * S),
    (EDGE, "Fri, 06 Mar 2026 05:07:07 GMT", None),
    (EDGE, "Wed, 04 Mar 99999999999999999999 05:07:07 GMT", None),
    (b"", "5", 5 * S),
    (b"[]", "5", 5 * S),
    (b'{"message":"rate limited"}', "5", 5 * S),
    (b'{"result":"success","data":null}', "5000", 5 * S),
]


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("body", "given", "wait"), WAITS)
def test_a_rate_limit_shuts_the_gate_for_as_long_as_it_says(
    access: Access, status: int, body: bytes, given: str | None, wait: timedelta | None
) -> None:
    gates = Gates()
    act = sweep if access == "read" else lambda source: source.acknowledge(["1"])
    answer = reply(status, body, **({} if given is None else {"Retry-After": given}))
    trouble, server = against(answer, act, gates)
    if status == 503 and given is None:
        assert isinstance(trouble, SourceUnavailable)
        assert gates.shut_for == []
        return
    assert isinstance(trouble, SourceThrottled)
    assert trouble.access == access
    ((host, shut, asked),) = gates.shut_for
    assert (host, shut) == (f"127.0.0.1:{server.port}", access)
    assert asked == (None if wait is None else pytest.approx(wait, abs=timedelta(microseconds=1)))
    assert gates.passes == []


def test_nothing_goes_out_through_a_shut_gate_and_reads_and_writes_are_apart() -> None:
    gates = Gates()

    async def act(source: BuiltByBitSource) -> None:
        gates.is_shut = {"read"}
        for asking in (sweep(source), source.check()):
            with pytest.raises((SourceThrottled, Unreachable)):
                await asking
        assert await source.acknowledge(["1"]) is None
        gates.is_shut = {"write"}
        with pytest.raises(SourceThrottled):
            await source.acknowledge(["1"])
        await sweep(source)

    _, server = against(enveloped({"events": []}), act, gates)
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert [access for _, access in gates.passes] == ["write", "read"]


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_any_answer_but_a_rate_limit_says_that_the_gate_was_passed(status: int) -> None:
    gates = Gates()
    against(failing(status), sweep, gates)
    assert [access for _, access in gates.passes] == ["read"]


def test_hosts_are_the_same_whatever_their_case() -> None:
    async def scenario() -> list[str]:
        urls = ("https://API.BuiltByBit.com/v2", "https://api.builtbybit.com/v2")
        hosts = []
        for url in urls:
            async with opened(url) as source:
                hosts.append(source.host)
        return hosts

    assert asyncio.run(scenario()) == ["api.builtbybit.com"] * 2
