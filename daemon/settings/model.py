"""What can be configured, with its defaults and limits; kinds of sources and sinks add their own keys."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from daemon.condition import Condition
from daemon.people import require_zone
from daemon.quantities import Duration, parse_duration
from daemon.retry import DEFAULT_WAITS
from daemon.routing import parse_filter
from daemon.secrets import ConfigPath, Secret

NAME = r"[a-z](?:_?[a-z0-9])*_?"
"""How a source or a sink may be called, besides its length; no "__", which environment variables use."""
LONGEST_NAME = 32

Common = TypeVar("Common", bound=BaseModel)


def _from_to(least: str, most: str) -> AfterValidator:
    """Limit a duration, in words that people use."""
    low, high = parse_duration(least), parse_duration(most)

    def check(duration: timedelta) -> timedelta:
        if not low <= duration <= high:
            raise ValueError(f"must be from {least} to {most}")
        return duration

    return AfterValidator(check)


_Pause = Annotated[Duration, _from_to("1s", "1d")]


class _Table(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True, use_attribute_docstrings=True)


class DaemonSettings(_Table):
    """The `[daemon]` table."""

    model_config = ConfigDict(extra="forbid")

    database: ConfigPath | None = None
    """The SQLite file. Default: eventferry.db in $STATE_DIRECTORY, else beside the config."""
    keep: Annotated[Duration, _from_to("1h", "3650d")] = timedelta(days=180)
    """How long settled and completed events stay."""
    stop_timeout: Annotated[Duration, _from_to("0s", "10m")] = timedelta(seconds=25)
    """How long running deliveries may go on when the daemon is told to stop."""
    timezone: str = ""
    """In which zone people are shown times, such as "Europe/Berlin". Empty: this machine's."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """How log lines look; auto is console on a terminal and JSON elsewhere."""
    alerts: list[str] = []
    """The sinks that hear of trouble; better two, since one cannot report its own."""
    proxy: Secret | None = None
    """An HTTP proxy for all outgoing HTTP, such as "http://user:password@host:3128"."""
    first_start: Literal["send", "record"] = "send"
    """What to do with events that already wait when the database is new: send them, or only record them."""

    @field_validator("database", mode="before")
    @classmethod
    def _database_is_a_file(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:  # as a path, its password would be shown wherever the path is
            raise ValueError("must be the path of a file, not a URL: the ledger is an SQLite file")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        return require_zone(name)

    @field_validator("proxy")
    @classmethod
    def _proxy_is_a_url(cls, proxy: Secret | None) -> Secret | None:
        if proxy is not None and not _is_proxy(proxy.reveal()):
            raise ValueError('not the URL of an HTTP proxy; write one such as "http://proxy.example:3128"')
        return proxy


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class SourceCommon(_Table):
    """What every `[sources.NAME]` table takes, whatever its kind."""

    type: str
    """The kind of source."""
    renamed_from: str | None = None
    """Its former name: what is stored under it goes on under the present one."""
    poll: _Pause = timedelta(seconds=30)
    """The pause between two sweeps."""
    poll_min: _Pause = timedelta(seconds=15)
    """The shortest pause, taken after an event; never more than `poll`."""
    poll_max: _Pause | None = None
    """The longest pause, grown into when nothing happens for long. Left out: no growth."""
    complete: Literal["when-delivered", "when-stored"] = "when-delivered"
    """When an event is marked complete upstream: every delivery settled, or as soon as it is on disk."""
    complete_within: Annotated[Duration, _from_to("1s", "1d")] = timedelta(minutes=5)
    """After this long an event is completed although a delivery is still open; it is on disk."""

    @field_validator("poll_min")
    @classmethod
    def _shortest_is_shorter(cls, poll_min: timedelta, info: ValidationInfo) -> timedelta:
        if poll_min > info.data.get("poll", poll_min):
            raise ValueError("must not be longer than poll")
        return poll_min

    @field_validator("poll_max")
    @classmethod
    def _longest_is_longer(cls, poll_max: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if poll_max is not None and poll_max < info.data.get("poll", poll_max):
            raise ValueError("must not be shorter than poll")
        return poll_max

    @model_validator(mode="after")
    def _default_fits_a_shorter_poll(self) -> "SourceCommon":
        if "poll_min" not in self.model_fields_set:
            self.poll_min = min(self.poll_min, self.poll)
        return self


class SinkCommon(_Table):
    """What every `[sinks.NAME]` table takes, whatever its kind."""

    type: str
    """The kind of sink."""
    renamed_from: str | None = None
    """Its former name: what is stored under it goes on under the present one."""
    events: list[str] | None = None
    """Which triggers it wants: a word, a glob, "!" excludes. Left out: every event."""
    where: Condition | None = None
    """What else an event must meet, such as "final_price|float >= 5". Left out: nothing."""
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many batches may be under way at once. Left out: the kind's own number."""
    retries: Annotated[list[Annotated[Duration, _from_to("1s", "30d")]], Field(max_length=100)] = list(DEFAULT_WAITS)
    """The waits before each further attempt, by default 3 days 4 hours in all; after the last one it is given up."""
    give_up_after: Annotated[Duration, _from_to("1m", "3650d")] = timedelta(days=30)
    """How long deliveries of a stopped sink wait."""

    @field_validator("events")
    @classmethod
    def _events_are_a_filter(cls, events: list[str] | None) -> list[str] | None:
        if events is not None:
            if not events:
                raise ValueError('empty; leave the key out for every event, write ["!*"] for none')
            parse_filter(events)
        return events


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured. Tables of sources and sinks are also instances of their kind's Settings."""

    daemon: DaemonSettings
    sources: dict[str, SourceCommon]
    sinks: dict[str, SinkCommon]


@cache
def table_model(kind: str, common: type[Common], own: type[BaseModel]) -> type[Common]:
    """Make the model of a table from what all kinds share and what this one adds."""
    bases: Any = (common, own)
    only_this: Any = (Literal[kind], ...)
    made = create_model(
        f"{kind}_{common.__name__}",
        __base__=bases,
        __doc__=own.__doc__,
        __cls_kwargs__={"extra": "forbid"},
        type=only_this,
    )
    return cast(type[Common], made)
