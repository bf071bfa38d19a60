import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.contract import OWN_SOURCE
from daemon.simulator.discord_rules import errors_in, hazards_in, is_empty
from tests.events import EVENTS, HOSTILE, event
from tests.sinks.discord_messages import SETTINGS, bodies, configured, many, summed_up

FULL = configured(audience="full")
ROLE, USER = "123456789012345678", "223456789012345678"
REVIEW = {"resource_title": "Sky", "resource_url": "https://builtbybit.com/r/1", "rating": "5", "review": "Good."}


def body(of: Any = None, **values: Any) -> dict[str, Any]:
    """That of a single event."""
    (only,) = bodies([of or event()], configured(**{"audience": "full"} | values))
    return only


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

    if unknown := message.keys() - {"content", "embeds", "allowed_mentions", "username", "avatar_url", "flags"}:
        found.append(f"unknown {unknown}")
    if message.get("allowed_mentions", {}).get("parse") != []:
        found.append("allowed_mentions")
    if not 1 <= len(message["embeds"]) <= 10:
        found.append("embeds")
    total = 0
    for embed in message["embeds"]:
        if unknown := embed.keys() - {"title", "description", "url", "color", "timestamp", "footer", "fields"}:
            found.append(f"unknown in embed {unknown}")
        if not embed.keys() & {"title", "description"}:
            found.append("an empty embed")
        for part, longest in (("title", 256), ("description", 4096)):
            if part in embed:
                text(part, embed[part], longest)
        footer = embed.get("footer", {"text": "of the first"})
        text("footer", footer["text"], 2048)
        if footer.keys() != {"text"}:
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
        total += length(embed.get("title", "")) + length(embed.get("description", "")) + length(footer["text"])
        if not 0 <= embed["color"] <= 0xFFFFFF or isinstance(embed["color"], bool):
            found.append("color")
        if "url" in embed and not re.fullmatch(r"https://[!-~]{1,2040}", embed["url"]):
            found.append("url")
        if "timestamp" in embed and datetime.fromisoformat(embed["timestamp"]).utcoffset() is None:
            found.append("timestamp")
    if total > 6000:
        found.append(f"{total} in all")
    links = [embed["url"] for embed in message["embeds"] if "url" in embed]
    if len(links) > len(set(links)):
        found.append("of embeds with one url only the first is shown")
    if is_empty(message):
        found.append("empty")
    return [*found, *hazards_in(message), *([str(errors)] if (errors := errors_in(message)) else [])]


def test_generated_messages_keep_every_limit() -> None:
    """Single events, batches and summaries of both naming schemes, with and without templates."""
    sizes = set()
    for message in many(3000, seed=4):
        assert violations(message) == []
        sizes.add(len(message["embeds"]))
    assert {1, 2, 10} <= sizes


@settings(max_examples=40, deadline=timedelta(seconds=5), suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=2, max_size=12), st.sampled_from(SETTINGS))
def test_no_batch_and_no_summary_is_refused_either(generated: Any, values: Any) -> None:
    one = configured(**values)
    packed = bodies(generated, one)
    assert sum(len(message["embeds"]) for message in packed) == len(generated)
    assert [violations(message) for message in [*packed, summed_up(generated, one)]] == [[]] * (len(packed) + 1)


@settings(max_examples=200, deadline=timedelta(seconds=2), suppress_health_check=list(HealthCheck))
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
    assert violations(good | {"embeds": good["embeds"] * 11})
    assert violations(good | {"embeds": [good["embeds"][0] | {"url": "https://builtbybit.com/"}] * 2})
    assert violations(good | {"content": "x" * 2001})
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
    embed = {
        "title": r"New purchase: Sky \[1.21\]",
        "url": "https://builtbybit.com/r/1",
        "description": "thanks!",
        "color": 0x57F287,
        "timestamp": "2026-03-04T05:06:07+00:00",
        "footer": {"text": "builtbybit:4711"},
        "fields": [
            {"name": "Buyer", "value": r"[mc\_Steve](https://builtbybit.com/members/7/)", "inline": True},
            {"name": "Price", "value": "9.99 USD", "inline": True},
        ],
    }
    assert body(event(data), username="Sales", avatar_url="https://example.com/a.png") == {
        "username": "Sales",
        "avatar_url": "https://example.com/a.png",
        "allowed_mentions": {"parse": []},
        "embeds": [embed],
    }
    shown_to_all = body(event(data), audience="public")
    assert shown_to_all["embeds"][0]["title"] == embed["title"]
    assert "Steve" not in str(shown_to_all)
    assert "9.99" not in str(shown_to_all)


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


# Several events


def test_ten_events_travel_as_ten_embeds_and_the_eleventh_with_the_next_message() -> None:
    first, second = bodies([event(external_id=str(number)) for number in range(11)], FULL)
    assert [embed["footer"]["text"] for embed in first["embeds"]] == [f"builtbybit:{number}" for number in range(10)]
    assert [embed["footer"]["text"] for embed in second["embeds"]] == ["builtbybit:10"]


def test_long_events_are_spread_over_messages_and_none_is_cut_for_the_others_sake() -> None:
    reviews = [event(REVIEW | {"review": f"{number}" + "x" * 2500}, kind="review") for number in range(5)]
    packed = bodies(reviews, FULL)
    assert [len(message["embeds"]) for message in packed] == [2, 2, 1]
    assert [len(embed["description"]) for message in packed for embed in message["embeds"]] == [2501] * 5


def test_a_link_that_an_earlier_embed_has_is_named_in_a_field() -> None:
    """Discord shows only the first of several embeds with one url."""
    (message,) = bodies([event(REVIEW, kind="review", external_id=str(number)) for number in range(2)], FULL)
    first, second = message["embeds"]
    assert first["url"] == "https://builtbybit.com/r/1"
    assert "url" not in second
    assert second["fields"][0] == {"name": "Link", "value": "https://builtbybit.com/r/1", "inline": True}


def test_a_summary_has_totals_and_below_them_a_line_for_each_event_that_finds_room() -> None:
    """Of one embed, Discord shows the fields below the text."""
    sale = {"resource_title": "Sky_Lands", "final_price": "9.99", "resource_url": "https://builtbybit.com/r/1"}
    sums, listed = summed_up([event(sale, external_id=str(number)) for number in range(12)], FULL)["embeds"]
    assert sums["title"] == "Many at once: 12 purchases"
    assert "119.88 USD" in str(sums["fields"])
    assert sums["footer"]["text"] == "s-1"
    assert "description" not in sums
    assert listed.keys() == {"description", "color"}
    assert listed["description"].count("\n") == 11
    assert r"Sky\_Lands" in listed["description"]
    assert "](https://builtbybit.com/r/1)" in listed["description"]


def test_a_summary_of_many_says_how_many_it_leaves_out_and_where_they_are() -> None:
    _, listed = summed_up([event(external_id=str(number)) for number in range(800)], FULL)["embeds"]
    *lines, last = listed["description"].split("\n")
    assert len(lines) > 20
    assert last == f"… and {800 - len(lines)} more; all of them: `eventferry events`"


# What the config says


def test_the_owners_templates_make_title_text_and_fields_of_data_that_stays_data() -> None:
    data = {"resource_title": "[x](https://evil.example)", "review": "@everyone **now** {{ 7*7 }}", "rating": "5"}
    (embed,) = body(
        event(data, kind="review"),
        title="**{{ resource_title }}**",
        body="> {{ review }}",
        fields={"Stars": "{{ rating }} of 5", "Price": "{{ final_price }}"},
    )["embeds"]
    assert embed["title"] == r"**\[x\](https\://evil.example)**"
    assert embed["description"] == r"> \@everyone \*\*now\*\* {{ 7\*7 }}"
    assert [(field["name"], field["value"]) for field in embed["fields"]] == [("Stars", "5 of 5")]


def test_an_empty_body_and_no_fields_leave_the_title_alone() -> None:
    (embed,) = body(event(REVIEW, kind="review"), body="", fields={})["embeds"]
    assert embed.keys() == {"title", "url", "color", "timestamp", "footer"}


def test_a_template_that_fails_leaves_the_built_in_title() -> None:
    (embed,) = body(event(REVIEW, kind="review"), title="{{ 1 / (rating|float - 5) }}")["embeds"]
    assert embed["title"] == "New review: Sky"


def test_our_own_messages_are_not_put_into_templates_made_for_sales() -> None:
    own = event({"text": "sales stopped"}, kind="alert.sink", source=OWN_SOURCE)
    (embed,) = body(own, title="Sold: {{ resource_title }}", body="", fields={})["embeds"]
    assert embed["description"] == "sales stopped"
    assert not embed["title"].startswith("Sold")


def test_a_test_shows_that_it_is_one_even_under_a_title_of_the_owners() -> None:
    trial = event(REVIEW, kind="test.review", source=OWN_SOURCE)
    assert body(trial)["embeds"][0]["title"] == "Test: New review: Sky"
    assert body(trial, title="{{ resource_title }}!")["embeds"][0]["title"] == "Test: Sky!"


def test_s10_exactly_those_in_the_config_are_called_whatever_an_event_says() -> None:
    ping = [f"role:{ROLE}", f"<@!{USER}>", f"user:{USER}"]
    message = body(event({"message": "@everyone @here <@5> <@&6>"}), ping=ping)
    assert message["content"] == f"<@&{ROLE}> <@{USER}>"
    assert message["allowed_mentions"] == {"parse": [], "roles": [ROLE], "users": [USER]}
    assert violations(message) == []


def test_a_quiet_sink_sets_the_flag_for_it() -> None:
    assert body(notify=False)["flags"] == 4096
    assert "flags" not in body()
