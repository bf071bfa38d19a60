"""Discord's limits are held to the letter."""

from typing import Any

import pytest

from daemon.simulator.discord_rules import errors_in, hazards_in, is_empty


def leaves(tree: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Each place in an errors tree with the code given there."""
    found = [(path.lstrip("."), error["code"]) for error in tree.get("_errors", [])]
    for step, below in tree.items():
        if step != "_errors":
            found += leaves(below, f"{path}.{step}")
    return found


FULLEST = {
    "content": "x" * 2000,
    "username": "n" * 80,
    "avatar_url": "https://example.org/a.png",
    "tts": False,
    "flags": 4 | 4096,
    "thread_name": "t" * 100,
    "applied_tags": ["1", "2", "3", "4", "5"],
    "allowed_mentions": {"parse": [], "users": [str(number) for number in range(100)]},
    "embeds": [
        {
            "title": "t" * 256,
            "description": "d" * 4096,
            "url": "https://example.org/",
            "color": 0xFFFFFF,
            "timestamp": "2026-01-02T03:04:05.678+00:00",
            "footer": {"text": "f" * 500, "icon_url": "attachment://x.png"},
            "author": {"name": "a" * 123, "url": "https://example.org", "icon_url": "https://example.org/i"},
            "image": {"url": "https://example.org/i.png"},
            "thumbnail": {"url": "https://example.org/i.png"},
            "fields": [{"name": "n", "value": "v" * 40, "inline": True}] * 25,
        }
    ],
}


def test_a_message_at_its_limits_passes() -> None:
    assert errors_in(FULLEST) == {}
    assert not is_empty(FULLEST)
    assert hazards_in(FULLEST) == ()


EMBEDS: list[tuple[Any, str, str]] = [
    ({"title": "x" * 257}, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    ({"title": "😀" * 129}, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    ({"title": 5}, "embeds.0.title", "STRING_TYPE_CONVERT"),
    ({"title": "\ud83d"}, "embeds.0.title", "STRING_TYPE_CONVERT"),
    ({"description": "x" * 4097}, "embeds.0.description", "BASE_TYPE_MAX_LENGTH"),
    ({"url": "javascript:alert(1)"}, "embeds.0.url", "URL_TYPE_INVALID_URL"),
    ({"url": "https://a b"}, "embeds.0.url", "URL_TYPE_INVALID_URL"),
    ({"url": "https://example.org/" + "x" * 2048}, "embeds.0.url", "BASE_TYPE_MAX_LENGTH"),
    ({"color": 0x1000000}, "embeds.0.color", "NUMBER_TYPE_MAX"),
    ({"color": "red"}, "embeds.0.color", "NUMBER_TYPE_MAX"),
    ({"timestamp": "2026-01-02T03:04:05"}, "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"),
    ({"footer": {"text": "x" * 2049}}, "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"),
    ({"footer": "x"}, "embeds.0.footer", "MODEL_TYPE_CONVERT"),
    ({"author": {"name": "x" * 257}}, "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"),
    ({"image": {"url": "x"}}, "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    ({"fields": {}}, "embeds.0.fields", "LIST_TYPE_CONVERT"),
    ({"fields": [{"name": "n", "value": "v"}] * 26}, "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
    ({"fields": [{"name": "x" * 257, "value": "v"}]}, "embeds.0.fields.0.name", "BASE_TYPE_MAX_LENGTH"),
    ({"fields": [{"name": "n", "value": "x" * 1025}]}, "embeds.0.fields.0.value", "BASE_TYPE_MAX_LENGTH"),
    ({"fields": [{"name": "n"}]}, "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    ({"fields": [{"name": " ", "value": "v"}]}, "embeds.0.fields.0.name", "BASE_TYPE_REQUIRED"),
    ("x", "embeds.0", "MODEL_TYPE_CONVERT"),
]
MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    ({"content": []}, "content", "STRING_TYPE_CONVERT"),
    ({"username": ""}, "username", "BASE_TYPE_BAD_LENGTH"),
    ({"username": "x" * 81}, "username", "BASE_TYPE_BAD_LENGTH"),
    ({"username": "My Discord"}, "username", "USERNAME_INVALID_CONTAINS"),
    ({"username": "Everyone"}, "username", "USERNAME_INVALID_EQUALS"),
    ({"avatar_url": "no"}, "avatar_url", "URL_TYPE_INVALID_URL"),
    ({"thread_name": "x" * 101}, "thread_name", "BASE_TYPE_MAX_LENGTH"),
    ({"applied_tags": list("123456")}, "applied_tags", "BASE_TYPE_MAX_LENGTH"),
    ({"applied_tags": [1]}, "applied_tags", "NUMBER_TYPE_COERCE"),
    ({"tts": "yes"}, "tts", "BOOLEAN_TYPE_PARSE"),
    ({"flags": 64}, "flags", "FLAGS_INVALID"),
    ({"flags": 32768, "content": "x"}, "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"),
    ({"embeds": {}}, "embeds", "LIST_TYPE_CONVERT"),
    ({"embeds": [{"title": "x"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"description": "x" * 3001}] * 2}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    ({"allowed_mentions": []}, "allowed_mentions", "DICT_TYPE_CONVERT"),
    ({"allowed_mentions": {"parse": ["all"]}}, "allowed_mentions.parse", "ENUM_TYPE_COERCE"),
    ({"allowed_mentions": {"users": [1]}}, "allowed_mentions.users", "NUMBER_TYPE_COERCE"),
    ({"allowed_mentions": {"roles": ["1", "1"]}}, "allowed_mentions.roles", "SET_TYPE_ALREADY_CONTAINS_VALUE"),
    (
        {"allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions",
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    *[({"embeds": [embed]}, path, code) for embed, path, code in EMBEDS],
]


@pytest.mark.parametrize(("message", "path", "code"), MESSAGES)
def test_a_broken_rule_is_named_at_its_place(message: dict[str, Any], path: str, code: str) -> None:
    assert (path, code) in leaves(errors_in(message))


def test_lengths_do_not_count_blanks_around_the_text() -> None:
    assert errors_in({"content": f" {'x' * 2000}\n"}) == {}


def test_the_limit_over_all_embeds_counts_every_visible_text() -> None:
    embed = {
        "title": "x" * 250,
        "description": "x" * 1000,
        "footer": {"text": "x" * 500},
        "author": {"name": "x" * 249},
        "fields": [{"name": "x", "value": "x" * 1000}],
    }
    assert errors_in({"embeds": [embed, embed]}) == {}
    assert leaves(errors_in({"embeds": [embed, embed, {"title": "x"}]})) == [("embeds", "MAX_EMBED_SIZE_EXCEEDED")]


@pytest.mark.parametrize(
    "message", [{}, {"content": "  "}, {"embeds": []}, {"embeds": [{}]}, {"embeds": [{"color": 1}]}]
)
def test_a_message_without_anything_to_show_is_empty(message: dict[str, Any]) -> None:
    assert errors_in(message) == {}
    assert is_empty(message)


def test_leaked_keys_and_live_mentions_are_hazards() -> None:
    assert hazards_in({"content": "x", "timeout": 5}) == ("unknown key timeout", "mentions in the text would ping")
    assert hazards_in({"content": "x", "allowed_mentions": {"users": []}}) == ("mentions in the text would ping",)
