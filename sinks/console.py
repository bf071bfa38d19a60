"""Prints each event to the standard output, for people or as JSON lines."""

import os
import sys
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from daemon.contract import Delivered, Delivery, Report, Sink, TryLater
from daemon.expression import cut
from daemon.http import Http
from sinks._envelope import encode, envelope
from sinks._layout import EVERYTHING, Message, compose
from sinks._thread import Hanging, OneByOne

_TEXT_LIMIT = 2000
_MOST_FIELDS = 30


class ConsoleSink(Sink):
    """The terminal, or whatever the output is directed to."""

    concurrency = 1

    class Settings(BaseModel):
        """The keys of a `type = "console"` sink."""

        model_config = ConfigDict(extra="forbid")

        format: Literal["text", "json"] = "text"

    def __init__(self, settings: Settings, http: Http) -> None:
        self._json = settings.format == "json"
        self._output = OneByOne()

    async def deliver(self, delivery: Delivery) -> Report:
        """Print one event."""
        shown = self.render(delivery)
        try:
            await self._output.call((delivery.id, delivery.replays), partial(_print, shown))
        except Hanging:
            return Report(TryLater("the standard output has been full for a while: whoever reads it has stopped"))
        except (OSError, ValueError):  # ValueError: the output was closed
            return Report(TryLater("the standard output takes no more"))
        return Report(Delivered("printed"), shown.encode("utf-8", "replace"))

    def render(self, delivery: Delivery) -> str:
        """What would be printed."""
        if self._json:
            return encode({"delivery_id": delivery.id} | envelope(delivery.event)).decode()
        return text_lines(compose(delivery.event, EVERYTHING))


def text_lines(message: Message) -> str:
    """A line with time and title, and an indented one for each thing there is to say."""
    details = [*cut(message.text, _TEXT_LIMIT).split("\n")] if message.text else []
    details += [f"{field.name}: {' '.join(field.value.split())}" for field in message.fields[:_MOST_FIELDS]]
    if len(message.fields) > _MOST_FIELDS:
        details.append(f"… {len(message.fields) - _MOST_FIELDS} more")
    if message.link:
        details.append(message.link)
    return "\n".join(
        [f"{message.occurred_at:%Y-%m-%d %H:%M:%SZ}  {message.title}", *(f"    {line}" for line in details)]
    )


def _print(text: str) -> None:
    """May hang, and must then hold none of Python's locks. Raises OSError or ValueError when nothing can be written."""
    output = sys.stdout
    if output is None:
        raise OSError
    encoding = output.encoding or "utf-8"
    line = text.encode(encoding, "backslashreplace") + b"\n"
    try:
        number = output.fileno()
    except OSError:  # there is no file behind it
        output.write(line.decode(encoding))
        line = b""
    output.flush()
    while line:
        line = line[os.write(number, line) :]
