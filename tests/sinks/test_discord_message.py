import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from sinks._discord_message import build
from sinks._envelope import encode
from sinks._layout import EVERYTHING, compose
from tests.events import EVENTS, HOSTILE, event


def body(of: Any = None, **changes: Any) -> dict[str, Any]:
    """The body as Discord would read it from the wire."""
    message = compose(of or event(), EVERYTHING)
    built = build(message, message.title, **{"username": None, "avatar_url": None} | changes)
    parsed: dict[str, Any] = json.loads(encode(built))
    return parsed


def length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def violations(message: dict[str, Any]) -> list[str]:
    """What Discord would refuse, by the limits it documents; lengths in UTF-16 units."""
    found = []

    def text(where: str, value: Any, longest: int) -> None:
        if (
            not isinstance(value, str)
            or not value.strip()
            or length(value) > longest
            or re.search("[\ud800-\udfff]", value)
        ):
            found.append(where)

    if unknown := message.keys() - {"content", "embeds", "allowed_mentions", "username", "avatar_url"}:
        found.append(f"unknown {unknown}")
    if message.get("allowed_mentions") != {"parse": []}:
        found.append("allowed_mentions")
    if not 1 <= len(message["embeds"]) <= 10:
        found.append("embeds")
    total = 0
    for embed in message["embeds"]:
        if unknown := embed.keys() - {"title", "description", "url", "color", "timestamp", "footer", "fields"}:
            found.append(f"unknown in embed {unknown}")
        text("title", embed["title"], 256)
        if "description" in embed:
            text("description", embed["description"], 4096)
        text("footer", embed["footer"]["text"], 2048)
        if embed["footer"].keys() != {"text"}:
            found.append("footer")
        fields = embed.get("fields", [])
        if len(fields) > 25:
            found.append("fields")
        for field in fields:
            text("field name", field["name"], 256)
            text("field value", field["value"], 1024)
            if field.keys() != {"name", "value", "inline"} or not isinstance(field["inline"], bool):
                found.append("field")
            total += length(field["name"]) + length(field["value"])
        total += length(embed["title"]) + length(embed.get("description", "")) + length(embed["footer"]["text"])
        if not 0 <= embed["color"] <= 0xFFFFFF or isinstance(embed["color"], bool):
            found.append("color")
        if "url" in embed and not re.fullmatch(r"https://[!-~]{1,2040}", embed["url"]):
            found.append("url")
        if "timestamp" in embed and datetime.fromisoformat(embed["timestamp"]).utcoffset() is None:
            found.append("timestamp")
    if total > 6000:
        found.append(f"{total} in all")
    return found


@settings(max_examples=400, deadline=timedelta(seconds=2), suppress_health_check=list(HealthCheck))
@given(EVENTS)
def test_no_event_makes_a_message_that_discord_refuses_for_size_or_shape(generated: Any) -> None:
    assert violations(body(generated)) == []


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["purchase", "review", "x"])
def test_hostile_events_keep_every_limit(name: str, kind: str) -> None:
    assert violations(body(event(HOSTILE[name], kind=kind))) == []


def test_the_rules_of_this_test_would_see_a_mistake() -> None:
    good = body()
    for path, bad in [
        (("title",), "x" * 257),
        (("title",), "👍" * 129),
        (("description",), " "),
        (("footer",), {"text": "x", "icon_url": None}),
        (("fields",), [{"name": "", "value": "x", "inline": True}]),
        (("fields",), [{"name": "x", "value": "x", "inline": True}] * 26),
        (("fields",), [{"name": "x", "value": "x" * 1024, "inline": True}] * 6),
        (("timestamp",), "2026-01-01T00:00:00"),
        (("url",), "https://a b"),
        (("provider",), None),
    ]:
        embed = good["embeds"][0] | {path[0]: bad}
        assert violations(good | {"embeds": [embed]}), path
    assert violations(good | {"timeout": 5})
    assert violations(good | {"allowed_mentions": {"parse": ["users"]}})


def test_a_purchase_is_a_readable_embed() -> None:
    data = {
        "resource_title": "Sky [1.21]",
        "resource_url": "https://builtbybit.com/r/1",
        "username": "mc_Steve",
        "user_url": "https://builtbybit.com/members/7/",
        "final_price": "9.99",
        "message": "thanks!",
    }
    assert body(event(data), username="Sales", avatar_url="https://example.com/a.png") == {
        "username": "Sales",
        "avatar_url": "https://example.com/a.png",
        "allowed_mentions": {"parse": []},
        "embeds": [
            {
                "title": r"New purchase: Sky \[1.21\]",
                "url": "https://builtbybit.com/r/1",
                "description": "thanks!",
                "color": 0x57F287,
                "timestamp": "2026-03-04T05:06:07+00:00",
                "footer": {"text": "builtbybit:4711"},
                "fields": [
                    {"name": "Buyer", "value": r"[mc\_Steve](https://builtbybit.com/members/7/)", "inline": False},
                    {"name": "Price", "value": "9.99", "inline": True},
                ],
            }
        ],
    }


def test_user_text_neither_pings_nor_links_nor_shouts() -> None:
    text = "# @everyone [free](https://evil.example) <@1> ||x|| ```a```"
    message = body(event({"resource_title": text, "message": text, "x": text}))
    (embed,) = message["embeds"]
    assert "content" not in message
    assert message["allowed_mentions"] == {"parse": []}
    escaped = r"\@everyone \[free\](https\://evil.example) \<\@1\> \|\|x\|\| \`\`\`a\`\`\`"
    assert embed["description"] == rf"\# {escaped}"
    assert embed["title"] == rf"New purchase: # {escaped}"
    assert embed["fields"][0]["value"] == rf"\# {escaped}"


def test_a_link_value_is_linked_once_and_a_foreign_one_not_at_all() -> None:
    data = {"shop_url": "https://builtbybit.com/x", "other_url": "https://evil.example/"}
    (embed,) = body(event(data))["embeds"]
    assert [field["value"] for field in embed["fields"]] == ["https://builtbybit.com/x", r"https\://evil.example/"]


def test_long_texts_are_cut_where_one_can_see_it() -> None:
    (embed,) = body(event({"resource_title": "y" * 900, "message": "x" * 9000, "z": "z" * 3000}))["embeds"]
    assert [len(embed[part]) for part in ("title", "description")] == [256, 4096]
    assert embed["title"].endswith("…")
    assert embed["description"].endswith("…")
    assert embed["fields"][0]["value"].endswith("z…")


def test_fields_that_find_no_room_are_counted() -> None:
    (many,) = body(event({f"n{number}": "v" for number in range(40)}))["embeds"]
    assert len(many["fields"]) == 25
    assert many["fields"][-1] == {"name": "…", "value": "16 more", "inline": True}
    (just,) = body(event({f"n{number}": "v" for number in range(25)}))["embeds"]
    assert just["fields"][-1]["name"] == "N24"
    (large,) = body(event({f"n{number}": "v" * 1000 for number in range(8)}))["embeds"]
    assert [len(field["value"]) for field in large["fields"]] == [1000] * 5 + [len("3 more")]


def test_our_own_command_can_be_copied_as_it_is() -> None:
    own = event({"text": "look", "command": "eventferry sinks resume my_sink `x`"}, kind="alert.x", source="eventferry")
    (embed,) = body(own)["embeds"]
    assert embed["fields"][0]["value"] == "`eventferry sinks resume my_sink 'x'`"


@pytest.mark.parametrize("year", [1, 1999, 2100, 9999])
def test_a_time_that_makes_no_sense_is_left_out(year: int) -> None:
    (embed,) = body(event(occurred_at=datetime(year, 1, 1, tzinfo=UTC)))["embeds"]
    assert "timestamp" not in embed
