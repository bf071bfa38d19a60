"""The filters and tests that a condition may use; each takes and gives a Value, and none can run away."""

import decimal
from collections.abc import Callable, Mapping
from decimal import Decimal

from daemon.expression.sandbox import RenderFailed
from daemon.expression.value import MISSING, Value

EXACT = decimal.Context(prec=80, traps=[decimal.InvalidOperation, decimal.Overflow])
_LONGEST_TEXT = 1024 * 1024
_FINEST = 20
"""Places to which a number is rounded."""


def _float(value: Value, default: Value = MISSING) -> Value:
    return default if value.number is None else Value.calculated(value.number)


def _int(value: Value, default: Value = MISSING) -> Value:
    return default if value.number is None else Value.calculated(value.number.to_integral_value(decimal.ROUND_DOWN))


def _abs(value: Value) -> Value:
    return _numeric(value, "abs", abs)


def _round(value: Value, places: Value = MISSING) -> Value:
    number = Decimal(0) if places.number is None else places.number
    if not -_FINEST <= number <= _FINEST:
        raise RenderFailed(f"a number is rounded to more than {_FINEST} places")
    unit = Decimal(1).scaleb(-int(number))
    return _numeric(value, "round", lambda given: given.quantize(unit, decimal.ROUND_HALF_UP, EXACT))


def _numeric(value: Value, name: str, calculate: Callable[[Decimal], Decimal]) -> Value:
    if value.is_missing:
        return value
    if value.number is None:
        raise RenderFailed(f'"{name}" needs a number')
    return Value.calculated(calculate(value.number))


def _replace(value: Value, old: Value, new: Value) -> Value:
    if len(value.text) + value.text.count(old.text) * len(new.text) > _LONGEST_TEXT:
        raise RenderFailed("a text grows too long")
    return Value.of(value.text.replace(old.text, new.text))


def _length(value: Value) -> Value:
    return Value.calculated(Decimal(len(value.text if value.nested is None else value.nested)))


def _default(value: Value, default: Value) -> Value:
    return default if value.is_missing else value


FILTERS: Mapping[str, Callable[..., Value]] = {
    "abs": _abs,
    "default": _default,
    "d": _default,
    "float": _float,
    "int": _int,
    "length": _length,
    "lower": lambda value: Value.of(value.text.lower()),
    "replace": _replace,
    "round": _round,
    "string": lambda value: Value(value.text, role="quoted"),
    "trim": lambda value: Value.of(value.text.strip()),
    "upper": lambda value: Value.of(value.text.upper()),
}
TESTS: Mapping[str, Callable[..., bool]] = {
    "defined": lambda value: not value.is_missing,
    "undefined": lambda value: value.is_missing,
    "number": lambda value: value.number is not None,
}
