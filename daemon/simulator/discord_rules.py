"""Discord's limits for webhook messages, held as strictly as its documents allow.

https://docs.discord.com/developers/resources/webhook#execute-webhook and
https://docs.discord.com/developers/resources/message#embed-object
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard
from urllib.parse import urlsplit

KEYS = frozenset({
    "content", "username", "avatar_url", "tts", "embeds", "allowed_mentions", "components", "attachments", "flags",
    "thread_name", "applied_tags", "poll",
})  # fmt: skip
MOST_EMBED_CHARACTERS = 6000
_COMPONENTS_V2 = 1 << 15
_FLAGS = 1 << 2 | 1 << 12 | _COMPONENTS_V2
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")

Path = tuple[str | int, ...]
Complaint = tuple[Path, str, str]
"""Where in the message, Discord's name for what is wrong, and in words."""


def errors_in(message: Mapping[str, Any]) -> dict[str, Any]:
    """The `errors` tree of Discord's answer to a message that breaks a rule; empty when none does."""
    tree: dict[str, Any] = {}
    for path, code, text in _complaints(message):
        node = tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": text})
    return tree


def is_empty(message: Mapping[str, Any]) -> bool:
    """Whether nothing in it could be shown (code 50006)."""
    content = message.get("content")
    if isinstance(content, str) and content.strip():
        return False
    return not any(message.get(part) for part in ("components", "attachments", "poll")) and not any(
        isinstance(embed, Mapping) and any(embed.get(key) for key in embed if key != "color")
        for embed in message.get("embeds") or ()
    )


def hazards_in(message: Mapping[str, Any]) -> tuple[str, ...]:
    """What Discord lets pass although the sender can hardly want it."""
    hazards = [f"unknown key {key}" for key in message if key not in KEYS]
    mentions = message.get("allowed_mentions")
    if not isinstance(mentions, Mapping) or mentions.get("parse") is None:
        hazards.append("mentions in the text would ping")
    return tuple(hazards)


def _complaints(message: Mapping[str, Any]) -> Iterator[Complaint]:
    yield from _text(("content",), message.get("content"), 2000)
    yield from _text(("username",), message.get("username"), 80, least=1)
    yield from _username(message.get("username"))
    yield from _text(("thread_name",), message.get("thread_name"), 100)
    yield from _url(("avatar_url",), message.get("avatar_url"))
    yield from _snowflakes(("applied_tags",), message.get("applied_tags"), 5)
    for key, most in (("embeds", 10), ("components", 40), ("attachments", 10)):
        yield from _list(key, message.get(key), most)
    if not isinstance(message.get("tts"), bool | None):
        yield ("tts",), "BOOLEAN_TYPE_PARSE", "Must be either true or false."
    yield from _flags(message)
    yield from _allowed_mentions(message.get("allowed_mentions"))
    embeds = message.get("embeds")
    if isinstance(embeds, list):
        for index, embed in enumerate(embeds):
            yield from _embed(("embeds", index), embed)
        if sum(_counted(embed) for embed in embeds if isinstance(embed, Mapping)) > MOST_EMBED_CHARACTERS:
            text = f"Embed size exceeds maximum size of {MOST_EMBED_CHARACTERS}"
            yield ("embeds",), "MAX_EMBED_SIZE_EXCEEDED", text


def _embed(path: Path, embed: object) -> Iterator[Complaint]:
    if not isinstance(embed, Mapping):
        yield path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType"
        return
    yield from _text((*path, "title"), embed.get("title"), 256)
    yield from _text((*path, "description"), embed.get("description"), 4096)
    yield from _url((*path, "url"), embed.get("url"))
    color = embed.get("color")
    if color is not None and not (_is_int(color) and 0 <= color <= 0xFFFFFF):
        yield (*path, "color"), "NUMBER_TYPE_MAX", "int value should be from 0 to 16777215."
    timestamp = embed.get("timestamp")
    if timestamp is not None and not (isinstance(timestamp, str) and _TIMESTAMP.fullmatch(timestamp)):
        yield (*path, "timestamp"), "DATE_TIME_TYPE_PARSE", "Could not parse the time; it must have an offset."
    for part, texts, urls in (
        ("author", {"name": 256}, ("url", "icon_url")),
        ("footer", {"text": 2048}, ("icon_url",)),
        ("image", {}, ("url",)),
        ("thumbnail", {}, ("url",)),
    ):
        inner = embed.get(part)
        if isinstance(inner, Mapping):
            for key, most in texts.items():
                yield from _text((*path, part, key), inner.get(key), most)
            for key in urls:
                yield from _url((*path, part, key), inner.get(key))
        elif inner is not None:
            yield (*path, part), "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType"
    yield from _fields((*path, "fields"), embed.get("fields"))


def _fields(path: Path, fields: object) -> Iterator[Complaint]:
    if fields is None:
        return
    if not isinstance(fields, list):
        yield path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"
        return
    if len(fields) > 25:
        yield path, "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length."
    for index, one in enumerate(fields):
        for key, most in (("name", 256), ("value", 1024)):
            value = one.get(key) if isinstance(one, Mapping) else None
            if value is None or (isinstance(value, str) and not value.strip()):
                yield (*path, index, key), "BASE_TYPE_REQUIRED", "This field is required"
            yield from _text((*path, index, key), value, most)


def _text(path: Path, value: object, most: int, least: int = 0) -> Iterator[Complaint]:
    if value is None:
        return
    if not isinstance(value, str):
        yield path, "STRING_TYPE_CONVERT", "Could not interpret the value as string."
    elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield path, "STRING_TYPE_CONVERT", "The text holds half a surrogate pair."
    elif not least <= _length(value) <= most:
        code, text = ("BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.") if least else (
            "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length."
        )  # fmt: skip
        yield path, code, text


def _username(value: object) -> Iterator[Complaint]:
    if isinstance(value, str):
        for word in ("clyde", "discord"):
            if word in value.lower():
                yield ("username",), "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"'
        if value.strip().lower() in ("everyone", "here"):
            yield ("username",), "USERNAME_INVALID_EQUALS", f'Username cannot be "{value.strip()}"'


def _url(path: Path, value: object) -> Iterator[Complaint]:
    if value is None:
        return
    yield from _text(path, value, 2048)
    if not isinstance(value, str) or not _is_url(value):
        yield path, "URL_TYPE_INVALID_URL", "Not a well formed URL."


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https", "attachment") and bool(parts.netloc) and not re.search(r"\s", text)


def _list(key: str, value: object, most: int) -> Iterator[Complaint]:
    if value is not None and not isinstance(value, list):
        yield (key,), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"
    elif value is not None and len(value) > most:
        yield (key,), "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length."


def _flags(message: Mapping[str, Any]) -> Iterator[Complaint]:
    flags = message.get("flags")
    if flags is None:
        return
    if not _is_int(flags) or flags & ~_FLAGS:
        yield ("flags",), "FLAGS_INVALID", "Only 4, 4096 and 32768 can be set on a webhook's message."
    elif flags & _COMPONENTS_V2:
        for key in ("content", "embeds", "poll"):
            if message.get(key):
                yield (key,), "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "Use components instead."


def _allowed_mentions(mentions: object) -> Iterator[Complaint]:
    if mentions is None:
        return
    if not isinstance(mentions, Mapping):
        yield ("allowed_mentions",), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"
        return
    parse = mentions.get("parse") or []
    if not isinstance(parse, list) or any(kind not in ("roles", "users", "everyone") for kind in parse):
        yield ("allowed_mentions", "parse"), "ENUM_TYPE_COERCE", 'Must be of "roles", "users", "everyone".'
        parse = []
    for key in ("users", "roles"):
        yield from _snowflakes(("allowed_mentions", key), mentions.get(key), 100)
        if mentions.get(key) and key in parse:
            text = f"parse and {key} exclude each other."
            yield ("allowed_mentions",), "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", text


def _snowflakes(path: Path, value: object, most: int) -> Iterator[Complaint]:
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(one, str) and one.isdecimal() for one in value):
        yield path, "NUMBER_TYPE_COERCE", "Snowflakes must be text of digits."
    elif len(set(value)) < len(value):
        yield path, "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value"
    elif len(value) > most:
        yield path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length."


def _counted(embed: Mapping[str, Any]) -> int:
    """What one embed adds to the limit over all of a message's embeds."""
    texts = [embed.get("title"), embed.get("description")]
    for part, key in (("footer", "text"), ("author", "name")):
        inner = embed.get(part)
        texts.append(inner.get(key) if isinstance(inner, Mapping) else None)
    fields = embed.get("fields")
    for one in fields if isinstance(fields, list) else []:
        texts += [one.get("name"), one.get("value")] if isinstance(one, Mapping) else []
    return sum(_length(text) for text in texts if isinstance(text, str))


def _length(text: str) -> int:
    """Discord trims, and says no unit: UTF-16 units never come to less than any other."""
    return len(text.strip().encode("utf-16-le", "surrogatepass")) // 2


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
