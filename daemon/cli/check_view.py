"""The result of a check, as `check` prints it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daemon.app.check import Finding, Verdict, exit_code
from daemon.cli.text import Colour, line, painted

_COLOURS: dict[Verdict, Colour] = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "bright_black"}


def lines(findings: Sequence[Finding]) -> list[str]:
    """One line for each finding: the phase, the verdict, what was found."""
    return [
        f"{finding.phase:<9}  {painted(f'{finding.verdict:<7}', _COLOURS[finding.verdict])}  {line(finding.text)}"
        for finding in findings
    ]


def document(config: Path | None, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for machines."""
    code = exit_code(findings)
    return {
        "config": None if config is None else str(config),
        "ok": code == 0,
        "exit_code": code,
        "findings": [asdict(finding) for finding in findings],
    }
