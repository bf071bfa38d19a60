"""Shows the config: what is in force, without secrets, and what it may hold, for editors."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from daemon.contract import Kinds, SourceKind
from daemon.expression import ConfigText
from daemon.log import scrub
from daemon.quantities import Rate, duration_text, rate_text
from daemon.redaction import MASK
from daemon.secrets import Secret
from daemon.settings.load import Loaded
from daemon.settings.model import LONGEST_NAME, NAME, DaemonSettings, SinkCommon, SourceCommon, table_model
from daemon.timing import DigestTimes, QuietSpan


def masked(loaded: Loaded) -> str:
    """Write the whole config in force as TOML; a secret as its reference or as `***`."""
    settings = loaded.settings
    daemon = settings.daemon.model_copy(update={"database": loaded.database})
    tables: dict[str, BaseModel] = {"daemon": daemon}
    tables |= {f"sources.{name}": table for name, table in settings.sources.items()}
    tables |= {f"sinks.{name}": table for name, table in settings.sinks.items()}
    return scrub("\n".join(f"[{name}]\n{_lines(table)}" for name, table in tables.items()))


def _lines(table: BaseModel) -> str:
    entries = dict(_entries(table))
    kind_first = {"type": entries.pop("type")} if "type" in entries else {}
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in (kind_first | entries).items())


def _entries(table: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if value is not None:
            yield field.alias or name, value


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case timedelta():
            return _quoted(duration_text(value))
        case Secret():
            return _quoted(value.reference or MASK)
        case ConfigText():
            return _quoted(value.source)
        case Rate():
            return _quoted(rate_text(value))
        case DigestTimes() | QuietSpan():
            return _quoted(str(value))
        case BaseModel():
            return _toml(dict(_entries(value)))
        case Mapping():
            return "{" + ", ".join(f"{_key(str(key))} = {_toml(entry)}" for key, entry in value.items()) + "}"
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(_toml(entry) for entry in value) + "]"
        case _:
            return _quoted(str(value) if isinstance(value, str | PurePath) else repr(value))


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _quoted(key)


def _quoted(text: str) -> str:
    """A TOML string: JSON's, with every unprintable character spelled out."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08X}" for sign in plain)


class _Generate(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write default durations as the config does."""
        match dft:
            case timedelta():
                return duration_text(dft)
            case Rate():
                return rate_text(dft)
            case list():
                return [self.encode_default(entry) for entry in dft]
            case _:
                return super().encode_default(dft)


def schema(sink_kinds: Kinds, source_kinds: Mapping[str, SourceKind]) -> dict[str, Any]:
    """Make the JSON Schema of a config with all kinds that can be imported here."""
    sources = [table_model(name, SourceCommon, kind.settings) for name, kind in source_kinds.items()]
    sinks = [table_model(name, SinkCommon, own) for name, own in _importable(sink_kinds)]
    models: list[type[BaseModel]] = [DaemonSettings, *sources, *sinks]
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], schema_generator=_Generate
    )
    found = [references[(model, "validation")] for model in models]
    daemon, of_sources, of_sinks = found[0], found[1 : 1 + len(sources)], found[1 + len(sources) :]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Eventferry's config",
        "type": "object",
        "properties": {"daemon": daemon, "sources": _named(of_sources), "sinks": _named(of_sinks)},
        "required": ["sources", "sinks"],
        "additionalProperties": False,
        **definitions,
    }


def _importable(kinds: Kinds) -> Iterator[tuple[str, type[BaseModel]]]:
    for name in kinds.names():
        try:
            yield name, kinds.load(name).settings
        except ImportError:
            continue


def _named(tables: list[Any]) -> dict[str, Any]:
    pattern = f"^(?=.{{1,{LONGEST_NAME}}}$){NAME}$"
    return {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {pattern: {"anyOf": tables}},
        "additionalProperties": False,
    }
