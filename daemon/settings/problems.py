"""What is wrong with a config: each mistake one line that says where, what, and what to do, and holds no value."""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from daemon.log import printable, scrub
from daemon.people import PeopleSettings
from daemon.quantities import duration_text
from daemon.settings.lines import KeyPath

Phase = Literal["syntax", "secrets", "templates"]

PREFIX = "EVENTFERRY_"
"""What the names of our environment variables begin with."""
_SMALLEST_HIDDEN = 6
_MOST_TOLD, _LONGEST_TOLD = 200, 1000
"""Mistakes, and characters of one. Whoever makes more than that has given us another file."""
_MOST_GUESSED = 200
"""Among more words a search for the nearest takes longer than its proposal is worth."""
_PHASES: dict[str, Phase] = {"secret": "secrets", "template": "templates"}
_SENTENCES = {
    "missing": "missing; this key is required",
    "string_type": "must be text",
    "path_type": "must be text (a path)",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number, and not so long",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a whole number",
    "string_unicode": "must be UTF-8 text",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_long": "has too many entries; {max_length} are allowed",
    "too_short": "has too few entries; {min_length} are needed",
}
"""Ours for pydantic's, whose words are for programmers: https://docs.pydantic.dev/latest/errors/validation_errors/"""
_FOR_PEOPLE = (
    "is only for sinks that people read (discord, email, apprise); what programs read carries each event as it comes"
)
_LISTS = {
    "alerts": '["sales"]',
    "command": '["/usr/local/bin/grant-role", "--quiet"]',
    "events": '["purchase"]',
    "ping": '["role:123"]',
    "retries": '["30s", "5m"]',
    "to": '["sales@example.com"]',
}
"""What the lists look like that people write as a single text."""
_ELSEWHERE = {"subject": "title", "title": "subject"}
"""What a key is called at another kind of sink."""
_TIMEDELTA = re.compile(r"datetime\.timedelta\((.*)\)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    line: int | None
    """In the config file, from 1; None where that is not known or the file is not to blame."""
    where: str
    """The key ("sinks.sales.url") or the environment variable; empty for the file as a whole."""
    message: str
    phase: Phase = "syntax"

    def __post_init__(self) -> None:
        """Whatever was quoted: one line, not too long, and no secret."""
        object.__setattr__(self, "where", _short(printable(scrub(self.where))))
        object.__setattr__(self, "message", _short(printable(scrub(self.message))))

    def text(self, path: Path | None) -> str:
        """Write it as one line, after the name of the config file where that is to blame."""
        parts = [part for part in (self.where, self.message) if part]
        if path is not None and not self.where.startswith(PREFIX):
            place = printable(str(path))
            parts.insert(0, place if self.line is None else f"{place}:{self.line}")
        return ": ".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TOLD else text[: _LONGEST_TOLD - 1] + "…"


class ConfigError(Exception):
    """The config cannot be used; the text has a line for every mistake and holds no secret."""

    exit_code = 78

    def __init__(self, problems: Iterable[Problem], path: Path | None = None) -> None:
        found = sorted(set(problems), key=lambda problem: (problem.line or 1 << 30, problem.where))
        more = [Problem(None, "", f"and {len(found) - _MOST_TOLD} more")] if len(found) > _MOST_TOLD else []
        self.problems = found[:_MOST_TOLD] + more
        self.path = path
        super().__init__("\n".join(problem.text(path) for problem in self.problems))


def dotted(path: Sequence[str | int]) -> str:
    """Write the way to a key as TOML does: `sinks.sales.retries[2]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", part)
            text += ("." if text else "") + (part if bare else json.dumps(part[:64]))
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Propose the nearest of the known words, or nothing."""
    words = list(known)
    near = difflib.get_close_matches(word.lower(), words, n=1) if len(words) <= _MOST_GUESSED else []
    return f'; did you mean "{near[0]}"?' if near else ""


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """The keys a table takes, as they are written, with the type of each."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def explain(
    error: ValidationError, model: type[BaseModel], table: Mapping[str, Any]
) -> Iterator[tuple[KeyPath, str, Phase]]:
    """Say what is wrong with a table: the way to the key within it, a sentence, the phase of `check` it belongs to."""
    found: dict[tuple[KeyPath, Phase], list[str]] = {}
    details = error.errors(include_url=False, include_input=False)
    unknown = _unknown_keys(details, keys_of(model))
    for detail in details:
        path, value = _locate(detail, table)
        sentence = unknown.get(detail["loc"]) or _sentence(detail)
        if detail["type"] == "missing" and any(f'"{path[-1]}"?' in guess for guess in unknown.values()):
            continue  # it is there, misspelt
        if isinstance(value, str) and len(value) >= _SMALLEST_HIDDEN:
            sentence = sentence.replace(value, "…")  # whoever wrote the check may have quoted what it checked
        if detail["type"] in ("list_type", "tuple_type") and (example := _LISTS.get(str(path[-1]))):
            sentence += f", in brackets, such as {example}"
        sentences = found.setdefault((path, _PHASES.get(detail["type"], "syntax")), [])
        if sentence not in sentences:  # each member of a union complains
            sentences.append(sentence)
    return ((path, ", or ".join(sentences), phase) for (path, phase), sentences in found.items())


def _unknown_keys(details: Sequence[ErrorDetails], keys: Collection[str]) -> dict[KeyPath, str]:
    ways = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    return {way: _FOR_PEOPLE if way[0] in PeopleSettings.model_fields else _unknown_key(way, keys) for way in ways}


def _unknown_key(way: KeyPath, keys: Collection[str]) -> str:
    if len(way) > 1:
        return "unknown key"
    if (here := _ELSEWHERE.get(str(way[0]))) in keys:
        return f'unknown key; here it is called "{here}"'
    return "unknown key" + did_you_mean(str(way[0]), keys)


def _locate(detail: ErrorDetails, table: Any) -> tuple[KeyPath, Any]:
    """The way to what is wrong and its value, without pydantic's notes (names of union members, "[key]")."""
    path, value = [], table
    for part in detail["loc"]:
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if inside:
            value = value[part]
            path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path), value


def _sentence(detail: ErrorDetails) -> str:
    context = {key: _readable(value) for key, value in detail.get("ctx", {}).items()}
    if (sentence := _SENTENCES.get(detail["type"])) is not None:
        return sentence.format_map(context)
    message = re.sub(r"^(?:Value error|Assertion failed), ", "", detail["msg"])
    return re.sub(r"^(?:Input|Value|String|List) should ", "must ", message)


def _readable(value: Any) -> str:
    """Write one of pydantic's limits: `'a' or 'b'` with our quotes, a timedelta as a duration."""
    text = str(value)
    if match := _TIMEDELTA.fullmatch(text):
        pairs = (pair.split("=") for pair in match[1].split(", ") if "=" in pair)
        return duration_text(timedelta(**{name: float(number) for name, number in pairs}))
    return text.replace("'", '"')
