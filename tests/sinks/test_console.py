import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path
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


_STUCK = """
import asyncio, sys
from pathlib import Path
from daemon.http import Http
from sinks.console import ConsoleSink
from sinks.file import FileSink
from tests.events import delivery, event

async def main():
    console = ConsoleSink(ConsoleSink.Settings(format="json"), Http())
    file = FileSink(FileSink.Settings(path=Path(sys.argv[1])), Http())
    for number in range(8):
        try:
            async with asyncio.timeout(0.1):
                report = await console.deliver(delivery(event({"message": "x" * 1_000_000}), number=number))
                print(report.outcome.reason, file=sys.stderr)
        except TimeoutError:
            pass
        await file.deliver(delivery(number=number))
    await console.close()
    await file.close()

asyncio.run(main())
print("ended", file=sys.stderr)
"""


def test_f51_an_output_that_nobody_reads_holds_up_neither_other_sinks_nor_the_end_of_the_process(
    tmp_path: Path,
) -> None:
    reading, writing = os.pipe()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _STUCK, str(tmp_path / "events.jsonl")],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "ended\n")
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 8


def test_f10_a_process_without_an_output_tries_later() -> None:
    code = (
        "import asyncio, sys; from daemon.http import Http; from sinks.console import ConsoleSink;"
        "from tests.events import delivery; sink = ConsoleSink(ConsoleSink.Settings(), Http());"
        "print(asyncio.run(sink.deliver(delivery())).outcome.reason, file=sys.stderr)"
    )
    shell = f'exec "{sys.executable}" -c "$1" >&-'
    ended = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", code],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert ended.stderr == "the standard output takes no more\n"


def test_a_pipe_gets_all_of_a_long_event() -> None:
    code = (
        "import asyncio; from daemon.http import Http; from sinks.console import ConsoleSink;"
        "from tests.events import delivery, event; sink = ConsoleSink(ConsoleSink.Settings(format='json'), Http());"
        "asyncio.run(sink.deliver(delivery(event({'message': 'x' * 3_000_000}))))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert json.loads(ended.stdout)["data"]["message"] == "x" * 3_000_000
