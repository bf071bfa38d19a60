"""How an event becomes something to read: a title, a link, a text and fields, from whatever placeholders it has.

Nothing that its readers may see is lost on the way: what is not found by its name becomes a field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from daemon import log
from daemon.contract import Event
from daemon.expression import Locale, RenderFailed, TextTemplate, cut, one_line, stars_text
from daemon.people import PeopleSettings
from daemon.placeholders import CURRENCY, ITEM, ITEM_ID, PRICE, STARS, by_name
from sinks import _audience
from sinks._placeholders import (
    EXTRAS,
    HEADLINE,
    LIST_PRICE,
    NONE,
    PERSON,
    PERSON_ID,
    PERSON_LINK,
    TIME,
    Field,
    Placeholders,
    Topic,
    headline_names,
    label,
    link_names,
    text_names,
    topic_of,
)

_TITLES: Mapping[Topic, str] = {
    "purchase": "New purchase",
    "review": "New review",
    "update": "Update",
    "publish": "Published",
}
_PERSONS: Mapping[Topic, str] = {"purchase": "Buyer", "review": "Reviewer", "update": "Author", "publish": "Author"}
_TITLE_LIMIT = 300

_log = log.get(__name__)

EVERYTHING = PeopleSettings(audience="full")
"""For readers who may see all that an event holds."""


@dataclass(frozen=True, slots=True)
class Message:
    """What people should see of an event; clean text, not yet escaped for any place."""

    topic: Topic
    title: str
    """One line, never empty."""
    link: str | None
    text: str
    fields: tuple[Field, ...]
    occurred_at: datetime
    """In UTC."""
    key: str
    """By which a repeat is known; of a test, it says that it is one."""


def compose(event: Event, people: PeopleSettings) -> Message:
    """Lay an event out for these readers; whatever it holds or lacks, there is a title."""
    topic = topic_of(event)
    left = Placeholders(_audience.visible(event, people))
    item = _item(left, topic)
    title = _title(event, topic, item, _about(left, topic))
    heading = one_line(left.take(*headline_names(topic)))
    link = left.take_link(*link_names(topic))
    text = left.take_text(*text_names(topic))
    fields = [_person(left, topic), _price(left, people.currency), *(_extra(left, name) for name in EXTRAS)]
    fields += [_stars(left), _renewal(left), _command(left) if topic == "own" else None]
    for name in (*(ITEM_ID if item else ()), *TIME):
        left.drop_number(name)
    return Message(
        topic=topic,
        title=cut(title, _TITLE_LIMIT),
        link=link,
        text="\n".join(filter(None, (heading, text))),
        fields=tuple(field for field in [*fields, *left.rest(people.timezone)] if field is not None),
        occurred_at=event.occurred_at.astimezone(UTC),
        key=one_line(f"{event.key} (a test)" if event.is_test else event.key),
    )


@dataclass(frozen=True, slots=True)
class Heading:
    """The little that a line about an event needs."""

    topic: Topic
    title: str
    item: str
    link: str | None
    known: Mapping[str, Any]
    """The placeholders that its readers may see, under their one spelling."""


def headed(event: Event, people: PeopleSettings) -> Heading:
    """The heading alone of what `compose` makes, at a third of the cost."""
    topic = topic_of(event)
    known = by_name(_audience.visible(event, people))
    left = Placeholders(known)
    item = _item(left, topic)
    title = cut(_title(event, topic, item, _about(left, topic)), _TITLE_LIMIT)
    return Heading(topic, title, item, left.take_link(*link_names(topic)), known)


def template_values(event: Event, people: PeopleSettings) -> dict[str, Any]:
    """What a template can name: each placeholder these readers may see, and what is true of every event."""
    visible = _audience.visible(event, people) if isinstance(event.data, Mapping) else {}
    placeholders = {name: value for name, value in visible.items() if value is not None}
    currency = next((placeholders[name] for name in CURRENCY if placeholders.get(name)), people.currency)
    return {
        **event.facts,
        "occurred_at": event.occurred_at,
        "test": event.is_test,
        "currency": currency,
        **placeholders,
    }


def locale_of(people: PeopleSettings) -> Locale:
    """What templates assume where an event does not say."""
    return Locale(people.currency, people.timezone)


def filled(template: TextTemplate | None, event: Event, people: PeopleSettings, otherwise: str) -> str:
    """What the operator's template makes of an event, escaped for the template's place.

    `otherwise` stands in, as it is, where there is no template, where it comes out empty, and where it fails: that is
    logged, and no reason to lose a delivery. So it does for what we have to say ourselves, such as an alert: a template
    that is meant for sales would leave it out.
    """
    if template is None or topic_of(event) == "own":
        return otherwise
    if not template.source.strip():
        return ""
    try:
        return template.render(template_values(event, people), locale_of(people)).strip() or otherwise
    except RenderFailed as failure:
        if log.is_first(str(failure), template.doubts):
            _log.warning("template.failed", template=template.source, event_key=event.key, reason=str(failure))
        return otherwise


def _item(left: Placeholders, topic: Topic) -> str:
    """What it is about; the headline of a review or an update is its own."""
    return one_line(left.take(*ITEM, *(HEADLINE if topic not in ("review", "update") else ()), limit=_TITLE_LIMIT))


def _about(left: Placeholders, topic: Topic) -> str:
    """The sink, source or trigger that an alert is about."""
    return one_line(left.take("about")) if topic == "own" else ""


def _title(event: Event, topic: Topic, item: str, about: str) -> str:
    if topic == "own":
        what = f"Eventferry: {label(event.kind.partition('.')[2] or event.kind).lower()}"
        return item or " ".join(filter(None, (what, about)))
    heading = _TITLES.get(topic) or label(event.trigger)
    return ": ".join(filter(None, ("Test" if event.is_test else "", heading, item)))


def _person(left: Placeholders, topic: Topic) -> Field | None:
    name, number = left.take(*PERSON), left.take(*PERSON_ID)
    who = f"{name} ({number})" if name and number else name or number
    return Field(_PERSONS.get(topic, "User"), one_line(who), left.take_link(*PERSON_LINK)) if who else None


def _price(left: Placeholders, currency: str) -> Field | None:
    price, listed = left.take_money(*PRICE), left.take_money(*LIST_PRICE)
    is_free = left.take("free").lower()
    if price is None and listed is None:
        return Field("Price", "Free") if is_free not in NONE else None
    currency = one_line(left.take(*CURRENCY)) or currency
    text = (price or listed).text(currency)  # type: ignore[union-attr] # one of them is there
    before = listed.text(currency) if price and listed else text
    return Field("Price", text if before == text else f"{text} (list price {before})")


def _extra(left: Placeholders, name: str) -> Field | None:
    title, number = left.take(f"{name}_title"), left.take(f"{name}_id")
    link = left.take_link(f"{name}_url")
    shown = next((text for text in (title, number) if text.lower() not in NONE), "")
    return Field(name.capitalize(), one_line(shown), link) if shown else None


def _stars(left: Placeholders) -> Field | None:
    text = one_line(left.take(*STARS))
    stars = stars_text(text)
    return Field("Rating", f"{stars} ({text})" if stars else text) if text else None


def _renewal(left: Placeholders) -> Field | None:
    text = left.take("renewal")
    return Field("Renewal", text) if text.lower() not in NONE else None


def _command(left: Placeholders) -> Field | None:
    text = one_line(left.take("command"))
    return Field("Command", text, code=True) if text else None
