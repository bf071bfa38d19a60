"""Credentials: how they are sent, refused, pasted, replaced, and never shown."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from daemon import __version__
from daemon.contract import (
    SourceRefused,
    SourceUnavailable,
    Unreachable,
)
from daemon.redaction import redact
from daemon.secrets import Secret
from daemon.sources.builtbybit import BuiltByBitSource, bare_token
from tests.daemon.sources.asking import TOKEN, against, enveloped, event, failing, opened, sweep
from tests.receivers import Answer, http_receiver, reply

REFUSED = (
    "BuiltByBit refuses the token ({}): Ultimate ended, token deleted, Events scope missing, or account restricted. "
    "Sales wait there, and the listener may be switched off."
)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("answered", "code"),
    [
        (lambda status: failing(status, "TokenInvalidError"), " TokenInvalidError"),
        (lambda status: failing(status, f"<{TOKEN}>"), ""),
        (lambda status: failing(status, None), ""),
        (lambda status: reply(status, b"<html>Just a moment"), ""),
        (lambda status: reply(status, b""), ""),
        (lambda status: reply(status, b"x", Content_Encoding="gzip"), ""),
    ],
)
def test_a_refusal_is_told_with_its_code(status: int, answered: Callable[[int], Answer], code: str) -> None:
    trouble, _ = against(answered(status), sweep)
    assert isinstance(trouble, SourceRefused)
    assert str(trouble) == REFUSED.format(f"{status}{code}")
    trouble, _ = against(answered(status), lambda source: source.acknowledge(["1"]))
    assert isinstance(trouble, SourceRefused)
    assert str(trouble) == f"cannot complete: the token lacks the right ({status}{code})"


@pytest.mark.parametrize(("scheme", "word"), [("token", "Token"), ("bearer", "Bearer")])
def test_every_call_carries_the_token_and_says_who_calls(scheme: str, word: str) -> None:
    async def act(source: BuiltByBitSource) -> str:
        await source.acknowledge(["1"])
        await sweep(source)
        return await source.check()

    said, server = against(enveloped({"events": []}), act, scheme=scheme)
    assert said == "token accepted, 0 events wait; if you expect some, is a listener enabled?"
    assert [f"{request.method} {request.target}" for request in server.requests] == [
        "POST /v2/events/complete",
        "GET /v2/events?page=1&per_page=100",
        "GET /v2/health",
        "GET /v2/events?page=1&per_page=100",
    ]
    for request in server.requests:
        assert request.headers["authorization"] == f"{word} {TOKEN}"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"].startswith(f"eventferry/{__version__} (")
        assert "cookie" not in request.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else(status: int) -> None:
    async def scenario() -> None:
        async with http_receiver(enveloped({"events": [event(1)]})) as elsewhere:
            answer = reply(status, b"", Location=f"{elsewhere.url}/v2/events")
            async with http_receiver(answer) as server, opened(f"{server.url}/v2") as source:
                for act in (sweep(source), source.acknowledge(["1"]), source.check()):
                    with pytest.raises((SourceUnavailable, Unreachable)):
                        await act
                assert len(server.requests) == 3
                assert elsewhere.connections == 0

    asyncio.run(scenario())


PASTED = [
    "abc-123", " abc-123\n", '"abc-123"', "'abc-123'", "`abc-123`", "Token abc-123", "token abc-123", "TOKEN  abc-123",
    "Private abc-123", "Shared abc-123", "Bearer abc-123", "Authorization: Token abc-123",
    "authorization:private abc-123", '"Token abc-123"', "Token 'abc-123'", "Token abc-123\r\n", "\tToken\tabc-123\t",
]  # fmt: skip


@pytest.mark.parametrize("pasted", PASTED)
def test_a_token_is_understood_as_people_paste_it(pasted: str) -> None:
    assert bare_token(pasted) == "abc-123"
    _, server = against(enveloped({"events": []}), sweep, token=pasted)
    assert server.requests[0].headers["authorization"] == "Token abc-123"


@pytest.mark.parametrize(
    "pasted", ["", "  ", '""', "abc def", "Token abc def", "abc\ndef", "äbc", "abc\u200b", "x" * 501]
)
def test_what_is_no_token_is_refused_without_being_shown(pasted: str) -> None:
    with pytest.raises(ValidationError) as error:
        BuiltByBitSource.Settings.model_validate({"token": pasted})
    (problem,) = error.value.errors(include_input=False)
    assert "not a token" in problem["msg"] or "must be text" in problem["msg"]
    assert not pasted.strip() or pasted not in problem["msg"]


def test_the_bare_token_is_known_as_a_secret_although_it_was_pasted_with_its_prefix() -> None:
    against(enveloped({"events": []}), sweep, token="Private Zx9-bare-token")
    assert redact("it says Zx9-bare-token") == "it says ***"


def test_a_token_from_a_file_is_looked_up_again_on_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")

    async def act(source: BuiltByBitSource) -> None:
        await sweep(source)
        assert not source.credentials_changed()
        file.write_text("Token second-token\n")
        assert source.credentials_changed()
        assert not source.credentials_changed()
        await sweep(source)
        file.unlink()
        assert not source.credentials_changed()
        await sweep(source)
        file.write_text("no token\n")
        assert source.credentials_changed()
        with pytest.raises(SourceRefused, match="the token cannot be used: not a token") as raised:
            await sweep(source)
        assert "no token\n" not in str(raised.value)

    _, server = against(enveloped({"events": []}), act, token=Secret(f"file:{file}"))
    assert [request.headers["authorization"] for request in server.requests] == [
        "Token first-token",
        "Token second-token",
        "Token second-token",
    ]


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://api.builtbybit.com/v2", True),
        ("https://api.builtbybit.com/v2/", True),
        ("http://127.0.0.1:8470/v2", True),
        ("http://localhost:8470/v2", True),
        ("http://[::1]:8470/v2", True),
        ("http://api.builtbybit.com/v2", False),
        ("http://10.0.0.1/v2", False),
        ("ftp://127.0.0.1/v2", False),
        ("https://user:secret@api.builtbybit.com/v2", False),
        ("https://api.builtbybit.com/v2?token=abc", False),
        ("https://api.builtbybit.com/v2#x", False),
        ("api.builtbybit.com/v2", False),
        ("https://", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_the_token_is_sent_by_https_only_or_within_this_machine(url: str, fits: bool) -> None:
    if fits:
        assert BuiltByBitSource.Settings.model_validate({"base_url": url, "token": "x"}).base_url == url.rstrip("/")
    else:
        with pytest.raises(ValidationError):
            BuiltByBitSource.Settings.model_validate({"base_url": url, "token": "x"})
