"""Makes new inputs out of good ones: seeded, so that a number tells which input it was."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

LONGEST = 100_000
"""Bytes; larger inputs would only be slower, what grows with size is tried by cases of its own."""

ODD_NUMBERS = (0, -1, 1, 255, 256, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, 1e308, 1.5, -0.0, 1e-320)
ODD_TEXTS = (
    *("", " ", "\0", "\r\n", "\x1b[2J", "\u202e", "\u200b", "\ud800", "\U0001f44d" * 40, "é" * 300, "a" * 5000),
    *("{{ 7*7 }}", "=?utf-8?q?=0D=0ABcc:_e@e?=", "@everyone", "<script>", "](https://e.example)", "`" * 200, "\\"),
    *("NaN", "1e999", "0x10", "٣", "-0", "true", "null", "[]", "../../x", "https://builtbybit.com/x", "a\nb: c"),
)

Rng = random.Random


def mutated(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    """A changed copy of a text or of bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(_BYTES)(data, samples, tokens, rng)
    return data[:LONGEST]


def mutated_json(data: bytes, samples: Sequence[bytes], rng: Rng) -> bytes:
    """A changed copy of JSON that is still JSON; what stands before the first line end is left as it is."""
    head, end, body = data.rpartition(b"\n")
    value = json.loads(body)
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        value = _changed(value, rng, _donor(samples, rng))
    return (head + end + json.dumps(value, ensure_ascii=rng.random() < 0.8).encode("utf-8", "surrogatepass"))[:LONGEST]


def _donor(samples: Sequence[bytes], rng: Rng) -> Any:
    return json.loads(rng.choice(samples).rpartition(b"\n")[2])


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 16, 64, 1000)))


def _flip(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    if not data:
        return bytes([rng.randrange(256)])
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _put(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.choice(tokens) + data[rng.choice((start, end)) :]


def _put_odd(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    start, end = _span(data, rng)
    odd = rng.choice(ODD_TEXTS) if rng.random() < 0.6 else str(rng.choice(ODD_NUMBERS))
    return data[:start] + odd.encode("utf-8", "surrogatepass") + data[rng.choice((start, end)) :]


def _drop(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _cut(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] if rng.random() < 0.7 else data[at:]


def _repeat(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[start:end] * rng.choice((2, 2, 3, 20, 300)) + data[end:]


def _splice(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    start, end = _span(other := rng.choice(samples), rng)
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at:]


def _lines(data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], rng: Rng) -> bytes:
    """Move, double, drop or bring a whole line."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines[at], lines[to] = lines[to], lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            del lines[at]
        case _:
            lines.insert(to, rng.choice(rng.choice(samples).split(b"\n")))
    return b"\n".join(lines)


_BYTES: Sequence[Callable[[bytes, Sequence[bytes], Sequence[bytes], Rng], bytes]] = (
    *(_flip, _put, _put, _put_odd, _put_odd, _drop, _cut, _repeat, _splice, _lines, _lines),
)


def _changed(value: Any, rng: Rng, donor: Any) -> Any:
    """The value with one place in it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {key: inner for key, inner in value.items() if key != name}
            case 1:
                return {**value, rng.choice((name.upper(), name + "_", *ODD_TEXTS[:12])): value[name]}
            case _:
                return {**value, name: _changed(value[name], rng, donor)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[:at] + [value[at]] * rng.choice((2, 3, 60)) + value[at + 1 :]
            case _:
                return [*value[:at], _changed(value[at], rng, donor), *value[at + 1 :]]
    return _odd(value, rng, donor)


def _odd(value: Any, rng: Rng, donor: Any) -> Any:
    match rng.randrange(9):
        case 0:
            return rng.choice((None, True, False, [], {}, [value], {"a": value}))
        case 1 | 2:
            return rng.choice((*ODD_NUMBERS, float("nan"), float("inf")))
        case 3 | 4:
            return rng.choice(ODD_TEXTS)
        case 5:
            return _picked(donor, rng)
        case 6:
            for _ in range(rng.choice((3, 13, 70, 110))):
                value = [value] if rng.random() < 0.5 else {"a": value}
            return value
        case _ if isinstance(value, str):
            at = rng.randrange(len(value) + 1)
            return value[:at] + rng.choice(ODD_TEXTS) * rng.choice((1, 1, 2, 50)) + value[at:]
        case _:
            return str(value)


def _picked(value: Any, rng: Rng) -> Any:
    """Some part of the value."""
    while isinstance(value, dict | list) and value and rng.random() < 0.7:
        value = rng.choice(list(value.values()) if isinstance(value, dict) else value)
    return value
