"""How what comes from outside is written down, such that every database can hold it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_write_data = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_write_digested = json.JSONEncoder(default=repr).encode


def storable(text: str) -> str:
    """Replace what cannot be stored: lone surrogates are no UTF-8, and PostgreSQL takes no NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def data_text(data: Mapping[str, Any]) -> str:
    """How event data is stored: ASCII JSON, so that lone surrogates and odd numbers survive."""
    return _write_data(data)


def digest_of(kind: str, channel: str | None, data: str, raw: str | None) -> bytes:
    """SHA-256 over what is stored of an event; finds changed repeats and damaged rows (even of another type)."""
    return sha256(_write_digested([kind, channel, data, raw]).encode()).digest()
