"""Answers, and the ways in which a good one is spoilt."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from daemon.simulator.faults import Form

PORTAL = (
    b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>Checking your browser.</body></html>\n"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be sent back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


NOTHING = Answer(0)
"""Nothing was, or will be, answered."""


def in_json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON, without blanks, as both services write it."""
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    return Answer(status, text.encode(), {"Content-Type": "application/json", **(headers or {})})


def in_html(status: int, headers: Mapping[str, str] | None = None, body: bytes = PORTAL) -> Answer:
    """An answer as some proxy or portal on the way would give it."""
    return Answer(status, body, {"Content-Type": "text/html; charset=utf-8", **(headers or {})})


def spoil(answer: Answer, form: Form) -> Answer:
    """Change an answer for the worse; `drip` and `endless` are a matter of sending, not of content."""
    body = answer.body
    match form:
        case "right" | "drip" | "endless":
            return answer
        case "html":
            return in_html(200)
        case "truncated":
            return replace(answer, body=body[: len(body) // 2])
        case "empty":
            return replace(answer, body=b"")
        case "bom":
            return replace(answer, body=b"\xef\xbb\xbf" + body)
        case "nan":
            return replace(answer, body=_with_member(body, b'"ratio":NaN'))
        case "deep":
            return replace(answer, body=_with_member(body, b'"deep":' + b"[" * 100_000 + b"]" * 100_000))
        case "gzip":
            return replace(answer, body=gzip.compress(body), headers={**answer.headers, "Content-Encoding": "gzip"})
        case "huge_headers":
            return replace(answer, headers={**answer.headers, "X-Padding": "x" * 1_000_000})
        case "error_in_200":
            return in_json(
                200, {"result": "error", "error": {"code": "ServerError", "message": "Something went wrong."}}
            )
        case "data_null":
            return in_json(200, {"result": "success", "data": None})
        case "data_list":
            return in_json(200, {"result": "success", "data": []})


def _with_member(body: bytes, member: bytes) -> bytes:
    """Add a member at the end of a JSON object; text that is none is left alone."""
    return body[:-1] + b"," + member + b"}" if body.endswith(b"}") else body
