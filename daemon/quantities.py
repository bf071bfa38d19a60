"""Numbers, durations and rates as people write them: "2 deliveries", "30s", "1h 30m", "30/1m"."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw])\s*)+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def parse_duration(value: Any) -> Any:
    """Turn "90s", "1h 30m" into a timedelta; a timedelta passes. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not _DURATION.fullmatch(text):
        raise ValueError('not a duration; write it with a unit, such as "30s", "5m", "2h" or "180d"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > 10 * 365 * 86400:
        raise ValueError("longer than ten years")
    return timedelta(seconds=seconds)


def duration_text(duration: timedelta) -> str:
    """Write a duration as the config takes it: "1h30m", "15s", "0s"."""
    milliseconds = round(duration.total_seconds() * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    seconds, parts = milliseconds // 1000, []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def span(duration: timedelta) -> str:
    """Tell people about how long something took: "40 seconds", "10 minutes", "3 days"."""
    seconds = max(0, int(duration.total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or (unit == "minute" and seconds >= length):
            return f"{seconds // length} {unit}{'s' if seconds >= 2 * length else ''}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def many(number: int, one: str, more: str) -> str:
    """Write a number with the words for one or for several: 1 delivery waits, 2 deliveries wait."""
    return f"{number} {one if number == 1 else more}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["30s", "5m", "2h", "180d"]}),
]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at most within any span of this length."""

    number: int
    per: timedelta


def parse_rate(value: Any) -> Rate:
    """Turn "30/1m" into a rate; a rate passes. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    number, slash, per = value.partition("/") if isinstance(value, str) else ("", "", "")
    try:
        rate = Rate(int(number), parse_duration(per))
    except ValueError:
        slash = ""
    if not slash or not 1 <= rate.number <= 10_000 or rate.per <= timedelta():
        raise ValueError('not a rate; write how many in which time, such as "30/1m"')
    return rate


def rate_text(rate: Rate) -> str:
    """Write a rate as the config takes it: "30/1m"."""
    return f"{rate.number}/{duration_text(rate.per)}"


RateText = Annotated[
    Rate,
    PlainValidator(parse_rate),
    PlainSerializer(rate_text, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["30/1m"]}),
]
