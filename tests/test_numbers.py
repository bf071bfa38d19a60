"""Every promise, crash window and fault that reliability is made of is named by a test, or by a reason why not yet.

What the numbers mean is listed in `docs/reliability.md`.
"""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
LIST = TESTS.parent / "docs" / "reliability.md"
NAME = re.compile(r"(?<![A-Za-z0-9])([IWF])([1-9][0-9]?)(?:(?:-| to )(?:\1)?([1-9][0-9]?))?(?![A-Za-z0-9])")

NOT_YET = {
    "I21": "there is no restore command yet",
    "F21": "there is no backup or restore command yet",
    "F22": "needs PostgreSQL, which is not offered yet",
    "F23": "needs PostgreSQL, which is not offered yet",
    "F24": "several instances need PostgreSQL, which is not offered yet",
    "F25": "several instances need PostgreSQL, which is not offered yet",
    "F26": "several instances need PostgreSQL, which is not offered yet",
}


def numbers_in(text: str) -> set[str]:
    """The numbers that a text names; `F29-F31` names three."""
    found = set()
    for letter, first, last in NAME.findall(text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def named_by_tests() -> set[str]:
    """What the names and docstrings of tests and their modules say they prove."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path == Path(__file__):
            continue
        tree = ast.parse(path.read_text())
        found |= numbers_in(ast.get_docstring(tree) or "")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                in_name = re.findall(r"_([iwf][1-9][0-9]?)(?=_)", node.name)
                found |= {number.upper() for number in in_name} | numbers_in(ast.get_docstring(node) or "")
    return found


def listed() -> set[str]:
    return set(re.findall(r"^\| ([IWF][0-9]+) \|", LIST.read_text(), re.MULTILINE))


def test_every_number_is_named_by_a_test_or_has_a_reason() -> None:
    assert len(listed()) == 21 + 11 + 56
    silent = listed() - named_by_tests() - NOT_YET.keys()
    assert not silent, f"no test names {sorted(silent)}"


def test_what_has_a_reason_not_to_be_tested_is_not_tested() -> None:
    assert NOT_YET.keys() <= listed()
    assert not NOT_YET.keys() & named_by_tests()


def test_no_test_names_a_number_that_means_nothing() -> None:
    assert not named_by_tests() - listed()


def test_ranges_and_lists_are_understood() -> None:
    assert numbers_in("F29-F31, I5 and (W1 to W3); not MF3, F3x") == {"F29", "F30", "F31", "I5", "W1", "W2", "W3"}
