"""Events nested more deeply than Python decodes."""

import json

import pytest

from daemon.contract import Incoming, Unidentified
from daemon.sources._builtbybit_event import split_envelope, to_incoming
from daemon.sources._json import NotJson
from tests.daemon.sources.entries import NOW, entry, understood

DEEP = "[" * 200_000 + "]" * 200_000


def envelope(*events: str, more: str = "") -> str:
    return f'{{"result":"success","data":{{"events":[{",".join(events)}],"stats":{{"total":2}}}}{more}}}'


def test_one_event_nested_too_deeply_spoils_neither_itself_nor_the_others() -> None:
    spoilt = json.dumps(entry(event_id=1, trigger_data={"x": "DEEP", "y": "z"})).replace('"DEEP"', DEEP)
    fine = json.dumps(entry())
    split = split_envelope(
        envelope(spoilt, fine, f'{{"event_id":2,"odd":{DEEP}}}', DEEP, "5", f'{{"event_id":{DEEP}}}')
    )
    assert split["result"] == "success"
    assert split["data"]["stats"] == {"total": 2}
    one, other, third, fourth, fifth, sixth = (to_incoming("shop", given, NOW) for given in split["data"]["events"])
    assert isinstance(one, Incoming)
    assert (one.event.external_id, one.event.data, one.raw) == ("1", {"x": DEEP, "y": "z"}, None)
    assert other == understood(entry())
    assert isinstance(third, Incoming)
    assert third.raw is not None
    assert json.loads(third.raw) == {"event_id": 2, "odd": DEEP}
    assert fourth == Unidentified(json.dumps(DEEP), "no event_id")
    assert fifth == Unidentified("5", "no event_id")
    assert isinstance(sixth, Unidentified)


@pytest.mark.parametrize("name", ["trigger_data", "trigger_type", "created_at", "listener_id"])
def test_any_one_field_may_be_too_deep(name: str) -> None:
    text = json.dumps(entry(**{name: "DEEP"})).replace('"DEEP"', DEEP)
    (given,) = split_envelope(envelope(text))["data"]["events"]
    incoming = understood(given)
    assert incoming.event.external_id == "4711"
    assert incoming.raw is not None
    assert DEEP in incoming.raw


@pytest.mark.parametrize(
    "text",
    [
        f"[{DEEP}]",
        envelope(f'{{"event_id":1,"x":{DEEP}}}', "{]"),
        envelope(f'{{"event_id":1,"x":{DEEP}}}', "nonsense"),
        f'{{"result":"success","data":{DEEP}}}',
        f'{{"result":"success","data":{{"events":{{"x":{DEEP}}}}}}}',
    ],
    ids=["list", "brackets", "word", "data", "events"],
)
def test_a_deep_envelope_that_is_broken_besides_is_refused(text: str) -> None:
    with pytest.raises(NotJson):
        split_envelope(text)


def test_a_deep_envelope_without_events_does_not_pass_for_an_empty_list() -> None:
    split = split_envelope(f'{{"result":"success","data":{{"stats":{DEEP}}}}}')
    assert "events" not in split["data"]
    assert split_envelope(f'{{"result":"error","deep":{DEEP}}}')["result"] == "error"
