"""Tells any service that Apprise knows: some 150 of them, each by one URL."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import field_validator, model_validator

from daemon.contract import Closed, Delivered, Delivery, Event, Report, Sink, Summary, TryLater, Unreachable
from daemon.expression import READ, MarkdownTemplate, TextTemplate, cut, markdown, one_line
from daemon.http import Http
from daemon.people import PeopleSettings
from daemon.redaction import remember
from daemon.secrets import Secret
from sinks._apprise_service import Format, Service, Unusable
from sinks._http import Timeout
from sinks._layout import compose, filled
from sinks._letter import letter, overview_letter
from sinks._summary import summarize
from sinks._thread import start

_ON_THIS_MACHINE = {"blink1", "dbus", "file", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"}
_URL = re.compile(r"[A-Za-z0-9]{2,20}://\S+")
_SHORTEST_PART = 8
"""A part of the URL that is this long may be a token, unless it is a plain word."""
_MENTION = re.compile(r"@(?=everyone|here|channel|all)|(?<!\w)@|@(?![\w-]+\.\w)|<(?=!)")
"""What some service or other takes for a call to somebody; mail addresses are left alone."""
_HARMLESS = {"@": "\uff20", "<": "\u2039"}
_LONGEST_TITLE = 250
_LONGEST_BODY = 32_768
"""Characters; no service takes more."""
_DEEPEST = 20
_MOST_HANGING = 3
"""Calls that outlived their time and still run, each in a thread; with so many, no further one is made."""
_MOST_LATE = 100

_REFUSED = TryLater("the service did not take it, or could not be reached; Apprise tells no more")


class AppriseSettings(PeopleSettings):
    """The keys of a `type = "apprise"` sink."""

    url: Secret
    title: TextTemplate | None = None
    body: TextTemplate | None = None
    markdown: MarkdownTemplate | None = None
    timeout: Timeout = timedelta(seconds=30)

    @field_validator("url")
    @classmethod
    def _url_is_one_of_a_service(cls, url: Secret) -> Secret:
        if url.reveal().partition("://")[0].lower() in _ON_THIS_MACHINE:
            raise ValueError("must lead to a service; this one would act on the machine itself")
        if not _URL.fullmatch(url.reveal()):
            raise ValueError('must be one Apprise URL, such as "tgram://token/chat"')
        for part in _parts(url.reveal()):
            remember(part)
        return url

    @model_validator(mode="after")
    def _body_is_one(self) -> "AppriseSettings":
        if self.body and self.markdown:
            raise ValueError('"body" and "markdown" are the same text in two formats: give one')
        return self


@dataclass(frozen=True, slots=True)
class _Post:
    """What is to be told; how long it may be shows when the service is known."""

    id: str
    """The same at every attempt; another one when a person wants it told again."""
    title: str
    write: Callable[[int], str]
    written_as: Format


class _Call:
    """A post on its way in a thread of its own; its text is fitted there too: Apprise's escaping can take long."""

    def __init__(self, service: Service, post: _Post) -> None:
        self.body = b""
        """What is sent, once that is known."""
        self.took = start(partial(self._tell, service, post))

    def _tell(self, service: Service, post: _Post) -> bool:
        body = service.fit(post.title, post.write, post.written_as)
        self.body = f"{post.title}\n\n{body}".encode("utf-8", "replace")
        return service.send(post.title, body, post.written_as)


class AppriseSink(Sink):
    """A service behind Apprise, called in threads that are left behind when they take too long."""

    Settings = AppriseSettings
    concurrency = 1

    def __init__(self, settings: AppriseSettings, http: Http) -> None:
        self._settings = settings
        self._service: Service | None = None
        self._hanging: list[Future[bool]] = []
        self._late: dict[str, _Call] = {}
        """Calls that outlived their time, by what they tell: it is not told again while one may still get through."""

    async def deliver(self, delivery: Delivery) -> Report:
        """Tell one event."""
        return await self._tell(self._post(delivery))

    async def deliver_summary(self, summary: Summary) -> Report:
        """Tell several events in one message."""
        harmless = [replace(each, event=_harmless(each.event)) for each in summary.deliveries]
        overview = summarize(replace(summary, deliveries=harmless), self._settings)
        write = partial(overview_letter, overview, self._settings)
        return await self._tell(_Post(summary.id, cut(overview.title, _LONGEST_TITLE), write, "text"))

    async def _tell(self, post: _Post) -> Report:
        call: _Call | None = None
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                service = self._service = self._service or await self._load()
                call = self._late.get(post.id) or self._call(service, post)
                if call is None:
                    return Report(TryLater(f"{_MOST_HANGING} earlier calls of this service hang to this moment"))
                took = await self._finished(post.id, call)
        except Unusable as unusable:
            return Report(Closed(str(unusable)))
        except TimeoutError:
            seconds = self._settings.timeout.total_seconds()
            return Report(
                TryLater(f"no answer within {seconds:g} s; the service may have it"), call.body if call else b""
            )
        except Exception as error:  # noqa: BLE001 - plug-ins raise anything, with URLs in it
            return Report(TryLater(f"Apprise failed ({type(error).__name__})"), call.body if call else b"")
        return Report(Delivered(f"taken by {service.name}") if took else _REFUSED, call.body)

    async def _load(self) -> Service:
        return await asyncio.wrap_future(start(partial(Service, self._settings.url.reveal())))

    def _call(self, service: Service, post: _Post) -> _Call | None:
        """Start telling it; None while too many calls hang."""
        self._hanging = [call for call in self._hanging if not call.done()]
        if len(self._hanging) >= _MOST_HANGING:
            return None
        return _Call(service, post)

    async def _finished(self, post_id: str, call: _Call) -> bool:
        """Whether the service took it. A call that is given up is waited for once more, by the next attempt."""
        try:
            return await asyncio.wrap_future(call.took)
        finally:
            if call.took.done():
                self._late.pop(post_id, None)
            else:
                self._give_up(post_id, call)

    def _give_up(self, post_id: str, call: _Call) -> None:
        self._service = None  # its thread goes on with this one
        if self._late.pop(post_id, None) is None:
            self._hanging.append(call.took)
            self._late[post_id] = call
            while len(self._late) > _MOST_LATE:
                del self._late[next(iter(self._late))]

    def render(self, delivery: Delivery) -> str:
        """The title and the text, as far as they do not depend on the service."""
        post = self._post(delivery)
        return f"{post.title}\n\n{post.write(_LONGEST_BODY)}"

    async def check(self) -> str:
        """Let Apprise read the URL; it has no way to reach a service without sending."""
        try:
            service = await self._load()
        except Unusable as unusable:
            raise Unreachable(str(unusable)) from None
        return f"Apprise knows this URL as {one_line(service.name)}; it cannot be tried without sending"

    def _post(self, delivery: Delivery) -> _Post:
        settings, event = self._settings, _harmless(delivery.event)
        message = compose(event, settings)
        title = one_line(filled(settings.title, event, settings, "")) or message.title
        text = letter(message, settings)
        if settings.markdown:
            text = filled(settings.markdown, event, settings, markdown(text, _LONGEST_BODY))
        text = filled(settings.body, event, settings, text) or text
        written_as: Format = "markdown" if settings.markdown else "text"
        return _Post(f"{delivery.id} {delivery.replays}", cut(title, _LONGEST_TITLE), partial(cut, text), written_as)


def _harmless(event: Event) -> Event:
    """The event, with nothing in it that calls somebody; what the config's owner writes may."""
    return replace(event, kind=_quiet(event.kind), data=_without_mentions(event.data, _DEEPEST))


def _without_mentions(value: Any, depth: int) -> Any:
    match value:
        case str():
            return _quiet(value)
        case Mapping() if depth:
            return {_without_mentions(name, 0): _without_mentions(inner, depth - 1) for name, inner in value.items()}
        case list() | tuple() if depth:
            return [_without_mentions(inner, depth - 1) for inner in value]
        case Mapping() | list() | tuple():
            return "…"
    return value


def _quiet(text: str) -> str:
    if "@" not in text and "<" not in text:
        return text
    return _MENTION.sub(lambda found: _HARMLESS[found[0]], text[:READ])


def _parts(url: str) -> Iterator[str]:
    """What may be a token: all of the URL that is long enough and neither a plain word nor the name of a host."""
    rest = url.partition("://")[2]
    place, _, query = rest.partition("?")
    user, at, _ = place.partition("@")
    if at and ":" in user:
        yield unquote(user.partition(":")[2])
    for part in (*re.split(r"[/:@,#]", place), *(value for _, value in parse_qsl(query))):
        plain_word = part.isalpha() and part.islower()
        host = re.fullmatch(r"[\w-]+(\.[\w-]+)+", part)
        if len(part) >= _SHORTEST_PART and not plain_word and not host:
            yield part
            yield unquote(part)
