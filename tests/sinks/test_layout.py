import json
import re
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from daemon.contract import Delivered, Event
from daemon.expression import HtmlTemplate, MarkdownTemplate, TextTemplate, clean
from daemon.people import PeopleSettings
from daemon.simulator.samples import KINDS, Kind, Samples
from sinks._layout import EVERYTHING, Message, compose, filled, headed, locale_of, template_values
from sinks._placeholders import Field
from tests.events import EVENTS, JSON, delivery, event
from tests.ledger import story
from tests.receivers import http_receiver, reply
from tests.rigs import build


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
        Field("Price", "9.50 EUR (list price 12.00 EUR)"),
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


def test_the_title_of_an_alert_names_what_it_is_about_which_is_then_no_field() -> None:
    data = {"text": "sales stopped: deleted", "about": "sales"}
    alert = event(data, kind="alert.sink", source="eventferry")
    message = compose(alert, EVERYTHING)
    assert (message.title, message.text, message.fields) == ("Eventferry: sink sales", data["text"], ())
    assert headed(alert, EVERYTHING).title == message.title
    other = compose(event(data, kind="purchase"), EVERYTHING)
    assert (other.title, fields(other)["About"]) == ("New purchase", "sales")


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


@pytest.mark.parametrize(
    ("data", "price"),
    [
        ({"final_price": "9.99", "list_price": "12.99"}, "9.99 GBP (list price 12.99 GBP)"),
        ({"final_price": "9.99", "list_price": "9.990"}, "9.99 GBP"),
        ({"final_price": 9.99, "currency": "EUR"}, "9.99 EUR"),
        ({"price": {"value": "1234.5", "currency": "USD"}}, "1,234.50 USD"),
        ({"price": {"value": 3, "currency": ""}}, "3.00 GBP"),
        ({"list_price": "5"}, "5.00 GBP"),
        ({"final_price": "0", "list_price": "5"}, "Free (list price 5.00 GBP)"),
        ({"final_price": "0.00"}, "Free"),
        ({"final_price": 0, "list_price": 0}, "Free"),
        ({"final_price": "", "list_price": None}, None),
        ({"final_price": "on request"}, "on request"),
        ({"free": True}, "Free"),
        ({"free": "yes"}, "Free"),
        ({"free": False}, None),
        ({"free": False, "price": "2"}, "2.00 GBP"),
        ({"final_price": 10**30}, "1" + "0" * 30),
        ({"currency": "EUR"}, None),
    ],
)
def test_a_price_is_exact_and_has_a_currency(data: dict[str, Any], price: str | None) -> None:
    people = PeopleSettings(audience="full", currency="GBP")
    assert fields(compose(event(data), people)).get("Price") == price


def test_a_time_among_the_fields_is_told_in_the_sinks_zone() -> None:
    people = PeopleSettings(audience="full", timezone="Europe/Berlin")
    data = {"expires_at": "1769882400", "renewalDate": 1769882400000, "purchase_date": "1769882400", "seats_at": "12"}
    message = compose(event(data), people)
    assert fields(message) == {
        "Expires at": "2026-01-31 19:00 CET",
        "Renewal date": "2026-01-31 19:00 CET",
        "Seats at": "12",
    }


def test_bbcode_and_html_of_a_text_are_read_not_shown() -> None:
    data = {"resource_title": "Sky", "update": "[b]New[/b] &amp; <i>fast</i>\n[LIST]\n[*]a\n[*]b\n[/LIST]"}
    assert compose(event(data, kind="update"), EVERYTHING).text == "New & fast\n- a\n- b"


def test_a_list_of_words_is_shown_as_words() -> None:
    assert fields(compose(event({"tags": ["fix", 1.21, None], "deep": [[1]]}), EVERYTHING)) == {
        "Tags": "fix, 1.21,",
        "Deep": "[[1]]",
    }


def test_a_test_looks_like_what_it_stands_for_and_says_that_it_is_one() -> None:
    message = compose(event(kind="test.purchase", source="eventferry"), EVERYTHING)
    assert (message.topic, message.title) == ("purchase", "Test: New purchase: Sky")
    assert message.key == "eventferry:4711 (a test)"
    assert fields(message) == {"Buyer": "Steve", "Price": "9.99 USD"}
    nobodys = compose(event(kind="test.purchase"), EVERYTHING)
    assert (nobodys.title, nobodys.key) == ("New purchase: Sky", "builtbybit:4711"), "only ours are tests"


def test_a_report_has_its_own_title_and_every_figure() -> None:
    data = {"title": "Weekly report: 5 to 11 January 2026", "text": "Refunds are unknown.", "sold": "12"}
    message = compose(event(data, kind="report.weekly", source="eventferry"), PeopleSettings())
    assert (message.topic, message.title, message.text) == ("own", data["title"], data["text"])
    assert fields(message) == {"Sold": "12"}


@pytest.mark.parametrize("names", ["known", "guessed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("audience", ["public", "full"])
def test_every_event_of_the_simulator_looks_good(kind: Kind, names: Literal["known", "guessed"], audience: Any) -> None:
    supply = Samples(7)
    for number in range(30):
        trigger, data = supply.make(kind, names, 1769882400)
        message = compose(event(data, kind=trigger, external_id=str(number)), PeopleSettings(audience=audience))
        assert message.topic == {"unknown": "other"}.get(kind, kind)
        shown = fields(message)
        if kind != "unknown":
            assert message.title.partition(": ")[2] == data.get("resource_title", data.get("product_title"))
            assert message.link
            assert message.link.startswith("https://builtbybit.com/r")
            assert bool(message.text) == (kind in ("review", "update"))
        if kind == "review":
            assert re.fullmatch(r"[★☆]{5} \([2-5](\.5)?\)", shown["Rating"])
        if kind in ("purchase", "publish") and audience == "full":
            assert re.fullmatch(r"[0-9.]+ (USD|EUR|GBP)( \(list price [0-9.]+ USD\))?", shown["Price"])
        if audience == "public":
            assert shown.keys() <= {"Rating", "Addon", "Bundle", "Version", "Category", "Tags"}
        assert "None" not in str(shown.values())


def test_a_title_can_be_made_by_a_template() -> None:
    template = TextTemplate("{{ username }} bought {{ resource_title }} ({{ trigger }} {{ event_id }}, {{ source }})")
    assert filled(template, event(), EVERYTHING, "x") == "Steve bought Sky (purchase 4711, builtbybit)"


def test_a_template_knows_the_sinks_zone_and_currency() -> None:
    people = PeopleSettings(audience="full", timezone="Asia/Tokyo", currency="JPY")
    template = TextTemplate("{{ final_price|money }} {{ occurred_at|date }} {{ occurred_at|time }} {{ currency }}")
    assert filled(template, event(), people, "x") == "9.99 JPY 2026-03-04 14:06 JPY"
    priced = event({"purchase_currency": "EUR", "price": 1})
    assert filled(TextTemplate("{{ price|money }}"), priced, people, "x") == "1.00 EUR"
    unnamed = event({"currency": None, "price": 1})
    assert filled(TextTemplate("{{ price|money }} {{ currency }}"), unnamed, people, "x") == "1.00 JPY JPY"


def test_text_of_an_event_is_never_read_as_a_template() -> None:
    hostile = event({"username": "{{ 7 * 7 }}\r\n{% raw %}"})
    assert filled(TextTemplate("{{ username }}"), hostile, EVERYTHING, "x") == "{{ 7 * 7 }}\n{% raw %}"


@pytest.mark.parametrize("source", ["{{ 1 / (nothing|length) }}", "{{ missing }}", " {{ missing }}\n"])
def test_a_template_that_makes_nothing_of_an_event_gives_way_to_the_built_in_text(source: str) -> None:
    assert filled(TextTemplate(source), event(), EVERYTHING, "built in") == "built in"
    assert filled(None, event(), EVERYTHING, "built in") == "built in"


def test_what_the_daemon_says_itself_fits_no_template() -> None:
    """A template that is meant for sales would leave out what an alert has to say."""
    for template in (TextTemplate("Sold: {{ resource_title }}"), TextTemplate(" ")):
        assert filled(
            template, event({"text": "x"}, kind="alert.sink", source="eventferry"), EVERYTHING, "built in"
        ) == ("built in")
        assert filled(template, event(kind="test.purchase", source="eventferry"), EVERYTHING, "built in") != "built in"


def test_an_empty_template_is_meant_so() -> None:
    assert filled(TextTemplate(""), event(), EVERYTHING, "built in") == ""


def test_placeholders_win_over_our_own_names_in_templates() -> None:
    assert template_values(event({"source": "theirs"}), EVERYTHING)["source"] == "theirs"
    assert template_values(event([], kind="test.x", source="eventferry"), EVERYTHING)["trigger"] == "x"


def test_a_template_that_fails_loses_no_delivery() -> None:
    """It fails for this event only; the built-in layout stands in, and a warning says so."""

    @story
    async def told() -> None:
        async with http_receiver(reply(200, b'{"id": "1"}', Content_Type="application/json")) as receiver:
            url = f"{receiver.url}/api/webhooks/1/token-0123456789"
            title, body = "{{ final_price / 0 }}", "{{ resource_title * 2 }}"
            sink = build("discord", url=url, audience="full", title=title, body=body, fields={"Sum": "{{ 1 // 0 }}"})
            with capture_logs() as logs:
                report = await sink.deliver(delivery())
            await sink.close()
        assert isinstance(report.outcome, Delivered)
        (embed,) = json.loads(receiver.requests[0].body)["embeds"]
        assert embed["title"] == "New purchase: Sky"
        assert {entry["event"] for entry in logs} == {"template.failed"}
        assert {entry["event_key"] for entry in logs} == {"builtbybit:4711"}

    told()


def test_a_template_that_fails_for_every_event_is_logged_once_for_each_reason() -> None:
    template, other = TextTemplate("{{ final_price / stars }}"), TextTemplate("{{ final_price / stars }}")
    with capture_logs() as logs:
        for number in range(5):
            assert filled(template, event({"final_price": number, "stars": 0}), EVERYTHING, "built in") == "built in"
            assert filled(template, event({"final_price": "x", "stars": 0}), EVERYTHING, "built in") == "built in"
        assert filled(other, event({"final_price": 1, "stars": 0}), EVERYTHING, "built in") == "built in"
    assert [entry["reason"][:10] for entry in logs] == ["a division", '"/" needs ', "a division"]
    assert {entry["template"] for entry in logs} == {template.source}


ALL = (
    "{% for x in [resource_title, username, message, final_price, rating, text, currency] %}{{ x|text }} {{ x|money }}"
)
ALL += " {{ x|cut(20) }} {{ x|stars }} {{ x|date }}{% endfor %}{{ trigger }} {{ event_id }} {{ listener_id }}"


@given(EVENTS, st.sampled_from(["public", "full"]))
def test_no_event_can_make_a_layout_or_a_template_fail_or_unclean(odd: Event, audience: Any) -> None:
    people = PeopleSettings(audience=audience, timezone="Europe/Berlin")
    message = compose(odd, people)
    texts = [message.title, message.text, message.key]
    texts += [part for field in message.fields for part in (field.name, field.value)]
    values, locale = template_values(odd, people), locale_of(people)
    texts += [
        template(ALL).render(values, locale).strip() for template in (TextTemplate, MarkdownTemplate, HtmlTemplate)
    ]
    for text in texts:
        assert clean(text).encode() == text[:20_000].strip().encode()
