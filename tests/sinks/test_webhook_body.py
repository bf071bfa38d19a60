"""What is sent: the data alone, or a structure of the owner's, filled in as values and never spliced."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.contract import OWN_SOURCE, Report
from daemon.http import Http
from sinks.webhook import WebhookSink
from tests.events import HOSTILE, JSON, delivery, event
from tests.receivers import Request, http_receiver
from tests.sinks.webhook_settings import refusal, settings

CANARY = "canary-of-the-body-0123456789"


def sent(data: Any, *, kind: str = "purchase", **values: Any) -> tuple[Request, Report]:
    async def run() -> tuple[Request, Report]:
        async with http_receiver() as receiver:
            sink = WebhookSink(settings(**values | {"url": receiver.url}), Http())
            report = await sink.deliver(delivery(event(data, kind=kind)))
            await sink.close()
            return receiver.requests[0], report

    return asyncio.run(run())


def body(data: Any, **values: Any) -> bytes:
    """What would be sent, without sending it."""
    return settings(**values).sent().of(delivery(event(data)))


def test_raw_is_the_data_as_the_source_sent_it() -> None:
    data = {"user_id": 5, "username": "ö", "addon_id": "0", "price": 9.5, "none": None}
    request, report = sent(data, body="raw")
    assert json.loads(request.body) == data
    assert request.headers["content-type"] == "application/json"
    assert report.body == request.body


def test_a_json_body_is_the_structure_filled_in() -> None:
    structure = {
        "kind": "{trigger}",
        "ids": ["{event_id}", "{listener_id}", "{source}", "{delivery_id}"],
        "buyer": {"name": "{username}", "note": "{username} paid {final_price}"},
        "version": 2,
        "live": True,
    }
    request, _ = sent({"username": "Steve", "final_price": "9.99"}, json=structure)
    assert json.loads(request.body) == {
        "kind": "purchase",
        "ids": ["4711", "12", "builtbybit", "builtbybit-1-sales"],
        "buyer": {"name": "Steve", "note": "Steve paid 9.99"},
        "version": 2,
        "live": True,
    }
    assert request.headers["content-type"] == "application/json"


def test_a_form_body_is_a_form() -> None:
    request, report = sent({"username": "A & B=C+ö", "x": None}, form={"user": "{username}", "n": 5, "x": "{x}"})
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == report.body == b"user=A+%26+B%3DC%2B%C3%B6&n=5&x="


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("9.99", "9.99"),
        (None, ""),
        (5, "5"),
        (9.5, "9.5"),
        (True, "true"),
        (float("nan"), "nan"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
    ],
)
def test_every_placeholder_becomes_text_as_in_builtbybits_own_webhooks(value: Any, text: str) -> None:
    assert json.loads(body({"x": value}, json={"x": "{x}"})) == {"x": text}


def test_a_missing_placeholder_is_empty() -> None:
    assert json.loads(body({}, json={"x": "a{nobody}b"})) == {"x": "ab"}


def test_a_placeholder_of_the_event_goes_before_one_of_ours() -> None:
    assert json.loads(body({"source": "shop"}, json={"x": "{source} {trigger}"})) == {"x": "shop purchase"}


def test_doubled_braces_are_braces() -> None:
    assert json.loads(body({"x": "{y}"}, json={"x": "{{x}} {{{x}}}"})) == {"x": "{x} {{y}}"}


@pytest.mark.parametrize("name", HOSTILE)
def test_values_are_encoded_and_never_spliced(name: str) -> None:
    """No value can add a key, end a string, or be filled in a second time."""
    data = HOSTILE[name] | {"username": '","admin":true,"x":"{secret_of_others}&admin=1'}
    structure = {"a": "{username}", "b": ["{resource_title}"], "c": "{message} {command}"}
    got = json.loads(body(data, json=structure))
    assert list(got) == ["a", "b", "c"]
    assert got["a"] == data["username"]
    pairs = parse_qsl(body(data, form={"a": "{username}", "b": "{message}"}).decode("ascii"), keep_blank_values=True)
    assert [key for key, _ in pairs] == ["a", "b"]
    assert pairs[0][1] == data["username"]


@given(st.dictionaries(st.sampled_from("abc"), JSON))
def test_any_value_can_be_sent(data: Any) -> None:
    got = json.loads(body(data, json={"x": "{a}{b}", "y": [{"z": "{c}"}]}))
    assert isinstance(got["x"], str)
    assert parse_qsl(body(data, form={"x": "-{a}"}).decode("ascii"))[0][0] == "x"


def test_a_receiver_written_for_builtbybits_own_webhooks_works_unchanged(tmp_path: Any) -> None:
    """Those post what their owner filled into a form there: text in quotes, the owner's secret among it, unsigned."""
    (tmp_path / "secret").write_text(CANARY + "\n")
    names = ["user_id", "resource_id", "addon_id", "bundle_id", "renewal", "final_price", "purchase_date"]
    structure = {"secret": f"file:{tmp_path / 'secret'}", **{name: f"{{{name}}}" for name in names}}
    as_api_events_may_be = {
        "user_id": 4711,
        "resource_id": "1234",
        "addon_id": 0,
        "bundle_id": None,
        "renewal": "none",
        "final_price": 9.99,
        "purchase_date": 1769882400,
    }

    def accepts(post: dict[str, str]) -> bool:
        """What licence panels that take those webhooks look at."""
        return (
            post["secret"] == CANARY
            and all(re.fullmatch(r"\d+", post[name]) for name in ("user_id", "resource_id", "addon_id"))
            and bool(re.fullmatch(r"\d+(\.\d+)?", post["final_price"]))
            and bool(re.fullmatch(r"\d+", post["purchase_date"]))
            and post["bundle_id"] == ""
        )

    as_json, _ = sent(as_api_events_may_be, json=structure)
    assert accepts(json.loads(as_json.body))
    as_form, _ = sent(as_api_events_may_be, form=structure)
    assert accepts(dict(parse_qsl(as_form.body.decode(), keep_blank_values=True)))


@pytest.mark.parametrize("form", ["json", "form"])
@pytest.mark.parametrize("secret", [CANARY, "pw 1", 'ä"&\\'])
def test_s15_a_secret_in_the_body_is_sent_and_never_kept_or_shown(
    form: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is too short, or too odd, to be found in a text."""
    monkeypatch.setenv("BODY_SECRET", secret)
    request, report = sent({"username": "Steve"}, **{form: {"secret": "env:BODY_SECRET", "u": "{username}"}})
    got = dict(parse_qsl(request.body.decode())) if form == "form" else json.loads(request.body)
    assert got == {"secret": secret, "u": "Steve"}
    kept = dict(parse_qsl(report.body.decode())) if form == "form" else json.loads(report.body)
    assert kept == {"secret": "***", "u": "Steve"}
    made = settings(**{form: {"secret": "env:BODY_SECRET", "deep": "x"}})
    assert secret not in WebhookSink(made, Http()).render(delivery())
    assert secret not in repr(made)


@pytest.mark.parametrize("key", ["secret", "Password", "token", "api_key"])
def test_a_secret_that_was_written_out_is_not_kept_either(key: str) -> None:
    _, report = sent({}, json={"login": {key: "hunter2"}, "key": "plain"})
    assert json.loads(report.body) == {"login": {key: "***"}, "key": "plain"}


def test_a_placeholder_under_such_a_key_is_no_secret() -> None:
    _, report = sent({"token": "from-the-event"}, json={"token": "{token}"})
    assert json.loads(report.body) == {"token": "from-the-event"}


def test_the_envelope_says_when_it_is_only_a_test() -> None:
    request, _ = sent({}, kind="purchase")
    assert "test" not in json.loads(request.body)
    trial = delivery(event({"a": 1}, kind="test.review", source=OWN_SOURCE))
    made = json.loads(settings().sent().of(trial))
    assert (made["type"], made["test"]) == ("review", True)
    assert json.loads(settings(json={"t": "{trigger}"}).sent().of(trial)) == {"t": "review"}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"json": {"a": "{"}}, '"a": a brace has no partner'),
        ({"json": {"a": {"b": ["x}"]}}}, '"b": a brace has no partner'),
        ({"json": {"a": "{}"}}, "no name of a placeholder"),
        ({"json": {"a": "{user name}"}}, "no name of a placeholder"),
        ({"json": {"a": "{x!r}"}}, "no name of a placeholder"),
        ({"json": {"a": "{x:>9999999}"}}, "no name of a placeholder"),
        ({"form": {"a": "{x.y[0]}"}}, "no name of a placeholder"),
        ({"json": {"a": float("nan")}}, "text, numbers, true and false"),
        ({"json": {"a": {"b": None}}}, '"b" can hold text, numbers'),
        ({"form": {"a": ["b"]}}, '"a" can hold text, numbers, true and false'),
        ({"json": {"a": "cred:../x"}}, "plain name of a credential"),
        ({"json": {"a": "env:NOBODY_HAS_THIS"}}, "the environment variable NOBODY_HAS_THIS"),
        ({"json": {}, "form": {}}, "keep one of them"),
        ({"body": "raw", "json": {}}, "keep one of them"),
        ({"body": "xml"}, "'envelope' or 'raw'"),
    ],
)
def test_a_structure_that_cannot_be_sent_is_explained(values: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(**values)


def test_a_structure_beyond_all_reason_is_refused() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    assert "64 deep" in refusal(json={"a": deep})


def test_an_empty_structure_is_sent_as_it_is() -> None:
    assert body({}, json={}) == b"{}"
    assert body({}, form={}) == b""
