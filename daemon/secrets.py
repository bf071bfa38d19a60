"""Secrets: where a value comes from, and how it is kept out of everything that people can read."""

import base64
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

MASK = "***"
_base_dir: ContextVar[Path] = ContextVar("base_dir", default=Path())
_SMALLEST_REDACTED = 6
"""Shorter values would blank out innocent text."""
_PART, _LOOK, _STEP = 12, 5, 8
"""So many characters in a row of a secret are blanked out like all of it. A look at 5 in steps of 8 misses none."""
_WORD = re.compile(r"[A-Za-z0-9+/=_~-]{16,}")
"""What is long and plain enough to be a token: with a digit in it, its parts are no innocent words."""


@contextmanager
def relative_to(directory: Path) -> Iterator[None]:
    """Count relative paths from this folder (the config file's) while settings are read."""
    token = _base_dir.set(directory)
    try:
        yield
    finally:
        _base_dir.reset(token)


def _from_base(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("no path can hold a NUL")
    return _base_dir.get() / path


ConfigPath = Annotated[Path, AfterValidator(_from_base)]
"""A path in the config; a relative one counts from the config file's folder."""


class Secret:
    """A value that is shown as `***` everywhere but in the request it belongs to.

    Written in the config as a literal, "env:NAME", "file:/path" or "cred:NAME".
    """

    __slots__ = ("_base", "_value", "reference")

    def __init__(self, reference: str) -> None:
        self._base = _base_dir.get()
        self.reference = reference if self._is_reference(reference) else None
        """How the config points at the value; None when the value itself was written there."""
        self._value = _resolve(reference, self._base) if self.reference else reference
        _known.add(self._value)

    @staticmethod
    def _is_reference(text: str) -> bool:
        return text.startswith(("env:", "file:", "cred:"))

    def reveal(self) -> str:
        """The value itself, for the one request it belongs to."""
        return self._value

    def reread(self) -> bool:
        """Look the value up again; whether it changed. One that cannot be read now is kept."""
        if self.reference is None:
            return False
        try:
            fresh = _resolve(self.reference, self._base)
        except PydanticCustomError:
            return False
        changed, self._value = fresh != self._value, fresh
        _known.add(fresh)
        return changed

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda _: MASK, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}

    @classmethod
    def _validate(cls, value: Any) -> "Secret":
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or not value.strip():
            raise PydanticCustomError(
                "secret", 'must be text: the value itself, "env:NAME", "file:/path" or "cred:NAME"'
            )
        _require_text(value, "the value itself")
        return cls(value.strip())


def _resolve(reference: str, base: Path) -> str:
    """Look a reference up. Raises PydanticCustomError with what is missing and where it was sought."""
    scheme, _, name = reference.partition(":")
    if "\0" in name:
        raise PydanticCustomError("secret", "no name and no path can hold a NUL")
    if scheme == "env":
        value = os.environ.get(name, "")
        where = f"the environment variable {name}"
    elif scheme == "file":
        path = base / name
        value, where = _read(path), f"the file {path}"
    else:
        if not name or "/" in name or name in (".", ".."):
            raise PydanticCustomError("secret", '"cred:" takes the plain name of a credential')
        value, where = "", ""
        for path in credential_paths(name, base):
            where = f"{where}, {path}" if where else str(path)
            if _reachable(path):
                value, where = _read(path), f"the file {path}"
                break
    _require_text(value, where)
    if not value.strip():
        raise PydanticCustomError("secret", "no value found (empty or missing): {where}", {"where": where})
    return value.strip()


def _require_text(value: str, where: str) -> None:
    """Refuse what a variable of the environment may hold: bytes that are no UTF-8, which Python hands on as halves."""
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise PydanticCustomError("secret", "not UTF-8 text: {where}", {"where": where})


def credential_paths(name: str, base: Path) -> list[Path]:
    """Where "cred:NAME" is sought, first hit wins: systemd's folder, /run/secrets, beside the config.

    Systemd names what our unit loads from a whole folder, LoadCredential=secrets:…, "secrets_NAME":
    https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
    """
    systemd = os.environ.get("CREDENTIALS_DIRECTORY")
    handed = [Path(systemd) / name, Path(systemd) / f"secrets_{name}"] if systemd else []
    return [*handed, Path("/run/secrets") / name, base / "secrets" / name]


def _reachable(path: Path) -> bool:
    """Whether it is there for us; not so where the folder is closed to us, as root's own is to the service."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > 64 * 1024:
            raise PydanticCustomError("secret", "not a small plain file: {path}", {"path": str(path)})
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise PydanticCustomError(
            "secret", "cannot read {path}: {why}", {"path": str(path), "why": why or "error"}
        ) from None


class _Known:
    """Every secret value of this process, in the forms in which one could turn up elsewhere."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._short: tuple[str, ...] = ()
        self._long: tuple[str, ...] = ()
        """Longest first."""
        self._hints: dict[str, list[tuple[str, int]]] = {}
        """Each `_LOOK` characters in a row of a long form, and where in which words they stand."""

    def add(self, value: str) -> None:
        """Remember a value; idempotent."""
        if len(value) < _SMALLEST_REDACTED or value in self._values:
            return
        self._values.add(value)
        plain, based = _written(value), _based(value)
        forms = sorted({*self._short, *self._long, *plain, *based}, key=len, reverse=True)
        self._long = tuple(form for form in forms if len(form) >= _PART)
        self._short = tuple(form for form in forms if len(form) < _PART)
        # A URL shares its beginning with innocent ones; the tokens in it are remembered by themselves.
        found = (_WORD.findall(form) for form in (based if "://" in value else plain | based))
        words = {word for some in found for word in some if re.search("[0-9]", word)}
        for form in plain | based | words:
            for at in range(len(form) - _LOOK + 1):
                self._hints.setdefault(form[at : at + _LOOK], []).extend([(form, at)] if form in words else [])

    def redact(self, text: str) -> str:
        # What is long enough cannot hide between these looks, and most texts show nothing at any of them.
        looks = map(slice, range(0, len(text), _STEP), range(_LOOK, len(text) + _LOOK, _STEP))
        if not self._hints.keys().isdisjoint(map(text.__getitem__, looks)):
            for form in self._long:
                text = text.replace(form, MASK)
            text = self._without_parts(text)
        for form in self._short:
            text = text.replace(form, MASK)
        return text

    def _without_parts(self, text: str) -> str:
        """Blank out what is left of words that were cut, by whoever quotes them or by ourselves."""
        parts, shown = [], 0
        for at in range(0, len(text), _STEP):
            runs = [_run(text, at, *place) for place in self._hints.get(text[at : at + _LOOK], ()) if at >= shown]
            start, end = max(runs, key=lambda run: run[1] - run[0], default=(at, at))
            if end - start >= _PART:
                parts += [text[shown : max(start, shown)], MASK]
                shown = end
        return "".join([*parts, text[shown:]])


def _written(value: str) -> set[str]:
    in_json = json.dumps(value)[1:-1]
    return {value, quote(value, safe=""), quote(value), in_json, in_json.replace("/", "\\/")}


def _based(value: str) -> set[str]:
    """What base64 holds of a value, whether it stands alone or at any place in something longer."""
    raw = value.encode("utf-8", "replace")
    forms = set()
    for ahead in range(3):
        behind = -(ahead + len(raw)) % 3
        encoded = base64.b64encode(bytes(ahead) + raw + bytes(behind)).decode()
        # A character at an edge depends on what stands beside the value.
        forms.add(encoded[(0, 2, 3)[ahead] : len(encoded) - (0, 2, 3)[behind]])
    forms.add(base64.b64encode(raw).decode().rstrip("="))
    return forms | {form.replace("+", "-").replace("/", "_") for form in forms}


def _run(text: str, at: int, word: str, place: int) -> tuple[int, int]:
    """From where to where a text goes along with a word, around where both are known to be the same."""
    back = _alike(text[max(0, at - place) : at][::-1], word[:place][::-1])
    return at - back, at + _alike(text[at : at + len(word)], word[place:])


def _alike(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


_known = _Known()


def remember(value: str) -> None:
    """Treat this value as a secret from now on (e.g. the token inside a URL)."""
    _known.add(value)


def redact(text: str) -> str:
    """Replace every known secret in a text by `***`."""
    return _known.redact(text)
