"""Which events a sink wants, and why."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_PATTERN = 500
"""Characters: far more than any trigger has, and few enough to be understood at once."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    """As the config spells it, with its "!"."""
    excludes: bool
    expression: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """A sink's `events`, understood."""

    patterns: tuple[_Pattern, ...]

    def matches(self, kind: str) -> bool:
        """Whether an event with this trigger goes to the sink."""
        return self._decide(kind)[0]

    def explain(self, kind: str) -> str:
        """Name, in one phrase, what decided about this trigger."""
        return self._decide(kind)[1]

    def _decide(self, kind: str) -> tuple[bool, str]:
        folded = kind.casefold()
        hits = [pattern for pattern in self.patterns if pattern.expression.search(folded)]
        for pattern in hits:
            if pattern.excludes:
                return False, f'excluded by "{pattern.text}"'
        if hits:
            return True, f'matches "{hits[0].text}"'
        if not self.patterns:
            return True, "no filter: every event"
        if all(pattern.excludes for pattern in self.patterns):
            return True, "not excluded by any pattern"
        return False, "matches no pattern"


def parse_filter(patterns: Sequence[str]) -> Filter:
    """Understand a sink's `events`; none at all stands for every event.

    A plain word matches any trigger that contains it, one with `*`, `?` or `[…]` is a glob over the
    whole trigger, a leading `!` excludes and wins; letter case never counts.
    Raises ValueError with the number of the pattern that cannot be used.
    """
    return Filter(tuple(_parse(text, number) for number, text in enumerate(patterns, start=1)))


def _parse(text: str, number: int) -> _Pattern:
    written = text.strip()
    excludes = written.startswith("!")
    wanted = written.removeprefix("!").strip().casefold()
    if not wanted:
        raise ValueError(
            f'pattern {number} has nothing after its "!"; name what to exclude, such as "!test*"'
            if excludes
            else f'pattern {number} is empty; write a word such as "purchase", or leave the key out for every event'
        )
    if len(wanted) > LONGEST_PATTERN:
        raise ValueError(f"pattern {number} has more than {LONGEST_PATTERN} characters")
    if not wanted.isprintable():
        raise ValueError(f"pattern {number} holds a line break or another unprintable character")
    if "[" in wanted and not re.search(r"\[!?[^]]+\]", wanted):
        raise ValueError(f'pattern {number} has a "[" without its "]"')
    if any(mark in wanted for mark in "*?["):
        # fnmatch anchors only the end.
        return _Pattern(written, excludes, re.compile(r"\A" + fnmatch.translate(wanted)))
    return _Pattern(written, excludes, re.compile(re.escape(wanted)))
