"""Reading JSON that may hold anything, so that one odd value spoils nothing beside it."""

import json
import math
import re
from typing import Any

DEEPEST = 12
"""Values nested deeper than this are kept as JSON text: nothing that renders or filters goes there."""
DEEPEST_WHOLE = 100
"""A document nested deeper than this is taken apart piece by piece; far below what Python can encode again."""

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{\[]+|[}\]]+|[",]', re.DOTALL)


class NotJson(ValueError):
    """The text as a whole is not JSON."""


class OddNumber(str):
    """A number that has no finite value here, as it was spelt: NaN, Infinity, 1e400."""

    __slots__ = ()


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else OddNumber(text)


def _int(text: str) -> int | str:
    return int(text) if len(text) <= 19 else text


_decoder = json.JSONDecoder(parse_constant=OddNumber, parse_float=_float, parse_int=_int, strict=False)


def loads(text: str) -> Any:
    """Decode; NaN, infinities and numbers too large to keep become text. Raises NotJson, RecursionError."""
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON at character {error.pos}") from None


def loads_whole(text: str) -> Any:
    """As `loads`, and what it returns can be encoded again: the limit depends on where on the stack one is."""
    return shallow(loads(text), DEEPEST_WHOLE)


def dumps(value: Any) -> str:
    """Encode as ASCII, so that lone surrogates survive."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def shallow(value: Any, depth: int = DEEPEST) -> Any:
    """The same value, with what is nested deeper than `depth` replaced by its JSON text."""
    if isinstance(value, dict):
        return dumps(value) if depth == 0 else {key: shallow(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return dumps(value) if depth == 0 else [shallow(item, depth - 1) for item in value]
    return value


def members(text: str) -> dict[str, str]:
    """Split an object of any depth into its keys and the JSON text of each value. Raises NotJson."""
    split = {}
    for part in _parts(text, "{}"):
        match = _TOKEN.match(part)
        colon = part.find(":", match.end() if match else 0)
        if match is None or colon < 0:
            raise NotJson("an object holds something that is not a member")
        split[str(loads(match[0]))] = part[colon + 1 :].strip()
    return split


def items(text: str) -> list[str]:
    """Split an array of any depth into the JSON text of each item. Raises NotJson."""
    return _parts(text, "[]")


def _parts(text: str, brackets: str) -> list[str]:
    text = text.strip()
    if not text.startswith(brackets[0]) or not text.endswith(brackets[1]):
        raise NotJson(f"not wrapped in {brackets}")
    parts, depth, start = [], 0, 1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark[0] in "{[":
            depth += len(mark)
        elif mark[0] in "}]":
            depth -= len(mark)
            if depth <= 0 and token.end() < len(text):
                raise NotJson("it goes on after its end")
        elif mark == "," and depth == 1:
            parts.append(text[start : token.start()].strip())
            start = token.end()
        elif mark == '"':
            raise NotJson("a text does not end")
    if depth != 0:
        raise NotJson("brackets do not match")
    last = text[start:-1].strip()
    return [*parts, last] if parts or last else []


def loads_or_text(text: str) -> Any:
    """Decode a value, or keep its JSON text where it is nested too deeply to decode."""
    try:
        return shallow(loads(text))
    except RecursionError:
        return text
