"""One event with all that is known of it, as `show` prints it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.cli.status_view import zones_of
from daemon.cli.text import STATE_COLOURS, Times, block, line, painted, zone_of
from daemon.settings import Loaded

Row = Mapping[str, Any]

_ACKNOWLEDGED = {"us": "completed", "elsewhere": "completed by somebody else", "nobody": "our own; completed nowhere"}


def lines(found: Sequence[Row], loaded: Loaded) -> Iterator[str]:
    """Everything about these events."""
    times, zones = Times(zone_of(loaded)), zones_of(loaded)
    for number, event in enumerate(found):
        if number:
            yield ""
        yield from _event(event, times)
        for delivery in event["deliveries"]:
            yield from _delivery(event, delivery, zones.get(delivery["sink"], times), times)
        yield from _others(event)


def _event(event: Row, times: Times) -> Iterator[str]:
    yield f"{line(event['key'])}  {line(event['kind'])}"
    yield f"  happened   {times.full(event['occurred_at'])}"
    yield f"  stored     {times.full(event['stored_at'])}"
    yield f"  upstream   {_upstream(event, times)}"
    if event["channel"] is not None:
        yield f"  listener   {line(event['channel'])}"
    yield "  data"
    yield block(json.dumps(event["data"], indent=2, ensure_ascii=False), "    ")
    if event["raw"] is not None:
        yield "  as listed, since not all of it has the form that is documented"
        yield block(event["raw"], "    ")
    for variant in event["variants"]:
        yield f"  listed again with other content at {times.full(variant['seen_at'])} (not sent)"
        yield block(json.dumps(variant["data"], indent=2, ensure_ascii=False), "    ")


def _upstream(event: Row, times: Times) -> str:
    if event["acknowledged_at"] is not None:
        how = _ACKNOWLEDGED.get(event["acknowledged_by"], "completed")
        state = f"{how} {times.full(event['acknowledged_at'])}"
    else:
        tried = f" after {event['ack_tries']} tries" if event["ack_tries"] else ""
        due = f", next {times.ago(event['ack_due_at'])}" if event["ack_due_at"] else ""
        reason = f": {line(event['ack_reason'])}" if event["ack_reason"] else ""
        state = f"not completed yet{tried}{due}{reason}"
    again = f"; came back {event['relisted']} times" if event["relisted"] else ""
    return state + again


def _delivery(event: Row, delivery: Row, own: Times, times: Times) -> Iterator[str]:
    sink, state = delivery["sink"], delivery["state"]
    yield ""
    yield f"  {line(sink)}: {painted(state, STATE_COLOURS.get(state, 'red'))}{_why(delivery, own, times)}"
    yield f"    id       {line(delivery['delivery_id'])}"
    yield f"    routing  {line(event['routing'].get(sink, 'no sink of this name is in the config'))}"
    if delivery["replays"]:
        yield f"    replays  {delivery['replays']}"
    if delivery["progress"]:
        yield f"    progress {line(json.dumps(delivery['progress'], ensure_ascii=False))}"
    for attempt in delivery["attempts"]:
        yield from _attempt(attempt, times)
    if delivery["body"] is not None:
        yield "    last sent"
        yield block(_cut(delivery["body"], 2000), "      ")


def _why(delivery: Row, own: Times, times: Times) -> str:
    reason = f", {line(delivery['reason'])}" if delivery["reason"] else ""
    if delivery["claimed_at"] is not None:
        return f", under way since {times.full(delivery['claimed_at'])}"
    if delivery["state"] == "waiting":
        due = f"{times.ago(delivery['due_at'])} ({own.near(delivery['due_at'])})"
        return f", due {due if delivery['gathered'] else times.ago(delivery['due_at'])}{reason}"
    return f" {times.full(delivery['settled_at'])}{reason}"


def _attempt(attempt: Row, times: Times) -> Iterator[str]:
    took = f" in {attempt['milliseconds']} ms" if attempt["milliseconds"] is not None else ""
    reason = f": {line(attempt['reason'])}" if attempt["reason"] else ""
    size = f" ({attempt['body_size']} bytes, SHA-256 {attempt['body_digest']})" if attempt["body_digest"] else ""
    at = times.full(attempt["started_at"])
    yield f"    attempt {attempt['attempt']}  {at}  {attempt['outcome']}{took}{reason}{size}"
    if attempt["answer"]:
        yield f"      answer {line(_cut(attempt['answer'], 300))}"


def _cut(text: str, most: int) -> str:
    """Ten events in a message, and Discord's repetition of it, would hide the rest."""
    return text if len(text) <= most else f"{text[:most]} … (all of it: --json)"


def _others(event: Row) -> Iterator[str]:
    """The configured sinks that have no delivery of it; the config may have changed since it came."""
    sent = {delivery["sink"] for delivery in event["deliveries"]}
    others = {sink: reason for sink, reason in event["routing"].items() if sink not in sent}
    if others:
        yield ""
    for sink, reason in others.items():
        yield f"  {line(sink)}: no delivery; by the config as it is now: {line(reason)}"
