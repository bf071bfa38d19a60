"""What can be set for every sink whose receivers are people: what they may see, in which words, and when."""

import zoneinfo
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class PeopleSettings(BaseModel):
    """Base of the Settings of a kind that carries messages to people, and can tell several events in one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    audience: Literal["public", "full"] = "public"
    """Who reads it: "public" is told neither buyer nor price, "full" all that the event holds."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    """The currency of prices that come without one."""
    timezone: str = ""
    """In which zone times are shown. Empty: that of `[daemon]`, which the daemon fills in."""

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        return require_zone(name)


def require_zone(name: str) -> str:
    """The name of a time zone as it is, or empty. Raises ValueError with what to write."""
    try:
        _ = zoneinfo.ZoneInfo(name) if name else None
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError('not a known time zone; write one such as "Europe/Berlin" or "UTC"') from None
    return name
