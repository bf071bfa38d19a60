"""The made-up events look like a shop's, and the same seed makes the same shop."""

import json
from collections import Counter

import pytest

from daemon.simulator.samples import KINDS, Kind, Samples


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    def shop(seed: int) -> str:
        samples = Samples(seed)
        return json.dumps([samples.make(samples.any_kind(), "known", 1_700_000_000) for _ in range(20)])

    assert shop(1) == shop(1)
    assert shop(1) != shop(2)


def test_most_events_are_purchases_and_every_kind_comes_up() -> None:
    samples = Samples(1)
    kinds = Counter(samples.any_kind() for _ in range(500))
    assert set(kinds) == set(KINDS)
    assert kinds.most_common(1)[0][0] == "purchase"


def test_a_known_purchase_has_the_placeholders_seen_in_production_all_as_text() -> None:
    trigger, data = Samples(1).make("purchase", "known", 1_700_000_000)
    assert trigger == "purchase"
    assert data.keys() == {
        "user_id", "username", "user_url", "resource_id", "resource_title", "resource_url", "addon_id", "addon_title",
        "bundle_id", "bundle_title", "renewal", "list_price", "final_price", "purchase_date",
    }  # fmt: skip
    assert all(value is None or isinstance(value, str) for value in data.values())
    assert data["purchase_date"] == "1700000000"


@pytest.mark.parametrize("kind", KINDS)
def test_the_guessed_names_differ_and_hold_more_than_text(kind: Kind) -> None:
    known, guessed = Samples(1).make(kind, "known", 0), Samples(1).make(kind, "guessed", 0)
    assert known[0] != guessed[0]
    assert known[1].keys() != guessed[1].keys()
    assert json.loads(json.dumps(guessed[1])) == guessed[1]
    if kind not in ("update", "unknown"):
        assert any(not isinstance(value, str | None) for value in guessed[1].values())
