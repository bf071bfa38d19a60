import asyncio
import io
import json
import sys
from typing import Any

import pytest

from daemon.contract import Delivered, Delivery, Report, TryLater
from daemon.http import Http
from sinks.console import ConsoleSink
from tests.events import HOSTILE, delivery, event


def show(of: Delivery | None = None, **values: Any) -> Report:
    sink = ConsoleSink(ConsoleSink.Settings.model_validate(values), Http())
    return asyncio.run(sink.deliver(of or delivery()))


def test_an_event_takes_a_few_readable_lines(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"resource_title": "Sky", "resource_url": "https://builtbybit.com/r/1", "username": "Ann", "message": "a\nb"}
    report = show(delivery(event(data)))
    expected = "2026-03-04 05:06:07Z  New purchase: Sky\n    a\n    b\n    Buyer: Ann\n    https://builtbybit.com/r/1"
    assert capsys.readouterr().out == expected + "\n"
    assert report == Report(Delivered("printed"), expected.encode())


def test_json_is_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    show(format="json")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["delivery_id"] == "builtbybit-1-sales"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_event_can_play_tricks_on_the_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(delivery(event(HOSTILE[name])))
    printed = capsys.readouterr().out
    assert all(c == "\n" or c.isprintable() or c in "\u3000" for c in printed)
    assert len(printed) < 60_000
    assert all(line.startswith("    ") for line in printed.splitlines()[1:] if line)


def test_a_terminal_that_knows_only_ascii_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert isinstance(show(delivery(event({"resource_title": "Größe"}))).outcome, Delivered)
    assert b"Gr\\xf6\\xdfe" in raw.getvalue()


@pytest.mark.parametrize("output", ["closed", "full"])
def test_an_output_that_takes_no_more_is_tried_later(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    stream = Full() if output == "full" else io.StringIO()
    if output == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    assert show().outcome == TryLater("the standard output takes no more")


def test_many_fields_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show(delivery(event({f"n{number}": "v" for number in range(50)})))
    assert capsys.readouterr().out.endswith("    … 20 more\n")
