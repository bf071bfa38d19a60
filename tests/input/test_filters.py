"""Patterns of a sink's `events` that somebody means badly, or nobody thought of: refused in a phrase, or quick."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon.routing import LONGEST_PATTERN, parse_filter
from tests.input.telling import GOOD, refused, written

SECONDS = 5.0
"""Of this process: ten thousand times what the slowest takes."""

REFUSED = {
    "nothing": (["a", ""], "pattern 2 is empty"),
    "blanks": ([" \t "], "pattern 1 is empty"),
    "an exclamation mark and blanks": (["!  "], 'pattern 1 has nothing after its "!"'),
    "a line end": (["purchase\nreview"], "pattern 1 holds a line break or another unprintable character"),
    "a NUL": (["*\0*"], "pattern 1 holds a line break or another unprintable character"),
    "a direction mark": (["\u202eesahcrup"], "pattern 1 holds a line break or another unprintable character"),
    "half a surrogate": (["\ud800"], "pattern 1 holds a line break or another unprintable character"),
    "a set without its end": (["[a-z"], 'pattern 1 has a "[" without its "]"'),
    "an empty set": (["a[]"], 'pattern 1 has a "[" without its "]"'),
    "too many letters": (["a" * (LONGEST_PATTERN + 1)], "pattern 1 has more than 500 characters"),
    "100 kB of brackets": (["[" * 100_000], "pattern 1 has more than 500 characters"),
    "100 kB of stars": (["*" * 100_000], "pattern 1 has more than 500 characters"),
    "letters that grow when folded": (["\u1e9e" * LONGEST_PATTERN], "pattern 1 has more than 500 characters"),
    "the 10,000th": (["a"] * 9_999 + ["!"], 'pattern 10000 has nothing after its "!"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pattern_that_cannot_be_used_is_refused_by_its_number(name: str) -> None:
    """I16: a phrase that holds nothing of the pattern."""
    patterns, words = REFUSED[name]
    began = time.process_time()
    with pytest.raises(ValueError, match=r"^pattern ") as caught:
        parse_filter(patterns)
    assert str(caught.value).startswith(words)
    assert str(caught.value).isprintable()
    assert time.process_time() - began < SECONDS


LONGEST_TRIGGER = "a" * 200
"""What a source hands on at most."""

QUICK: dict[str, tuple[Sequence[str], str, bool]] = {
    "stars between letters, to no avail": (["*a" * 200 + "*b"], LONGEST_TRIGGER, False),
    "stars and question marks": (["*?" * 200 + "b"], LONGEST_TRIGGER, False),
    "stars and sets": (["*[a-z]" * 80 + "b"], LONGEST_TRIGGER, False),
    "stars and sets that leave out": (["*[!b]" * 99 + "b"], LONGEST_TRIGGER, False),
    "stars alone": (["*" * LONGEST_PATTERN], LONGEST_TRIGGER, True),
    "more question marks than letters": (["?" * 201], LONGEST_TRIGGER, False),
    "what a regular expression would take apart": (["(a+)+$"], LONGEST_TRIGGER, False),
    "signs of regular expressions": (["a.c|^$+(?=x)\\d{2}"], "abc", False),
    "a set from back to front": (["[z-a]"], "m", False),
    "a set with brackets in it": (["[[]x]*"], "[x]y", True),
    "set operations of the future": (["[a--z]", "[a&&b]", "[a||b]", "[a~~b]"], "&", True),
    "a letter that folds to two": (["STRASSE"], "stra\N{LATIN SMALL LETTER SHARP S}e", True),
    "a dotted capital I": (["\u0130"], "\u0130", True),
    "an exclamation mark twice": (["!!a"], "a", True),
    "two that contradict": (["purchase", "!purchase"], "purchase", False),
    "10,000 words": ([f"word{number}" for number in range(10_000)], "word9999", True),
}


@pytest.mark.parametrize("name", QUICK)
def test_no_pattern_takes_long_to_decide(name: str) -> None:
    """F50: a filter runs in the loop for every event and sink."""
    patterns, kind, wanted = QUICK[name]
    began = time.process_time()
    chosen = parse_filter(patterns)
    assert chosen.matches(kind) is wanted
    assert chosen.decide(kind)[1]
    assert time.process_time() - began < SECONDS


def test_a_pattern_of_100_kb_in_a_config_is_one_line(tmp_path: Path) -> None:
    written(tmp_path, GOOD + f'events = ["purchase", "{"*a" * 50_000}"]\n')
    assert refused(tmp_path, "config", "show", code=78) == (
        "config.toml:15: sinks.archive.events: pattern 2 has more than 500 characters"
    )
