"""What a webhook's receiver gets of an event: the envelope, the data alone, or a structure that the owner wrote."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, Literal
from urllib.parse import urlencode

from daemon.contract import Delivery
from daemon.redaction import MASK
from daemon.secrets import Secret
from sinks._envelope import DEEPEST, as_text, encode, envelope, storable

Form = Literal["envelope", "raw", "json", "form"]
Structure = Mapping[str, Any]
"""Tables, lists, numbers, truths; texts that hold `{name}`, which are filled in; secrets, which are not."""

_CONTENT_TYPES: Mapping[Form, str] = {
    "envelope": "application/json",
    "raw": "application/json",
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SECRETS = re.compile(r"secret|password|token|api_?key", re.IGNORECASE)
"""Keys whose text is taken for a secret although it is written out."""
_HOW = 'write {name} for a placeholder, and "{{" or "}}" for a brace'


class Body:
    """Makes the bytes that are sent."""

    def __init__(self, form: Form, structure: Structure | None = None) -> None:
        self.content_type = _CONTENT_TYPES[form]
        self.holds_secrets = _holds_secrets(structure)
        self._form = form
        self._structure = structure

    def of(self, delivery: Delivery, *, masked: bool = False, indent: int | None = None) -> bytes:
        """Write it; `masked`: as people may see it, without the secrets in the structure."""
        match self._form:
            case "envelope":
                document: Any = envelope(delivery.event)
            case "raw":
                document = storable(delivery.event.data)
            case _:
                document = _filled(self._structure, _values(delivery), masked=masked)
        if self._form == "form":
            pairs = {name: as_text(value) for name, value in document.items()}
            return urlencode(pairs, safe="*", errors="replace").encode()
        return encode(document, indent=indent)


def understood(node: Any, key: str = "", *, nested: bool = True, depth: int = DEEPEST) -> Any:
    """A structure from the config with its secrets looked up; `nested`: whether it may hold lists and tables.

    Raises ValueError with what is wrong and where.
    """
    match node:
        case Secret() | bool() | int():
            return node
        case float() if math.isfinite(node):
            return node
        case str() if Secret.is_reference(node) or (_SECRETS.fullmatch(key) and node.strip() and not {*"{}"} & {*node}):
            return Secret(node.strip())
        case str():
            try:
                _pieces(node)
            except ValueError as wrong:
                raise ValueError(f'"{key}": {wrong}' if key else str(wrong)) from None
            return node
        case dict() if nested and depth:
            return {str(name): understood(inner, str(name), depth=depth - 1) for name, inner in node.items()}
        case list() if nested and depth:
            return [understood(inner, key, depth=depth - 1) for inner in node]
    holds = "text, numbers, true and false" + (f", lists and tables (at most {DEEPEST} deep)" if nested else "")
    raise ValueError(f'"{key}" can hold {holds}')


@lru_cache(1024)
def _pieces(text: str) -> tuple[tuple[str, str | None], ...]:
    """Texts, and after each the placeholder that follows. Raises ValueError with what is wrong, never the text."""
    try:
        parsed = [*Formatter().parse(text)]
    except ValueError:
        raise ValueError(f"a brace has no partner; {_HOW}") from None
    if any(name is not None and (form or how or not _NAME.fullmatch(name)) for _, name, form, how in parsed):
        raise ValueError(f"what stands between braces is no name of a placeholder; {_HOW}")
    return tuple((literal, name) for literal, name, _, _ in parsed)


def names_in(text: str) -> frozenset[str]:
    """The placeholders that a text of a structure asks for. Raises ValueError for one that is not understood."""
    return frozenset(name for _, name in _pieces(text) if name)


def _values(delivery: Delivery) -> dict[str, Any]:
    return {**delivery.event.facts, "delivery_id": delivery.id, **delivery.event.data}


def _filled(node: Any, values: Mapping[str, Any], *, masked: bool) -> Any:
    match node:
        case str():
            return "".join(text + ("" if name is None else as_text(values.get(name))) for text, name in _pieces(node))
        case Secret():
            return MASK if masked else node.reveal()
        case Mapping():
            return {name: _filled(inner, values, masked=masked) for name, inner in node.items()}
        case list():
            return [_filled(inner, values, masked=masked) for inner in node]
        case _:
            return node


def _holds_secrets(node: Any) -> bool:
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    return isinstance(node, Secret) or any(map(_holds_secrets, inner))
