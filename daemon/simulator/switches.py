"""Reads a frozen dataclass of switches from a mapping, strictly: a typing error must not pass for a healthy day."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

Switches = TypeVar("Switches")


def read(kind: type[Switches], given: object) -> Switches:
    """Make the switches that a mapping (JSON, TOML) describes; what it leaves out keeps its default.

    Raises ValueError with one line that says which switch is wrong and what it takes.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"switches must be a table of names and values, not {_name_of(given)}")
    hints = typing.get_type_hints(kind)
    for name in given:
        if name not in hints:
            close = difflib.get_close_matches(str(name), hints, n=1)
            raise ValueError(f'unknown switch "{name}"' + (f'; did you mean "{close[0]}"?' if close else ""))
    return kind(**{name: _checked(name, hints[name], value) for name, value in given.items()})


def require(switches: object, *, positive: tuple[str, ...] = (), at_least_0: tuple[str, ...] = ()) -> None:
    """Check ranges of numbers (None passes). Raises ValueError."""
    for name in positive + at_least_0:
        value = getattr(switches, name)
        if value is None:
            continue
        if not math.isfinite(value) or value < 0 or (name in positive and value == 0):
            raise ValueError(f"{name} must be {'more than' if name in positive else 'at least'} 0, not {value}")


def plain(switches: Any) -> dict[str, Any]:
    """The switches that differ from their defaults."""
    defaults = dataclasses.asdict(type(switches)())
    return {name: value for name, value in dataclasses.asdict(switches).items() if value != defaults[name]}


def _checked(name: str, hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _checked(name, next(kind for kind in arguments if kind is not types.NoneType), value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{name} must be one of {', '.join(map(str, arguments))}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} must be a list, not {_name_of(value)}")
        return tuple(_checked(name, arguments[0], item) for item in value)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be a table, not {_name_of(value)}")
        return {str(key): _checked(name, arguments[1], item) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{name} must be {hint.__name__}, not {_name_of(value)}")
    return value


def _name_of(value: object) -> str:
    return "null" if value is None else type(value).__name__
