"""Whether the sinks can tell what may come, and what the owner's templates make of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from daemon.app.samples import SAMPLES
from daemon.contract import Delivery, Event, Sink, Summary, delivery_id
from daemon.expression import RenderFailed, Template
from daemon.people import PeopleSettings
from sinks._audience import is_private
from sinks._layout import EVERYTHING, locale_of, template_values
from sinks._summary import summarize

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


def unfilled(name: str, settings: BaseModel) -> Iterator[tuple[str, str]]:
    """Each template that comes out otherwise than its owner may think: its key, and what is wrong as a sentence."""
    people = settings if isinstance(settings, PeopleSettings) else EVERYTHING
    for key, template in _templates(f"sinks.{name}", dict(settings)):
        if unseen := _unseen(template, people):
            yield key, f'names what the public is not told ({", ".join(unseen)}): empty unless audience is "full"'
        results, failures = [], defaultdict[str, list[str]](list)
        for title, event in SAMPLES.items():
            try:
                results.append(template.render(template_values(event, people), locale_of(people)).strip())
            except RenderFailed as failure:
                failures[str(failure)].append(title)
        for reason, titles in failures.items():
            yield key, f"does not fit {', '.join(titles)} ({reason}); the built-in text is used then"
        if results and not any(results) and template.source.strip():
            yield key, "is empty for every sample; the built-in text is used then"


def _templates(key: str, value: Any) -> Iterator[tuple[str, Template]]:
    if isinstance(value, Template):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _templates(f"{key}.{name}", inner)


def _unseen(template: Template, people: PeopleSettings) -> list[str]:
    if people.audience == "full":
        return []
    return sorted(name for name in template.names if is_private(name) and name not in _OF_EVERY_EVENT)


def _delivery(sink: str, event: Event) -> Delivery:
    return Delivery(delivery_id(event.source, event.external_id, sink), event, attempt=1)
