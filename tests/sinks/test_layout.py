from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.contract import Event
from daemon.expression import Template
from sinks._layout import EVERYTHING, Field, Message, compose, headline, template_values
from tests.events import JSON, event


def fields(message: Message) -> dict[str, str]:
    return {field.name: field.value for field in message.fields}


def test_a_purchase_shows_what_was_sold_to_whom_for_how_much() -> None:
    message = compose(
        event(
            {
                "user_id": "77",
                "username": "Steve",
                "user_url": "https://builtbybit.com/members/77/",
                "resource_id": "5",
                "resource_title": "Sky",
                "resource_url": "https://builtbybit.com/resources/5/",
                "addon_id": "9",
                "addon_title": "Kits",
                "bundle_id": "0",
                "bundle_title": "",
                "renewal": "none",
                "list_price": "12.00",
                "final_price": "9.50",
                "currency": "EUR",
                "purchase_date": "1714328400",
                "coupon": "MAY",
            }
        ),
        EVERYTHING,
    )
    assert (message.topic, message.title, message.text) == ("purchase", "New purchase: Sky", "")
    assert message.link == "https://builtbybit.com/resources/5/"
    assert message.fields == (
        Field("Buyer", "Steve (77)", "https://builtbybit.com/members/77/"),
        Field("Price", "9.50 EUR (list price 12.00)"),
        Field("Addon", "Kits"),
        Field("Coupon", "MAY"),
    )


@pytest.mark.parametrize("none", ["0", "", None, 0, "none"])
def test_no_addon_is_shown_when_there_is_none(none: Any) -> None:
    message = compose(
        event({"addon_id": none, "addon_title": none, "bundle_id": none, "bundle_title": none}), EVERYTHING
    )
    assert fields(message) == {}


@pytest.mark.parametrize(
    "data",
    [
        {"resource_title": "Sky", "username": "Ann", "rating": 4, "review": "Nice\nand fast"},
        {"product_title": "Sky", "member_username": "Ann", "stars": "4", "message": "Nice\nand fast"},
        {"resourceTitle": "Sky", "reviewerUsername": "Ann", "reviewRating": 4, "reviewMessage": "Nice\nand fast"},
        {"RESOURCE_TITLE": "Sky", "Author": "Ann", "score": 4.0, "text": "Nice\nand fast"},
    ],
)
def test_a_review_is_found_under_any_of_its_names(data: dict[str, Any]) -> None:
    message = compose(event(data, kind="Resource Review"), EVERYTHING)
    assert (message.topic, message.title, message.text) == ("review", "New review: Sky", "Nice\nand fast")
    assert fields(message)["Reviewer"] == "Ann"
    assert fields(message)["Rating"].startswith("★★★★☆ (4")
    assert len(message.fields) == 2


@pytest.mark.parametrize("rating", ["87", "-1", "NaN", "5.5", "five", "1e400"])
def test_a_rating_that_counts_no_stars_is_shown_as_it_is(rating: str) -> None:
    assert fields(compose(event({"rating": rating}, kind="review"), EVERYTHING)) == {"Rating": rating}


def test_an_update_shows_its_headline_above_its_text() -> None:
    message = compose(event({"resource_title": "Sky", "title": "v2", "changelog": "faster"}, kind="update"), EVERYTHING)
    assert (message.title, message.text) == ("Update: Sky", "v2\nfaster")


def test_a_price_may_come_as_a_table() -> None:
    message = compose(
        event({"title": "Sky", "price": {"value": "4.00", "currency": "USD"}}, kind="publish"), EVERYTHING
    )
    assert (message.title, fields(message)) == ("Published: Sky", {"Price": "4.00 USD"})


def test_an_unknown_trigger_shows_all_that_came_with_it() -> None:
    message = compose(
        event({"coupon-code": "X", "nested": {"a": [1]}, "left": None}, kind="coupon.redeemed_now"), EVERYTHING
    )
    assert (message.topic, message.title) == ("other", "Coupon redeemed now")
    assert fields(message) == {"Coupon code": "X", "Nested": "{a: [1]}"}


def test_what_the_daemon_says_itself_has_a_text_and_a_command() -> None:
    data = {"text": "sales stopped: deleted", "command": "sudo systemctl restart eventferry"}
    message = compose(event(data, kind="alert.sink_stopped", source="eventferry"), EVERYTHING)
    assert (message.topic, message.title, message.text) == ("own", "Eventferry: sink stopped", data["text"])
    assert message.fields == (Field("Command", data["command"], code=True),)


def test_no_event_can_pass_its_text_off_as_our_command() -> None:
    message = compose(event({"command": "rm -rf /"}, kind="alert.sink_stopped"), EVERYTHING)
    assert (message.topic, message.title) == ("other", "Alert sink stopped")
    assert not message.fields[0].code


def test_a_foreign_link_is_shown_but_leads_nowhere() -> None:
    message = compose(
        event({"resource_url": "https://evil.example/", "user_url": "http://builtbybit.com/"}), EVERYTHING
    )
    assert message.link is None
    assert fields(message) == {"Resource url": "https://evil.example/", "User url": "http://builtbybit.com/"}
    assert not any(field.link for field in message.fields)


def test_two_spellings_of_one_name_are_both_shown() -> None:
    assert fields(compose(event({"odd_name": "1", "oddName": "2"}), EVERYTHING)) == {"Odd name": "1", "OddName": "2"}


def test_more_placeholders_than_anyone_reads_are_counted() -> None:
    message = compose(event({f"name{n}": n for n in range(130)}), EVERYTHING)
    assert message.fields[-1] == Field("…", "30 more")
    assert len(message.fields) == 101


@pytest.mark.parametrize("data", [[], "text", None, 5, {"": ""}, {"\u202e": "x"}, {"username": {"a": 1}}])
def test_wrong_parts_still_give_a_title(data: Any) -> None:
    event = Event("builtbybit", "1", None, "", datetime(1, 1, 1, tzinfo=UTC), data)
    assert compose(event, EVERYTHING).title == "Event"


@given(st.dictionaries(st.text() | st.sampled_from(["title", "text", "price", "rating", "username"]), JSON), st.text())
def test_whatever_an_event_holds_it_is_laid_out_in_clean_text(data: dict[str, Any], kind: str) -> None:
    message = compose(event(data, kind=kind), EVERYTHING)
    assert message.title.strip()
    assert "\n" not in message.title
    for text in (
        message.title,
        message.text,
        *(part for field in message.fields for part in (field.name, field.value)),
    ):
        text.encode()
        assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert all(field.name and field.value for field in message.fields)


def test_a_title_can_be_made_by_a_template() -> None:
    template = Template("{{ username }} bought {{ resource_title }} ({{ trigger }} {{ event_id }})")
    assert headline(template, event(), "built in") == "Steve bought Sky (purchase 4711)"


def test_text_of_an_event_is_never_read_as_a_template() -> None:
    hostile = event({"username": "{{ 7 * 7 }}\r\n{% raw %}"})
    assert headline(Template("{{ username }}"), hostile, "x") == "{{ 7 * 7 }} {% raw %}"


@pytest.mark.parametrize("source", ["{{ 1 / (nothing|length) }}", "{{ missing }}"])
def test_a_template_that_makes_nothing_of_an_event_gives_way_to_the_built_in_title(source: str) -> None:
    assert headline(Template(source), event(), "built in") == "built in"


def test_placeholders_win_over_our_own_names_in_templates() -> None:
    assert template_values(event({"source": "theirs"}))["source"] == "theirs"
