"""What the readers of a sink may see of an event: the one place that decides.

The public is told what stands on a public page anyway. That is a list of what it may see, not of what it may not, so
that a placeholder which BuiltByBit adds tomorrow stays private until somebody has thought about it.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from daemon.contract import Event
from daemon.people import PeopleSettings
from daemon.placeholders import ITEM, ITEM_ID, STARS, snake_case
from sinks._placeholders import EXTRAS, HEADLINE, TIME, Topic, headline_names, link_names, text_names, topic_of

_ALWAYS = frozenset(
    {
        *(*ITEM, *ITEM_ID, *HEADLINE, *TIME),
        *(f"{name}_{part}" for name in EXTRAS for part in ("title", "id", "url")),
        *("version", "resource_version", "update_version", "update_id", "category", "category_title", "category_id"),
        *("tags", "tag_line", "tagline", "resource_tag_line", "prefix"),
    }
)
_LONGEST_LIST = 100
_TOPICS: tuple[Topic, ...] = ("purchase", "review", "update", "publish", "other")
_WITH_A_TEXT: tuple[Topic, ...] = ("review", "update", "publish")
"""What everybody can read at BuiltByBit; the text of anything else may be a private one."""
_NAMED_SO = re.compile(
    r"reviews?|reviewed|updates?|updated|publish(?:es|ed)?|resources?|products?|items?|versions?|new|added|created|posted"
)
"""The words of a trigger that can mean nothing else; that of `ticket_update` or `preview_opened` could."""


def visible(event: Event, people: PeopleSettings) -> Mapping[str, Any]:
    """The placeholders of an event that these readers may see, under the names the event gives them."""
    data = event.data if isinstance(event.data, Mapping) else {"data": event.data}
    topic = topic_of(event)
    if people.audience == "full" or topic == "own":
        return data
    public = _public(topic if topic not in _WITH_A_TEXT or _is_plain(event.trigger) else "other")
    return {name: value for name, value in data.items() if snake_case(str(name)) in public and _is_harmless(value)}


def is_private(name: str) -> bool:
    """Whether the public sees no placeholder of this name, whatever the event is about."""
    return snake_case(name) not in public_names()


@cache
def public_names() -> frozenset[str]:
    """All that the public may see of any event."""
    return frozenset().union(*map(_public, _TOPICS))


@lru_cache(256)
def _is_plain(trigger: str) -> bool:
    """Whether it speaks of something that everybody can read, and of nothing besides."""
    return all(map(_NAMED_SO.fullmatch, re.findall(r"[^\W\d_]+", snake_case(trigger))))


@cache
def _public(topic: Topic) -> frozenset[str]:
    texts = (*text_names(topic), "response", *STARS) if topic in _WITH_A_TEXT else ()
    return _ALWAYS | {*headline_names(topic), *link_names(topic), *texts}


def _is_harmless(value: Any) -> bool:
    """No table, since its parts have names of their own; no link to a member, which a text may speak of."""
    match value:
        case str():
            return "/members/" not in value[:2048] or " " in value.strip()
        case list() | tuple():
            return len(value) <= _LONGEST_LIST and all(_is_single(inner) and _is_harmless(inner) for inner in value)
        case _:
            return _is_single(value)


def _is_single(value: Any) -> bool:
    return not isinstance(value, Mapping | list | tuple)
