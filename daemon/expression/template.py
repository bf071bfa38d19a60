"""Texts with places to be filled in from an event."""

from collections.abc import Mapping
from typing import Any, ClassVar

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from pydantic_core import PydanticCustomError

from daemon.expression.config_text import ConfigText
from daemon.expression.filters import LOCALE
from daemon.expression.places import Place
from daemon.expression.readable import Locale
from daemon.expression.sandbox import RenderFailed, Sandbox, limited_time, understand

LONGEST_RESULT = 64 * 1024
"""Characters; what goes beyond is cut off."""
_SANDBOXES: Mapping[Place, Sandbox] = {
    "text": Sandbox("text"),
    "markdown": Sandbox("markdown"),
    "html": Sandbox("html"),
}
_AT_HOME = Locale()


class TextTemplate(ConfigText):
    """Text with `{{ … }}` and `{% … %}`, understood when the config is read; what is filled in is only cleaned."""

    __slots__ = ("_compiled", "doubts")
    place: ClassVar[Place] = "text"

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.doubts: set[str] = set()
        """Why it failed, as far as that was logged."""
        sandbox = _SANDBOXES[self.place]
        self._compiled = sandbox.template_class.from_code(sandbox, understand(sandbox, source), {})

    @property
    def names(self) -> frozenset[str]:
        """The placeholders it asks for."""
        sandbox = _SANDBOXES[self.place]
        return frozenset(find_undeclared_variables(sandbox.parse(self.source)))

    @property
    def literal(self) -> str:
        """What it says of itself, with a line end wherever something is filled in."""
        tree = _SANDBOXES[self.place].parse(self.source)
        return "\n".join(piece.data for piece in tree.find_all(nodes.TemplateData))

    def render(self, event_values: Mapping[str, Any], locale: Locale = _AT_HOME) -> str:
        """Fill the template in; what is missing or None stays empty, at most LONGEST_RESULT characters come out.

        Raises RenderFailed with a sentence when the values do not fit.
        """
        known = {name: value for name, value in event_values.items() if value is not None}
        pieces, left = [], LONGEST_RESULT
        try:
            with limited_time():
                for piece in self._compiled.generate({**known, LOCALE: locale}):
                    pieces.append(piece[:left])
                    left -= len(pieces[-1])
                    if not left:
                        break
        except RenderFailed:
            raise
        except ZeroDivisionError:
            raise RenderFailed("a division by zero") from None
        except Exception as error:  # noqa: BLE001 - whatever an operator or a filter makes of odd values
            raise RenderFailed(f"a value does not fit where it is used ({type(error).__name__})") from None
        return "".join(pieces)

    @classmethod
    def require_source(cls, value: Any) -> str:
        """Any text. Raises PydanticCustomError."""
        if not isinstance(value, str):
            raise PydanticCustomError("template", "must be text, with {{ }} around what the event provides")
        return value


class MarkdownTemplate(TextTemplate):
    """One whose result is Discord's markdown: what is filled in is escaped, so that it formats and pings nothing."""

    __slots__ = ()
    place = "markdown"


class HtmlTemplate(TextTemplate):
    """One whose result is HTML: what is filled in is escaped."""

    __slots__ = ()
    place = "html"
