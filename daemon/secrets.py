"""Secrets: where a value comes from, and how it is kept out of everything that people can read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from daemon.redaction import MASK, remember

_base_dir: ContextVar[Path] = ContextVar("base_dir", default=Path())


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
        self.reference = reference if self.is_reference(reference) else None
        """How the config points at the value; None when the value itself was written there."""
        self._value = _resolve(reference, self._base) if self.reference else reference
        remember(self._value)

    @staticmethod
    def is_reference(text: str) -> bool:
        """Whether a text in the config says where the value is, instead of being it."""
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
        remember(fresh)
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
            closed = _closed(path)
            if closed is None:
                value, where = _read(path), f"the file {path}"
                break
            where = f"{where}{', ' if where else ''}{path}{closed}"
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


def _closed(path: Path) -> str | None:
    """What keeps us from a file: "" if it is missing, a note if it is not for us, as root's own is not for the service.

    None: nothing does.
    """
    try:
        path.stat()
    except PermissionError:
        return " (not for this user to read)"
    except OSError:
        return ""
    return None


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
