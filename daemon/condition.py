"""Conditions on what an event holds: `where = "final_price|float >= 5"`."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from daemon.contract import Event
from daemon.expression import ConfigText, RenderFailed
from daemon.expression.comparison import understand_all
from daemon.expression.value import Value

LONGEST_CONDITION = 4000
"""Characters."""
_LONGEST_SEEN = 80


class Decision(NamedTuple):
    """Whether an event is wanted."""

    wanted: bool
    explanation: str
    is_doubtful: bool = False
    """The condition could not be worked out, so the event is taken rather than lost."""


class Condition(ConfigText):
    """An expression that an event meets or not, understood when the config is read."""

    __slots__ = ("_parts", "_text")

    def __init__(self, source: str) -> None:
        super().__init__(source.strip())
        self._parts = understand_all(self.source)
        self._text = " and ".join(part.text for part in self._parts)

    @property
    def names(self) -> frozenset[str]:
        """The placeholders it asks for."""
        return frozenset(name for part in self._parts for name in part.names)

    def decide(self, event: Event) -> Decision:
        """Whether the event meets it, and if not the first part that it does not, with the values seen."""
        doubt = ""
        for part in self._parts:
            values = {name: _look_up(event, name) for name in part.names}
            try:
                if not part.holds({name: Value.of(value) for name, value in values.items()}):
                    return Decision(False, f"does not meet {part.text}{_seen(values)}")
            except RenderFailed as failure:
                doubt = doubt or f"{part.text}{_seen(values)}: {failure}"
            except Exception as error:  # noqa: BLE001 - whatever odd values bring about, no event is lost by it
                doubt = doubt or f"{part.text}{_seen(values)}: {type(error).__name__}"
        if doubt:
            return Decision(True, f"taken, since nobody can tell whether it meets {doubt}", is_doubtful=True)
        return Decision(True, f"meets {self._text}")

    @classmethod
    def require_source(cls, value: Any) -> str:
        """Text that says something, of at most LONGEST_CONDITION characters. Raises PydanticCustomError."""
        if not isinstance(value, str) or not value.strip():
            raise PydanticCustomError("template", 'must be text, such as "final_price|float >= 5"')
        if len(value) > LONGEST_CONDITION:
            raise PydanticCustomError("template", "longer than {most} characters", {"most": LONGEST_CONDITION})
        return value


def _look_up(event: Event, name: str) -> Any:
    """What a name stands for, as in templates: a placeholder, else what every event has."""
    if isinstance(event.data, Mapping) and name in event.data:
        return event.data[name]
    return event.facts.get(name)


def _seen(values: Mapping[str, Any]) -> str:
    seen = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
    return f" ({seen})" if seen else ""


def _shown(value: Any) -> str:
    match value:
        case None:
            return "is missing"
        case str():
            start = value if len(value) <= _LONGEST_SEEN else f"{value[:_LONGEST_SEEN]}…"
            return f"= {json.dumps(start, ensure_ascii=False)}"
        case bool() | float():
            return f"= {json.dumps(value)}"
        case int():
            return f"= {Value.of(value).text[:_LONGEST_SEEN]}"
        case _:
            return "is a table" if isinstance(value, Mapping) else "is a list"
