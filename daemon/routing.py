"""Which events a sink wants, and why: by their trigger, then by what they hold."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.condition import Condition, Decision
from daemon.contract import Event

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
        return self.decide(kind)[0]

    def decide(self, kind: str) -> tuple[bool, str]:
        """The same, and in one phrase what decided."""
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A sink's `events` and `where` together."""

    filter: Filter
    where: Condition | None = None

    def decide(self, event: Event) -> Decision:
        """Whether the event goes to the sink, and what decided."""
        wanted, why = self.filter.decide(event.kind)
        if not wanted or self.where is None:
            return Decision(wanted, why)
        met = self.where.decide(event)
        return met._replace(explanation=f"{why if self.filter.patterns else 'any trigger'}, {met.explanation}")


def parse_rule(patterns: Sequence[str] | None, where: Condition | None) -> Rule:
    """Understand both keys of a sink; either may be left out. Raises ValueError."""
    return Rule(parse_filter(patterns or ()), where)


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
