"""The filters of ours in templates: money, time, stars, cutting, and what to make of BBCode and HTML."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from daemon.expression.markup import markup_to_markdown, markup_to_text
from daemon.expression.places import Finished
from daemon.expression.readable import Locale, amount_of, local, moment_of, money_text, stars_text
from daemon.expression.text import clean
from daemon.expression.text import cut as cut_text

LOCALE = ""
"""The name under which a template finds its locale; no template can spell it, and no placeholder takes its place."""


@pass_context
def money(context: Context, value: Any, currency: Any = None) -> Any:
    """An amount with its currency: the one given, the event's, or the sink's. What is no amount stays as it is."""
    if isinstance(value, Mapping):
        value, currency = value.get("value"), currency or value.get("currency")
    if (amount := amount_of(value)) is None:
        return _as_it_is(value)
    named = currency or context.get("currency") or _locale(context).currency
    return money_text(amount, clean(named)[:20] if isinstance(named, str) else _locale(context).currency)


@pass_context
def time(context: Context, value: Any) -> Any:
    """The time of day in the sink's zone, `18:05`."""
    moment = moment_of(value)
    return _as_it_is(value) if moment is None else f"{local(moment, _locale(context).timezone):%H:%M}"


@pass_context
def date(context: Context, value: Any) -> Any:
    """The day in the sink's zone, `2026-01-31`."""
    moment = moment_of(value)
    return _as_it_is(value) if moment is None else f"{local(moment, _locale(context).timezone).date()}"


def stars(value: Any) -> Any:
    """`★★★★☆` for 4; what is no rating from 0 to 5 stays as it is."""
    return stars_text(value) or _as_it_is(value)


def cut(value: Any, limit: int) -> str:
    """At most so many characters, the last of them "…" where something is missing."""
    return cut_text(_text(value), max(int(limit), 1))


def text(value: Any) -> str:
    """What BBCode or HTML says, without the tags."""
    return markup_to_text(_text(value))


def markdown(value: Any) -> Finished:
    """What BBCode or HTML says, as Discord's markdown."""
    return Finished.of("markdown", markup_to_markdown(_text(value)))


FILTERS_OF_OURS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function for function in (money, time, date, stars, cut, text, markdown)
}


def _locale(context: Context) -> Locale:
    found = context.get(LOCALE)
    return found if isinstance(found, Locale) else Locale()


def _as_it_is(value: Any) -> Any:
    return "" if value is None or isinstance(value, Undefined) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(_as_it_is(value))
