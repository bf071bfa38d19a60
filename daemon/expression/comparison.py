"""Jinja2 expressions that decide: nothing but names, values, comparing and calculating."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from daemon.expression.condition_filters import EXACT, FILTERS, TESTS
from daemon.expression.sandbox import RenderFailed, Sandbox, refusing
from daemon.expression.value import MISSING, Value

_NODES = (
    *(nodes.Name, nodes.Getattr, nodes.Getitem, nodes.List, nodes.Tuple, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.CondExpr),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
)
_OF_THE_EVENT = "of_the_event_"
"""Before every name, since some mean something else to Jinja, such as `self`."""
_ELSEWHERE = {r"&&": '"and" for "&&"', r"\|\|": '"or" for "||"', r"!(?!=)": '"not" for "!"'}
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OPERATIONS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": EXACT.add,
    "-": EXACT.subtract,
    "*": EXACT.multiply,
    "/": EXACT.divide,
    "//": EXACT.divide_int,
    "%": EXACT.remainder,
}
_written = lru_cache(maxsize=4096, typed=True)(Value.written)


def _of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what is no Value yet: lists as they are written, and what comparing gives."""
    return lambda *given, **named: function(*map(Value.of, given), **{key: Value.of(named[key]) for key in named})


class _Comparing(Sandbox):
    """A sandbox in which every value is a Value."""

    intercepted_binops = frozenset(_OPERATIONS)
    intercepted_unops = frozenset("+-")

    def __init__(self) -> None:
        super().__init__()
        self.filters = {**{name: _of_values(function) for name, function in FILTERS.items()}, "written": _written}
        self.tests = {name: _of_values(function) for name, function in TESTS.items()}

    def getitem(self, obj: Any, argument: Any) -> Value:
        """Look up a key or an index; what is not there is missing."""
        try:
            return Value.of(Value.of(obj).nested[argument])
        except (TypeError, LookupError):
            return MISSING

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Value:
        """Calculate exactly; with what is missing nothing comes out."""
        one, other = Value.of(left), Value.of(right)
        if one.is_missing or other.is_missing:
            return MISSING
        if one.number is None or other.number is None:
            raise RenderFailed(f'"{operator}" needs numbers on both sides')
        if operator in ("/", "//", "%") and not other.number:
            raise RenderFailed("a division by zero")
        try:
            return Value.calculated(_OPERATIONS[operator](one.number, other.number))
        except ArithmeticError:
            raise RenderFailed(f'"{operator}" has no result for these numbers') from None

    def call_unop(self, context: Context, operator: str, arg: Any) -> Value:
        """Change the sign, or not."""
        return self.call_binop(context, operator, _written(0), arg)


_SANDBOX = _Comparing()


class _Tamed(NodeTransformer):
    """Refuses what a condition does not need, and makes Values of what is written in it."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Each node, if it is one of those that a condition may have. Raises TemplateSyntaxError."""
        if isinstance(node, nodes.Call):
            raise TemplateSyntaxError("calls such as x() are not available; use a filter such as |lower", node.lineno)
        if not isinstance(node, (*_NODES, nodes.Const)):
            raise TemplateSyntaxError(f"{type(node).__name__} is not available in a condition", node.lineno)
        return super().visit(node, *args, **kwargs)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802 - Jinja's name
        return nodes.Name(f"{_OF_THE_EVENT}{node.name}", node.ctx, lineno=node.lineno)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802 - Jinja's name
        value = Value.written(node.value)
        if value.role == "number" and value.number is None:
            raise TemplateSyntaxError("a number is too large", node.lineno)
        return nodes.Filter(node, "written", [], [], None, None, lineno=node.lineno)  # its value, read only once

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - Jinja's name
        if not isinstance(node.arg, nodes.Const):
            raise TemplateSyntaxError("what stands in [ ] must be a number or a text in quotes", node.lineno)
        node.node = self.visit(node.node)
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802 - Jinja's name
        _require_known(node, "filter", FILTERS)
        self.generic_visit(node)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802 - Jinja's name
        _require_known(node, "test", TESTS)
        self.generic_visit(node)
        return node


def _require_known(node: nodes.Filter | nodes.Test, thing: str, known: Mapping[str, Callable[..., Any]]) -> None:
    if node.name not in known:
        raise TemplateSyntaxError(f"no {thing} '{node.name}'; there are {', '.join(sorted(known))}", node.lineno)
    try:
        if node.dyn_args or node.dyn_kwargs:
            raise TypeError
        inspect.signature(known[node.name]).bind(None, *node.args, **{str(each.key): each for each in node.kwargs})
    except TypeError:
        raise TemplateSyntaxError(f"'{node.name}' does not take these arguments", node.lineno) from None


class Comparison:
    """A part of a condition that must hold, understood."""

    def __init__(self, text: str) -> None:
        """Raises TemplateSyntaxError, or RenderFailed if it can never be worked out."""
        self.text = " ".join(text.split())
        kept = nodes.Assign(nodes.Name("result", "store"), _Tamed().visit(_parse(text)), lineno=1)
        loaded = (name.name for name in kept.find_all(nodes.Name) if name.ctx == "load")
        self.names = tuple(dict.fromkeys(name.removeprefix(_OF_THE_EVENT) for name in loaded))
        tree = nodes.Template([kept], lineno=1)
        tree.set_environment(_SANDBOX)
        code = _SANDBOX.compile(tree)
        self._compiled = Template.from_code(_SANDBOX, code, {})
        if not self.names:
            self.holds({})  # what no event could make come out right is no condition

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it is true of these values. Raises whatever a calculation comes to, RenderFailed at best."""
        context = self._compiled.new_context({f"{_OF_THE_EVENT}{name}": value for name, value in values.items()})
        for _ in self._compiled.root_render_func(context):
            pass
        return bool(context.vars["result"])


def understand_all(source: str) -> tuple[Comparison, ...]:
    """Understand a condition, as the parts that all must hold. Raises PydanticCustomError with what is wrong."""
    with refusing("the condition"):
        if "{{" in source or "{%" in source:
            raise TemplateSyntaxError("write it without {{ }}", 1)
        try:
            Comparison(source)
            return tuple(map(Comparison, _split(source)))
        except TemplateSyntaxError as error:
            raise TemplateSyntaxError(f"{error.message}{_hint(source)}", error.lineno) from None
        except (RenderFailed, TypeError) as failure:
            raise TemplateSyntaxError(str(failure), 1) from None


def _hint(source: str) -> str:
    """How to write what other languages write otherwise."""
    bare = _QUOTED.sub("", source)
    written = next((sign for sign in _ELSEWHERE if re.search(sign, bare)), None)
    return "" if written is None else "; write " + _ELSEWHERE[written]


def _parse(text: str) -> nodes.Expr:
    parser = Parser(_SANDBOX, text, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        found = parser.stream.current
        hint = ' (to compare, write "==")' if found.type == "assign" else ""
        raise TemplateSyntaxError(f"'{found.value}' is not expected there{hint}", found.lineno)
    return tree


def _split(source: str) -> Iterator[str]:
    """Cut at each `and` that joins the whole; what is joined by `or` or `if` stays one."""
    parts, depth = [""], 0
    for _, kind, text in _SANDBOX.lexer.tokeniter(source, None, None, "variable"):
        depth += (text in "([{") - (text in ")]}") if kind == "operator" else 0
        if depth == 0 and kind == "name" and text in ("or", "if"):
            return iter((source,))
        if depth == 0 and kind == "name" and text == "and":
            parts.append("")
        else:
            parts[-1] += text
    return iter(parts)
