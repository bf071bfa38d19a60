"""What the public is told: nothing of who bought, for how much, and nothing that nobody has thought about."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import placeholders
from daemon.contract import Delivery, Event, Summary
from daemon.expression import TextTemplate
from daemon.people import PeopleSettings
from sinks import _placeholders
from sinks._audience import is_private
from sinks._layout import EVERYTHING, compose, filled, template_values
from sinks._placeholders import LIST_PRICE, PERSON, PERSON_ID, PERSON_LINK
from sinks._summary import summarize
from tests.events import event

CANARY = "canary"
PUBLIC = PeopleSettings()
TRIGGERS = ("purchase", "Resource Review", "update", "publish", "ticket_opened", "test.purchase", "test.review")
PRIVATE = (*PERSON, *PERSON_ID, *PERSON_LINK, *placeholders.PRICE, *LIST_PRICE, *placeholders.CURRENCY)
UNKNOWN = (
    "coupon",
    "email",
    "renewal",
    "user",
    "discord_id",
    "transaction_id",
    "purchase_note",
    "iban",
    "text_2",
    "free",
)
ALIASES = tuple(
    name
    for module in (placeholders, _placeholders)
    for names in vars(module).values()
    if isinstance(names, tuple) and names and all(isinstance(name, str) for name in names)
    for name in names
)
VALUES = st.sampled_from(
    [
        *(CANARY, f"https://builtbybit.com/members/{CANARY}.1/", f"{CANARY} and more", f"9.99 {CANARY}"),
        *([CANARY], {"value": CANARY, "currency": CANARY}, {"name": {"first": CANARY}}, [[CANARY]], [{"name": CANARY}]),
    ]
)


def spellings(name: str) -> list[str]:
    words = name.split("_")
    return [name, name.upper(), name.replace("_", "-"), words[0] + "".join(map(str.capitalize, words[1:]))]


def told(event: Event, people: PeopleSettings) -> str:
    """All that readers could be told of an event, by whatever a sink is configured to."""
    names = "".join(f"{{{{ {name} }}}}|" for name in event.data if name.isidentifier())
    summary = Summary("s-1", "digest", [Delivery("d-1", event, 1)])
    return repr(
        [
            compose(event, people),
            summarize(summary, people),
            template_values(event, people),
            filled(TextTemplate(names), event, people, ""),
        ]
    )


def of(trigger: str, data: dict[str, Any]) -> Event:
    return event(data, kind=trigger, source="eventferry" if trigger.startswith("test.") else "builtbybit")


@given(
    st.sampled_from(TRIGGERS),
    st.dictionaries(st.sampled_from([s for name in (*PRIVATE, *UNKNOWN) for s in spellings(name)]), VALUES, min_size=1),
    st.dictionaries(st.sampled_from(ALIASES).filter(lambda name: name not in PRIVATE), st.just("known"), max_size=9),
)
def test_nothing_private_or_unknown_is_told_to_the_public(
    trigger: str, private: dict[str, Any], public: dict[str, Any]
) -> None:
    assert CANARY not in told(of(trigger, public | private), PUBLIC)


@given(st.sampled_from(TRIGGERS), st.sampled_from([s for name in ALIASES for s in spellings(name)]))
def test_no_known_name_takes_a_table_along_or_a_link_to_a_member(trigger: str, name: str) -> None:
    link = f"https://builtbybit.com/members/{CANARY}.1/"
    for value in ({"username": CANARY}, [{"name": CANARY}], [[CANARY]], link, [link], [CANARY] * 101):
        assert CANARY not in told(of(trigger, {name: value}), PUBLIC), value


@pytest.mark.parametrize("name", [*PRIVATE, *UNKNOWN])
def test_the_same_is_told_in_full_to_those_who_may_see_it(name: str) -> None:
    assert CANARY in told(of("purchase", {name: f"9.99 {CANARY}"}), EVERYTHING)
    assert is_private(name)


@pytest.mark.parametrize(
    ("trigger", "name"),
    [
        *(("purchase", name) for name in ("resource_title", "productTitle", "resource_id", "addon_title", "category")),
        *(("review", name) for name in ("message", "review", "review_title", "rating", "stars", "response")),
        *(("update", name) for name in ("title", "version", "changelog", "tags", "update_version")),
        *(("publish", name) for name in ("product_title", "description")),
        *(("ticket_opened", name) for name in ("title", "resource_title")),
        *((trigger, "message") for trigger in ("resourceReview", "Review posted", "NEW-UPDATES", "version.published")),
    ],
)
def test_what_stands_on_a_public_page_is_told_to_the_public(trigger: str, name: str) -> None:
    assert CANARY in told(of(trigger, {name: CANARY}), PUBLIC)
    assert not is_private(name)


@pytest.mark.parametrize(
    "trigger",
    [
        *("purchase", "ticket_opened", "conversation", "", "ticket_update", "preview_opened", "ReviewDispute"),
        *("Update: réponse", "publish_request", "test.ticket_update"),
    ],
)
@pytest.mark.parametrize("name", ["text", "message", "body", "comment", "update_title", "stars"])
def test_a_text_that_may_be_a_private_one_is_not_told_to_the_public(trigger: str, name: str) -> None:
    assert CANARY not in told(of(trigger, {name: CANARY}), PUBLIC)
    assert CANARY in told(of("review" if name != "update_title" else "update", {name: CANARY}), PUBLIC)


def test_a_link_stays_for_the_public() -> None:
    link = "https://builtbybit.com/resources/1/"
    for trigger in TRIGGERS:
        assert compose(of(trigger, {"resource_url": link}), PUBLIC).link == link


def test_alerts_and_reports_are_told_in_full_to_whoever_they_are_sent() -> None:
    data = {"text": "sales stopped", "command": "eventferry sinks resume sales", "gross_sales": "12.00 USD"}
    alert = event(data, kind="alert.sink_stopped", source="eventferry")
    assert compose(alert, PUBLIC) == compose(alert, EVERYTHING)
    assert template_values(alert, PUBLIC)["gross_sales"] == "12.00 USD"


def test_no_other_source_passes_its_events_off_as_ours() -> None:
    assert CANARY not in told(event({"username": CANARY}, kind="alert.sink_stopped"), PUBLIC)
    assert CANARY not in told(event({"username": CANARY}, kind="test.alert"), PUBLIC)


@pytest.mark.parametrize("data", [[], None, CANARY, {"": CANARY}, {"data": CANARY}])
def test_data_of_any_other_shape_is_private(data: Any) -> None:
    assert CANARY not in repr(compose(event(data, kind="review"), PUBLIC))
