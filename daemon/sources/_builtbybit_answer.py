"""Making sense of what BuiltByBit answers, or a proxy in its place (pure)."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from daemon.http import Answer, retry_after, sane_wait
from daemon.redaction import redact
from daemon.sources._builtbybit_event import split_envelope
from daemon.sources._json import NotJson, loads_whole

MOST_VALUES = 300_000
"""Some 15,000 events. Decoded, a value takes up to thirty times what it took in the body."""


def overfull(answer: Answer) -> bool:
    """Whether decoding would cost too much, by what begins or parts values in JSON (or stands in its texts)."""
    return sum(answer.body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES


def decoded(answer: Answer) -> Any:
    """What the body says, None if it is not JSON or overfull. Broken UTF-8 in one event must not hide the others."""
    if answer.encoding or overfull(answer):
        return None
    text = answer.body.decode("utf-8-sig", "replace")
    try:
        return loads_whole(text)
    except NotJson:
        return None
    except RecursionError:
        try:
            return split_envelope(text)
        except (NotJson, RecursionError):
            return None


def asked_wait(answer: Answer, now: datetime) -> timedelta | None:
    """The wait that a rate limit asks for: BuiltByBit itself counts in milliseconds, a proxy before it in seconds.

    https://builtbybit.com/wiki/api: "this header provides a millisecond granularity". Either may name a date.
    """
    envelope = decoded(answer)
    if isinstance(envelope, Mapping) and "result" in envelope:
        with suppress(ValueError):
            return sane_wait(float(answer.headers.get("retry-after", "")) / 1000)
    return retry_after(answer.headers, now)


def about(answer: Answer) -> str:
    """Status and error code; the code is opaque text, made harmless: it might even repeat the token."""
    envelope = decoded(answer)
    error = envelope.get("error") if isinstance(envelope, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    # Twice, since dropping what stands between its characters can bring a secret to light.
    word = redact(re.sub(r"[^a-zA-Z0-9_.-]", "", redact(code)))[:60] if isinstance(code, str) else ""
    return f"{answer.status} {word}".strip()


def trusted_stats(stats: Any, *, seen: int, rows: int) -> tuple[int | None, int | None]:
    """`total` and `max_page` where they fit together and to what was seen; else nothing is believed."""
    if not isinstance(stats, Mapping):
        return None, None
    numbers = [stats.get(name) for name in ("total", "per_page", "max_page")]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        return None, None
    total, per_page, max_page = (int(number or 0) for number in numbers)
    pages = -(-total // max(per_page, 1))
    fits = per_page >= max(rows, 1) and total >= seen and max_page in (pages, max(pages, 1))
    return (total, max_page) if fits else (None, None)
