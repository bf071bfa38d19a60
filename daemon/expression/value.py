"""A value as a condition sees it: text and number at once, and harmless where it is missing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from daemon.placeholders import number_of

Role = Literal["given", "quoted", "number"]
"""Where it is from: an event, a text in quotes, or a number that was written or calculated."""


class Value:
    """A scalar, a list or a table.

    A number is compared with anything as a number, a quoted text as text; two values of an event are compared as
    numbers if both are. Booleans are the texts `true` and `false`, null is missing. What is missing equals the empty
    text and is neither smaller nor larger than anything, nor in any text.
    """

    __slots__ = ("nested", "number", "role", "text")
    __hash__ = None  # type: ignore[assignment] # Python's own way to say: not to be hashed

    def __init__(self, text: str, number: Decimal | None = None, role: Role = "given", nested: Any = None) -> None:
        self.text = text
        self.number = number
        self.role = role
        self.nested = nested
        """The list or table itself; it has no text."""

    @classmethod
    def of(cls, raw: Any) -> "Value":
        """Whatever JSON can hold."""
        match raw:
            case Value():
                return raw
            case None:
                return MISSING
            case str():
                return cls(raw, number_of(raw))
            case bool():
                return cls("true" if raw else "false")
            case int():
                number = number_of(raw)
                return cls(hex(raw) if number is None else str(raw), number)
            case float():
                return cls(repr(raw), number_of(raw))
            case Mapping() | list() | tuple():
                return cls("", nested=raw)
            case _:
                return cls(str(raw))

    @classmethod
    def written(cls, constant: Any) -> "Value":
        """What stands in the condition itself; 4.99 is exactly that."""
        value = cls.of(constant)
        is_number = isinstance(constant, int | float) and not isinstance(constant, bool)
        return cls(value.text, value.number, "number" if is_number else "quoted") if value is not MISSING else MISSING

    @classmethod
    def calculated(cls, number: Decimal) -> "Value":
        """The result of a calculation."""
        return cls(format(number, "f") if abs(number.adjusted()) < 100 else str(number), number, "number")

    @property
    def is_missing(self) -> bool:
        """Whether the event has no such thing."""
        return self is MISSING

    def __bool__(self) -> bool:
        """Nothing, zero however it is written, and `false` are false."""
        if self.nested is not None:
            return bool(self.nested)
        return self.number != 0 if self.number is not None else self.text not in ("", "false")

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        pair = _pair(self, Value.of(other))
        return pair is not None and pair[0] == pair[1]

    def __lt__(self, other: object) -> bool:
        pair = _ordered(self, Value.of(other))
        return pair is not None and pair[0] < pair[1]

    def __le__(self, other: object) -> bool:
        pair = _ordered(self, Value.of(other))
        return pair is not None and pair[0] <= pair[1]

    def __gt__(self, other: object) -> bool:
        return Value.of(other) < self

    def __ge__(self, other: object) -> bool:
        return Value.of(other) <= self

    def __contains__(self, item: object) -> bool:
        wanted = Value.of(item)
        if isinstance(self.nested, list | tuple):
            return any(Value.of(entry) == wanted for entry in self.nested)
        if isinstance(self.nested, Mapping):
            return wanted.text in self.nested
        return not wanted.is_missing and not self.is_missing and wanted.text in self.text


MISSING = Value("")
"""What an event does not have."""


def _pair(one: Value, other: Value) -> tuple[Any, Any] | None:
    """Both as they are to be compared; None for a number and a text that is none."""
    if one.nested is not None or other.nested is not None:
        return one.nested, other.nested
    roles = {one.role, other.role}
    if one.number is not None and other.number is not None and ("number" in roles or "quoted" not in roles):
        return one.number, other.number
    return None if "number" in roles else (one.text, other.text)


def _ordered(one: Value, other: Value) -> tuple[Any, Any] | None:
    if one.is_missing or other.is_missing or one.nested is not None or other.nested is not None:
        return None
    return _pair(one, other)
