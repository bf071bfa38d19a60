"""What is made of the measurements: percentiles, ratios, and a table with the targets beside."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One result; `target` is what it should reach."""

    what: str
    value: float
    unit: str
    kind: Literal["at least", "at most", "more than"] = "at most"
    target: float | None = None

    @property
    def verdict(self) -> str:
        """In words, empty where there is no target."""
        if self.target is None:
            return ""
        met = {
            "at least": self.value >= self.target,
            "at most": self.value <= self.target,
            "more than": self.value > self.target,
        }
        return "met" if met[self.kind] else "NOT MET"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed (nearest rank)."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def plain(value: float) -> str:
    """Three significant digits are all that a noisy machine supports."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """As lines of Markdown, which reads well on a terminal too."""
    rows = [("figure", "value", "target", "")]
    for each in figures:
        target = "" if each.target is None else f"{each.kind} {plain(each.target)}"
        rows.append((each.what, f"{plain(each.value)} {each.unit}".strip(), target, each.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rows.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3]))
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
