"""Whether the sinks can tell what may come, and what the owner's templates make of it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pydantic import BaseModel

from daemon.app.misspelt import meant
from daemon.app.samples import SAMPLES
from daemon.condition import Condition
from daemon.contract import Delivery, Event, Sink, Summary, delivery_id
from daemon.expression import RenderFailed, TextTemplate
from daemon.people import PeopleSettings
from sinks._audience import is_private
from sinks._layout import EVERYTHING, locale_of, template_values
from sinks._placeholders import topic_of
from sinks._summary import summarize
from sinks._webhook_body import names_in
from sinks.webhook import WebhookSink

_IN_BODIES = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)\}(?!\})")
_IN_TEMPLATES = re.compile(r"(?<!\{)\{\{\s*([A-Za-z_]\w*)[^{}]*\}\}(?!\})")
_FOR_TEMPLATES = {title: event for title, event in SAMPLES.items() if topic_of(event) != "own"}
_OF_EVERY_EVENT = template_values(SAMPLES["missing fields"], EVERYTHING).keys()


def unrendered(name: str, sink: Sink, settings: BaseModel) -> Iterator[str]:
    """What the sink fails to tell, each as a sentence; never, as long as its code is right."""
    deliveries = {title: _delivery(name, event) for title, event in SAMPLES.items()}
    for title, delivery in deliveries.items():
        try:
            sink.render(delivery)
        except Exception as error:  # noqa: BLE001 - whatever a sink raises here it would raise when it counts
            yield f"cannot render {title} ({type(error).__name__})"
    if isinstance(settings, PeopleSettings):
        try:
            summarize(Summary("s-check", "digest", tuple(deliveries.values())), settings)
        except Exception as error:  # noqa: BLE001 - as above
            yield f"cannot render all of them together ({type(error).__name__})"


def unfilled(name: str, settings: BaseModel, seen: Set[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Each template that comes out otherwise than its owner may think: its key, and what is wrong as a sentence.

    `seen`: placeholders that are known to come.
    """
    yield from _of_the_other_place(f"sinks.{name}", settings)
    misspelt = list(_misspelt(f"sinks.{name}", settings, seen))
    yield from misspelt
    people = settings if isinstance(settings, PeopleSettings) else EVERYTHING
    for key, template in _templates(f"sinks.{name}", dict(settings)):
        instead = "the field is left out" if key.startswith(f"sinks.{name}.fields.") else "the built-in text is used"
        if unseen := [unknown for unknown in _unseen(template, people) if not meant(unknown, seen)]:
            yield key, f'names what the public is not told ({", ".join(unseen)}): empty unless audience is "full"'
        results, failures = [], defaultdict[str, list[str]](list)
        for title, event in _FOR_TEMPLATES.items():
            try:
                results.append(template.render(template_values(event, people), locale_of(people)).strip())
            except RenderFailed as failure:
                failures[str(failure)].append(title)
        for reason, titles in failures.items():
            yield key, f"does not fit {', '.join(titles)} ({reason}); {instead} then"
        is_fine = not template.source.strip() or template.names & seen or key in dict(misspelt)
        if results and not any(results) and not is_fine:
            yield key, f"is empty for every sample; {instead} then"


def _misspelt(key: str, settings: BaseModel, seen: Set[str]) -> Iterator[tuple[str, str]]:
    for path, names in _names(key, settings):
        for name in sorted(names):
            if guess := meant(name, seen):
                yield path, f'no placeholder "{name}" is known; did you mean "{guess}"?'


def _names(key: str, settings: BaseModel) -> Iterator[tuple[str, frozenset[str]]]:
    """The placeholders that each key asks for."""
    if isinstance(where := getattr(settings, "where", None), Condition):
        yield f"{key}.where", where.names
    for path, template in _templates(key, dict(settings)):
        yield path, template.names
    if isinstance(settings, WebhookSink.Settings):
        for path, text in _texts(key, {"json": settings.json_body, "form": settings.form}):
            yield path, names_in(text)


def _of_the_other_place(key: str, settings: BaseModel) -> Iterator[tuple[str, str]]:
    """Placeholders in the spelling of the other place: `{{ name }}` in a body, `{name}` in a template."""
    for path, template in _templates(key, dict(settings)):
        for found in _IN_BODIES.finditer(template.literal):
            yield path, f'"{found[0]}" is shown as it stands; here write "{{{{ {found[1]} }}}}"'
    if isinstance(settings, WebhookSink.Settings):
        for path, text in _texts(key, {"json": settings.json_body, "form": settings.form}):
            for found in _IN_TEMPLATES.finditer(text):
                yield path, f'"{found[0]}" is sent as "{found[0][1:-1]}"; here write "{{{found[1]}}}"'


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield key, value
        case Mapping():
            for name, inner in value.items():
                yield from _texts(f"{key}.{name}", inner)
        case list():
            for inner in value:
                yield from _texts(key, inner)


def _templates(key: str, value: Any) -> Iterator[tuple[str, TextTemplate]]:
    if isinstance(value, TextTemplate):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _templates(f"{key}.{name}", inner)


def _unseen(template: TextTemplate, people: PeopleSettings) -> list[str]:
    if people.audience == "full":
        return []
    return sorted(name for name in template.names if is_private(name) and name not in _OF_EVERY_EVENT)


def _delivery(sink: str, event: Event) -> Delivery:
    return Delivery(delivery_id(event.source, event.external_id, sink), event, attempt=1)
