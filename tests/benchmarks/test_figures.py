import math

import pytest

from benchmarks.figures import Figure, percentile, plain, table


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.99, 7),
        ([3.0, 1.0, 2.0], 0.5, 2),
        ([*range(1, 101)], 0.99, 99),
        ([*range(1, 201)], 0.99, 198),
        ([*range(1, 51)], 0.99, 50),
        ([4.0, 5.0], 0.0, 4),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (99.96, "100.0"),
        (12.34, "12.3"),
        (1.0, "1.00"),
        (0.0204, "0.0204"),
        (-2.5, "-2.50"),
    ],
)
def test_a_value_is_shown_with_three_digits(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("x", 50, "ms", "at most", 50), "met"),
        (Figure("x", 50.1, "ms", "at most", 50), "NOT MET"),
        (Figure("x", 3, "", "at least", 3), "met"),
        (Figure("x", 2.9, "", "at least", 3), "NOT MET"),
        (Figure("x", 0.33, "", "more than", 0.33), "NOT MET"),
        (Figure("x", 0.34, "", "more than", 0.33), "met"),
        (Figure("x", math.nan, "", "at most", 1), "NOT MET"),
        (Figure("x", 1, ""), ""),
    ],
)
def test_a_figure_says_whether_it_reached_its_target(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict


def test_the_table_has_a_line_for_each_figure_and_its_columns_line_up() -> None:
    lines = list(table([Figure("a start", 0.7, "s", "at most", 1.5), Figure("a long name", 12_345, "events/s")]))
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert "| 0.700 s " in lines[2]
    assert "| at most 1.50 | met |" in lines[2]
