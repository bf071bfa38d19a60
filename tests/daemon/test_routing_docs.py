"""docs/routing.md: what it says of each example is so."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from daemon.condition import Condition
from daemon.routing import parse_filter
from tests.events import event

TEXT = (Path(__file__).parents[2] / "docs" / "routing.md").read_text()
PURCHASE = json.loads(re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0])
EXAMPLES = [
    (condition.replace("\\|", "|"), answer == "yes")
    for condition, answer in re.findall(r"^\| `(.+)` \| (yes|no) \|$", TEXT, re.MULTILINE)
]


@pytest.mark.parametrize(("condition", "wanted"), EXAMPLES)
def test_each_example_of_the_docs_does_as_they_say(condition: str, wanted: bool) -> None:
    decision = Condition(condition).decide(event(PURCHASE))
    assert (decision.wanted, decision.is_doubtful) == (wanted, False)


def test_there_are_examples_and_the_table_in_toml_is_understood() -> None:
    assert len(EXAMPLES) == TEXT.count("| yes |") + TEXT.count("| no |") > 15
    (table,) = tomllib.loads(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0])["sinks"].values()
    assert parse_filter(table["events"]).matches("purchase")
    assert Condition(table["where"]).decide(event(PURCHASE)).wanted
    shown = Condition(table["where"]).decide(event({"final_price": "3.00"})).explanation
    assert f'matches "purchase", {shown}' in TEXT
