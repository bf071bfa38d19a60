"""The small part of Jinja2 that people may write into the config, and that cannot run away.

Jinja's sandbox keeps a template from reaching Python, not from eating memory and time
(https://jinja.palletsprojects.com/en/stable/sandbox/). So there are no calls, no attributes, no
unbounded loops, and whatever could grow a value is capped. Event data is never read as a template.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from itertools import islice
from time import thread_time
from types import CodeType
from typing import Any, Literal

from jinja2 import TemplateSyntaxError, Undefined, nodes
from jinja2.filters import FILTERS, do_round
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps
from jinja2.visitor import NodeTransformer
from pydantic_core import PydanticCustomError

from daemon.expression.filters import FILTERS_OF_OURS
from daemon.expression.missing import Missing, Searched
from daemon.expression.places import Finished, Place, written

_LONGEST_VALUE = 1024 * 1024
_LONGEST_NUMBER = 4096  # bits; a number multiplied by itself a few times would keep everything else waiting
_LARGEST = 1e300  # written in a template
_MOST_ITEMS = 500
_MOST_SECONDS = 1.0  # of CPU for one template; a usual one takes a ten-thousandth
_DEEPEST_LOOP = 2
_FILTERS = """abs capitalize count d default dictsort filesizeformat first float int items last length list
lower map max min reject rejectattr reverse round select selectattr sort string striptags sum title tojson trim
truncate unique upper urlencode wordcount""".split()  # noqa: SIM905 - a list of forty words reads better so
_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.CondExpr),
    *(nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.List, nodes.Tuple, nodes.Dict),
    *(nodes.Pair, nodes.Keyword, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or),
    *(nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    nodes.Concat,
)
_until = ContextVar("until", default=math.inf)


class RenderFailed(Exception):
    """An event does not fit the template; the text is fit for people."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Reads event data and nothing else, and calculates with nothing that could grow."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, place: Place = "text") -> None:
        def write(value: Any) -> str:
            text = _finalize(value)
            return written(text if isinstance(text, str) else str(text), place)

        super().__init__(undefined=Missing, autoescape=False, finalize=write, optimized=False)
        self.globals.clear()
        self.tests["none"] = lambda value: value is None or isinstance(value, Undefined)
        self.tests["in"] = lambda value, values: value in Searched(values)
        self.filters = {name: _capped(FILTERS[name]) for name in _FILTERS}
        self.filters |= {
            "join": _capped(_join),
            "replace": _capped(_replace),
            "format": _capped(_format),
            "loopable": _loopable,
            "searched": Searched,
        }
        self.filters |= {"round": _round, "tojson": _capped(_tojson), "e": _escaped, "escape": _escaped}
        self.filters |= {name: _capped(function) for name, function in FILTERS_OF_OURS.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look into event data only: `data.items` is a key, never a method."""
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up a key or an index; what is not there or null is missing, whatever the type."""
        found = None
        if isinstance(obj, Mapping | list | tuple | str):
            with suppress(TypeError, LookupError):
                found = obj[argument]
        return self.undefined(obj=obj, name=argument) if found is None else found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers; `+` also joins texts and lists, up to the cap."""
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return left if isinstance(left, Undefined) else right
        if operator == "+" and isinstance(left, str | list) and isinstance(right, str | list):
            _require(len(left) + len(right) <= _LONGEST_VALUE)
        elif not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise RenderFailed(f'"{operator}" needs numbers on both sides (|float makes one)')
        result = super().call_binop(context, operator, left, right)
        _require(not isinstance(result, int) or result.bit_length() <= _LONGEST_NUMBER, "a number grows too long")
        return result


def _finalize(value: Any) -> Any:
    """Write None as nothing, and tables and lists as JSON instead of Python."""
    if value is None:
        return ""
    value = _loopable(value) if isinstance(value, Iterator) else value
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping | list | tuple) else value


@contextmanager
def limited_time() -> Iterator[None]:
    """Let no template calculate for longer within this block than an event can wait."""
    token = _until.set(thread_time() + _MOST_SECONDS)
    try:
        yield
    finally:
        _until.reset(token)


def _require(condition: bool, otherwise: str = "a value grows too long") -> None:
    if not condition:
        raise RenderFailed(otherwise)


def _capped(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        _require(thread_time() < _until.get(), "it takes too long")
        result = function(*args, **options)
        _require(not isinstance(result, str) or len(result) <= _LONGEST_VALUE)
        is_plain = not isinstance(result, str) or isinstance(result, Finished)
        return result if is_plain else str(result)  # Jinja's Markup would escape its neighbours

    return call


def _join(values: Iterable[Any], separator: str = "") -> str:
    parts, length = [], 0
    for value in values:
        parts.append(str(_finalize(value)))
        length += len(parts[-1]) + len(separator)
        _require(length <= _LONGEST_VALUE)
    return separator.join(parts)


def _replace(text: Any, old: Any, new: Any) -> str:
    before, old, new = str(_finalize(text)), str(old), str(new)
    _require(len(before) + before.count(old) * len(new) <= _LONGEST_VALUE)
    return before.replace(old, new)


def _format(pattern: Any, *values: Any) -> str:
    text = str(pattern)
    _require(not re.search(r"%[^a-zA-Z%]*(?:\d{3}|\*)", text), "a format is wider than 99 characters")
    return text % values


def _round(value: Any, precision: int = 0, method: Literal["common", "ceil", "floor"] = "common") -> float:
    _require(abs(precision) <= 20, "a number is rounded to more than 20 places")
    return do_round(value, precision, method)


def _escaped(value: Any) -> Finished:
    return Finished.of("html", written(str(_finalize(value)), "html"))


def _tojson(value: Any) -> str:
    value = None if isinstance(value, Undefined) else value
    return htmlsafe_json_dumps(value, sort_keys=True)  # not indented: the indent could be a megabyte


def _loopable(values: Any) -> list[Any]:
    _require(thread_time() < _until.get(), "it takes too long")
    items = list(islice(() if values is None else values, _MOST_ITEMS + 1))
    _require(len(items) <= _MOST_ITEMS, f"a loop runs over more than {_MOST_ITEMS} items")
    return items


class _Tamed(NodeTransformer):
    """Sends loops and `~` through the filters that cap them, and what is searched through one that never fails."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "loopable", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if node.op in ("in", "notin"):
            node.expr = nodes.Filter(node.expr, "searched", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)


def understand(sandbox: Sandbox, source: str) -> CodeType:
    """Check and compile a template. Raises PydanticCustomError with the line and what is wrong."""
    with refusing("the template"):
        tree = sandbox.parse(source)
        _check(tree)
        return sandbox.compile(_Tamed().visit(tree))


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Say in one line what is wrong with something written for Jinja. Raises PydanticCustomError."""
    try:
        yield
    except TemplateSyntaxError as error:
        # A long word in quotes may be a secret that was pasted here.
        words = re.sub(r"'[^'\s]{12,}'", "'…'", error.message or "not understood").rstrip(".")
        words = words.replace("end of template", f"end of {what.removeprefix('the ')}")
        raise PydanticCustomError(
            "template", "line {line} of {what}: {words}", {"line": error.lineno or 1, "what": what, "words": words}
        ) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise PydanticCustomError("template", "{what} is nested too deeply", {"what": what}) from None


def _check(node: nodes.Node, loops: int = 0) -> None:
    """Refuse what the sandbox leaves out. Raises TemplateSyntaxError."""
    loops += isinstance(node, nodes.For)
    if isinstance(node, nodes.Call):
        raise TemplateSyntaxError("calls such as x() are not available; use a filter such as |upper", node.lineno)
    if not isinstance(node, _NODES) or (isinstance(node, nodes.For) and node.recursive):
        raise TemplateSyntaxError(f"{type(node).__name__} is not available in templates", node.lineno)
    if isinstance(node, nodes.Const) and isinstance(node.value, int | float) and abs(node.value) > _LARGEST:
        raise TemplateSyntaxError("a number is too large", node.lineno)
    if loops > _DEEPEST_LOOP:
        raise TemplateSyntaxError(f"loops may be nested {_DEEPEST_LOOP} deep", node.lineno)
    if isinstance(node, nodes.Assign) and any(node.find_all((nodes.List, nodes.Tuple, nodes.Dict))):
        raise TemplateSyntaxError("{% set %} takes no lists or tables", node.lineno)
    for child in node.iter_child_nodes():
        _check(child, loops)
