"""What can be set for every sink whose receivers are people: what they may see, in which words, and when."""

import re
import zoneinfo
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from daemon.quantities import Rate
from daemon.timing import Burst, Digest, QuietHours

Audience = Literal["public", "full"]
Every = Literal["daily", "weekly", "monthly"]


class PeopleSettings(BaseModel):
    """Base of the Settings of a kind that carries messages to people, and can tell several events in one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    audience: Audience = "public"
    """Who reads it: "public" is told neither buyer nor price, "full" all that the event holds."""
    currency: str = "USD"
    """The currency of prices that come without one."""
    timezone: str = ""
    """In which zone times are shown. Empty: that of `[daemon]`, which the daemon fills in."""
    digest: Digest | None = None
    """When one message tells all that happened since the last: "09:00", "mon 09:00" or a cron expression."""
    burst: Burst = Rate(20, timedelta(minutes=1))
    """So many messages at most in which time; what comes beyond is told in one. False: each by itself."""
    quiet_hours: QuietHours | None = None
    """When nobody wants to be told, such as "22:00-07:00"; what waits then comes as one message."""
    report: Every | None = None
    """How often it is told, at 9:00 of the first day after, what was sold and how deliveries went. Left out: never."""

    @field_validator("currency")
    @classmethod
    def _currency_is_a_code(cls, currency: str) -> str:
        if not re.fullmatch(r"[A-Z]{3}", currency):
            raise ValueError('must be three capital letters, such as "EUR"')
        return currency

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        return require_zone(name)

    @property
    def zone(self) -> zoneinfo.ZoneInfo | None:
        """The time zone; None: this machine's."""
        return zoneinfo.ZoneInfo(self.timezone) if self.timezone else None


def require_zone(name: str) -> str:
    """The name of a time zone as it is, or empty. Raises ValueError with what to write."""
    try:
        _ = zoneinfo.ZoneInfo(name) if name else None
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        if not zoneinfo.available_timezones():
            raise ValueError("this machine knows no time zones: install its package tzdata") from None
        raise ValueError('not a known time zone; write one such as "Europe/Berlin" or "UTC"') from None
    return name
