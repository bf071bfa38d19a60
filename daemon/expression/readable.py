"""Amounts, moments and ratings as events write them, and as people read them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from daemon.placeholders import number_of

_SECONDS = re.compile(r"\d{1,14}(?:\.\d{1,9})?", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000
"""No event happens after the year 5138, so larger numbers count milliseconds."""
_CENT = Decimal("0.01")
_NO_AMOUNT = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Locale:
    """In what currency and zone readers think where an event names none."""

    currency: str = "USD"
    timezone: str = ""
    """Empty: this machine's."""


def amount_of(value: Any) -> Decimal | None:
    """A number or the text of one, exactly; None for everything else, such as `nan`."""
    number = value if isinstance(value, Decimal) else number_of(value)
    return number if number is not None and number.copy_abs() < _NO_AMOUNT else None


def money_text(amount: Decimal, currency: str) -> str:
    """An amount with thousands and two places, then its currency: `1,234.50 USD`."""
    return f"{amount.quantize(_CENT, ROUND_HALF_UP):,} {currency}".rstrip()


def moment_of(value: Any) -> datetime | None:
    """Seconds since 1970 (as a number or text), an ISO 8601 text, or a datetime; one without a zone is UTC."""
    try:
        if isinstance(value, str | int | float) and _SECONDS.fullmatch(text := str(value).strip()):
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC)
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(moment, datetime):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def local(moment: datetime, timezone: str) -> datetime:
    """The same moment on the clocks of a zone (empty: this machine's), however close to the end of the calendar."""
    try:
        return moment.astimezone(ZoneInfo(timezone) if timezone else None)
    except (ValueError, OverflowError, OSError, LookupError):
        return moment


def stars_text(value: Any) -> str:
    """A rating of 0 to 5 as five stars, filled as far as it goes; empty for everything else."""
    rating = amount_of(value)
    if rating is None or not 0 <= rating <= 5:
        return ""
    filled = int(rating.to_integral_value(ROUND_HALF_UP))
    return "★" * filled + "☆" * (5 - filled)
