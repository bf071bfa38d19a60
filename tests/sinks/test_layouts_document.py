"""What docs/layouts.md shows is what comes out, and what it lists is all there is."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon import placeholders
from daemon.contract import Delivery, Event, Summary
from daemon.expression import MarkdownTemplate
from daemon.expression.filters import FILTERS_OF_OURS
from daemon.expression.sandbox import Sandbox
from daemon.people import PeopleSettings
from sinks import _placeholders
from sinks._layout import EVERYTHING, compose, filled, template_values
from sinks._summary import summarize
from sinks.console import text_lines
from tests.events import event

PAGE = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text()
EXAMPLES = re.findall(r"^\| `(.*)` \| `(.*)` \|$", PAGE, re.MULTILINE)
START = datetime(2026, 1, 31, 18, tzinfo=UTC)
RESOURCE = {
    "resource_id": "1234",
    "resource_title": "Skyline Economy",
    "resource_url": "https://builtbybit.com/resources/1234/",
}
PURCHASE = RESOURCE | {
    "user_id": "4711",
    "username": "Marlowe",
    "addon_id": "9",
    "addon_title": "Extra kits",
    "list_price": "12.99",
    "final_price": "9.99",
    "currency": "USD",
    "purchase_date": "1769882400",
}
REVIEW = RESOURCE | {"user_id": "4711", "username": "Marlowe", "rating": "5", "review": "Works well.\nAnd fast."}
EXAMPLE = {
    "final_price": "1234.5",
    "purchase_date": "1769882400",
    "rating": "4",
    "username": "*Marlowe*",
    "review": "[b]Great[/b] &amp; fast, see [url=https://builtbybit.com/]here[/url]",
}


def block(text: str) -> str:
    return f"```text\n{text}\n```"


def at(hour: int, data: dict[str, Any], kind: str) -> Event:
    return event(data, kind=kind, occurred_at=START + timedelta(hours=hour))


def test_the_messages_shown_are_what_comes_out() -> None:
    assert block(text_lines(compose(at(0, PURCHASE, "purchase"), EVERYTHING))) in PAGE
    assert block(text_lines(compose(at(0, PURCHASE, "purchase"), PeopleSettings()))) in PAGE
    assert block(text_lines(compose(at(0, REVIEW, "review"), PeopleSettings()))) in PAGE


def test_the_summary_shown_is_what_comes_out() -> None:
    events = [
        at(0, PURCHASE, "purchase"),
        at(1, PURCHASE | {"final_price": 12.99}, "purchase"),
        at(2, REVIEW, "review"),
    ]
    deliveries = [Delivery(f"d-{each.occurred_at}", each, 1) for each in events]
    overview = summarize(Summary("s", "digest", deliveries), PeopleSettings(audience="full", timezone="UTC"))
    totals = "\n".join(f"{field.name}: {field.value}" for field in overview.totals)
    lines = "\n".join(line.text for line in overview.lines)
    assert block(f"{overview.title}\n\n{totals}\n\n{lines}") in PAGE


@pytest.mark.parametrize(("source", "result"), EXAMPLES)
def test_each_template_shown_gives_what_is_shown(source: str, result: str) -> None:
    people = PeopleSettings(audience="full", currency="EUR", timezone="Europe/Berlin")
    assert filled(MarkdownTemplate(source.replace("\\|", "|")), event(EXAMPLE), people, "") == result


def test_every_filter_name_and_alias_is_listed() -> None:
    assert len(EXAMPLES) > 10
    listed = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert Sandbox().filters.keys() - {"loopable", "searched"} <= listed  # what the sandbox puts in by itself
    assert all(f"\\|{name}" in PAGE for name in FILTERS_OF_OURS)
    assert template_values(event({}), EVERYTHING).keys() <= listed
    for module in (placeholders, _placeholders):
        for name, aliases in vars(module).items():
            if name.isupper() and not name.startswith("_") and isinstance(aliases, tuple) and name != "NONE":
                known = {f"{alias}_title" if name == "EXTRAS" else alias for alias in aliases}
                assert known <= listed, name
