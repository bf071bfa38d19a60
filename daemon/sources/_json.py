"""Reading JSON that may hold anything, so that one odd value spoils nothing beside it."""

import json
import math
import re
from typing import Any

DEEPEST = 12
"""Values nested deeper than this are kept as JSON text: nothing that renders or filters goes there."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)


class NotJson(ValueError):
    """The text as a whole is not JSON."""


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _int(text: str) -> int | str:
    return int(text) if len(text) <= 19 else text


_decoder = json.JSONDecoder(parse_constant=str, parse_float=_float, parse_int=_int, strict=False)


def loads(text: str) -> Any:
    """Decode; NaN, infinities and numbers too large to keep become text. Raises NotJson, RecursionError."""
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON at character {error.pos}") from None


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
        if mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
            if depth == 0 and text[start : token.start()].strip():
                parts.append(text[start : token.start()].strip())
        elif mark == "," and depth == 1:
            parts.append(text[start : token.start()].strip())
            start = token.end()
    if depth != 0:
        raise NotJson("brackets do not match")
    return parts


def loads_or_text(text: str) -> Any:
    """Decode a value, or keep its JSON text where it is nested too deeply to decode."""
    try:
        return shallow(loads(text))
    except RecursionError:
        return text
