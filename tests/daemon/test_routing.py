"""Event filters: words, globs, exclusions."""

import pytest

from daemon.routing import parse_filter


@pytest.mark.parametrize(
    ("patterns", "kind", "wanted"),
    [
        ((), "anything at all", True),
        (("purchase",), "purchase", True),
        (("purchase",), "resource_purchase_completed", True),
        (("purchase",), "Resource Purchase", True),
        (("PURCHASE",), "resourcePurchase", True),
        (("purchase",), "review", False),
        (("review*",), "review_created", True),
        (("review*",), "REVIEW_CREATED", True),
        (("review*",), "new_review", False),
        (("*review",), "new_review", True),
        (("*review",), "new_review\n", False),
        (("r?view",), "review", True),
        (("r?view",), "rview", False),
        (("[rp]*",), "purchase", True),
        (("[!rp]*",), "purchase", False),
        (("a.b",), "axb", False),
        (("purchase", "review"), "review", True),
        (("!test",), "purchase", True),
        (("!test",), "purchase_test", False),
        (("!test*",), "purchase_test", True),
        (("purchase", "!test"), "purchase_test", False),
        (("!test", "purchase"), "purchase_test", False),
        (("purchase", "!test"), "review", False),
        (("!*",), "purchase", False),
        ((" purchase ", "! test "), "purchase", True),
        (("STRASSE",), "straße", True),
    ],
)
def test_a_filter_decides_by_words_globs_and_exclusions(patterns: tuple[str, ...], kind: str, wanted: bool) -> None:
    assert parse_filter(patterns).matches(kind) is wanted


@pytest.mark.parametrize(
    ("patterns", "kind", "why"),
    [
        ((), "x", "no filter: every event"),
        (("purchase", "pur*"), "Purchase", 'matches "purchase"'),
        (("Pur*",), "purchase", 'matches "Pur*"'),
        (("purchase", "!*test"), "purchase_test", 'excluded by "!*test"'),
        (("purchase",), "review", "matches no pattern"),
        (("!a", "!b"), "review", "not excluded by any pattern"),
    ],
)
def test_a_filter_names_what_decided(patterns: tuple[str, ...], kind: str, why: str) -> None:
    assert parse_filter(patterns).decide(kind)[1] == why


@pytest.mark.parametrize(
    ("patterns", "complaint"),
    [
        (("purchase", ""), "pattern 2 is empty"),
        (("  ",), "pattern 1 is empty"),
        (("!",), 'pattern 1 has nothing after its "!"'),
        (("[ab",), 'pattern 1 has a "[" without its "]"'),
        (("![]",), 'pattern 1 has a "[" without its "]"'),
        (("a\nb",), "pattern 1 holds a line break"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_named_by_its_number(patterns: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match="pattern") as caught:
        parse_filter(patterns)
    assert complaint in str(caught.value)
