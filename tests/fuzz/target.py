"""What is fuzzed: a name, good inputs, and a check that raises for whatever must not be."""

import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from daemon.log import printable

CANARY = "canary_0f1e2d3c4b5a6978"
"""Stands where secrets stand; no message may hold it."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from outside."""

    name: str
    weight: int
    """Its share of all inputs; slow ones have less."""
    samples: Sequence[bytes]
    check: Callable[[bytes], None]
    """Raises AssertionError for a broken promise; whatever else it raises is unhandled."""
    tokens: Sequence[bytes] = (b"",)
    """Words that mean something here."""
    is_json: bool = False
    """The last line of an input is JSON, to be changed as such."""


def text_of(data: bytes) -> str:
    """Any bytes as text; lone surrogates too, which JSON can spell."""
    return data.decode("utf-8", "surrogateescape")


def json_of(data: bytes) -> Any:
    """The JSON in an input; None for what a shrunk input no longer is."""
    try:
        return json.loads(text_of(data.rpartition(b"\n")[2]))
    except (ValueError, RecursionError):
        return None


def require_line(text: str, longest: int, *, secret: str = CANARY) -> None:
    """What people are told is one short line, harmless to a terminal, without a secret."""
    assert text, "nothing was said"
    assert len(text) <= longest, f"{len(text)} characters long"
    assert printable(text) == text, f"not printable: {text!r}"
    assert secret not in text, "a secret shows"


def driven(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that waits for nothing outside, without a loop, which would take longer than it."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("it waited")
