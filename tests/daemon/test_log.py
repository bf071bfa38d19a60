"""Log lines: one stream, one line per event, no secret, and never in the way."""

import contextlib
import io
import json
import logging
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from daemon import log
from daemon.redaction import remember

CANARY = "canary-3f9a77c1-token"
remember(CANARY)
DISCORD = "https://discord.com/api/v10/webhooks/123456789/AbC-dEf_0123456789"
HOSTILE = [
    "a\nb", "a\r\nb", "\x1b[2J\x1b[31mred", "\x07", "\x00", "\x7f", "\x85", "\x9b31m", "\u2028x", "\u2029", "\u202etxt",
    "\u2066x\u2069", "\u200b", "\ufeff", "\ud800", '{"event": "forged"}', '", "event": "forged', "\\n", "x" * 100_000,
    "%s %d %(x)s {0}", "\x0b\x0c\x1c\x1d\x1e",
]  # fmt: skip
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@contextlib.contextmanager
def logging_to(
    stream: Any, level: str = "info", log_format: Literal["auto", "json", "console"] = "json"
) -> Iterator[structlog.typing.FilteringBoundLogger]:
    root = logging.getLogger()
    others = [handler for handler in root.handlers if type(handler) is not logging.NullHandler]
    for handler in others:  # pytest's own, which raise what ours must survive
        root.removeHandler(handler)
    log.configure(level, log_format, stream)
    try:
        yield log.get("daemon.some.module")
    finally:
        log.shutdown()
        for handler in others:
            root.addHandler(handler)


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_keys() -> None:
    stream = io.StringIO()
    with logging_to(stream) as logger, structlog.contextvars.bound_contextvars(source="bbb"):
        logger.info("delivery.settled", sink="sales", attempt=2, took=0.5, ok=True, nothing=None, many=[1, "a"])
    (line,) = written(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info", "event": "delivery.settled", "logger": "daemon.some.module", "source": "bbb", "sink": "sales",
        "attempt": 2, "took": 0.5, "ok": True, "nothing": None, "many": [1, "a"],
    }  # fmt: skip


def test_only_what_reaches_the_level_is_written() -> None:
    stream = io.StringIO()
    with logging_to(stream, "warning") as logger:
        logger.debug("a.b")
        logger.info("a.b")
        logger.warning("c.d")
    assert [line["event"] for line in written(stream)] == ["c.d"]
    stream = io.StringIO()
    with logging_to(stream, "debug") as logger:
        logger.debug("a.b")
    assert [line["event"] for line in written(stream)] == ["a.b"]


@pytest.mark.parametrize(
    "name", ["httpx", "httpcore", "apscheduler.executors.default", "alembic", "uvicorn", "asyncio"]
)
def test_other_peoples_loggers_come_out_alike_but_only_from_warning_on(name: str) -> None:
    stream = io.StringIO()
    with logging_to(stream, "debug"):
        logging.getLogger(name).info("HTTP Request: POST %s", DISCORD)
        logging.getLogger(name).warning("cannot reach %s", DISCORD)
    (line,) = written(stream)
    assert line["logger"] == name
    assert line["level"] == "warning"
    assert line["event"] == "cannot reach https://discord.com/api/v10/webhooks/123456789/***"


def test_a_warning_of_python_is_logged() -> None:
    stream = io.StringIO()
    with warnings.catch_warnings(), logging_to(stream):
        warnings.simplefilter("always")
        warnings.warn("old\nthing", stacklevel=1)
    assert "old\nthing" in written(stream)[0]["event"]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_makes_one_printable_line(log_format: Literal["json", "console"], hostile: str) -> None:
    stream = io.StringIO()
    with logging_to(stream, log_format=log_format) as logger:
        logger.warning(hostile, **{"key": hostile, "nested": {hostile: [hostile]}, "odd" + hostile[:20]: 1})
        logging.getLogger("foreign").warning(hostile.replace("%", "%%"))
        try:
            raise ValueError(hostile)
        except ValueError:
            logger.exception("round.failed")
    text = stream.getvalue()
    assert text.count("\n") == 3
    assert not UNPRINTABLE.search(text)
    assert len(text) < 20_000
    if log_format == "json":
        assert [sorted(line)[:2] for line in written(stream)][1:] == [["event", "level"], ["event", "exception"]]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_is_written_in_no_form(log_format: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    with logging_to(stream, "debug", log_format) as logger:
        logger.info(CANARY, value=CANARY, many=[{"deep": (CANARY,)}], error=RuntimeError(CANARY), **{CANARY: 1})
        logger.info(
            "x.y", url="https://plain.example/0123", api_token="0123", password=b"0123", nested={"Secret": "0123"}
        )
        logger.info("x.y", text=f"to {DISCORD}?wait=true and http://user:0123@host/ and mail me@example.com")
        logger.info("x.y", cut="x" * 250 + CANARY)
        logging.getLogger("foreign").error("a %s", CANARY)
        try:
            raise ValueError(f"for {DISCORD} with {CANARY}")
        except ValueError as error:
            logger.exception("round.failed", error=error)
            logging.getLogger("foreign").exception("also")
    text = stream.getvalue()
    assert text.count("\n") == 7
    assert "canary-3f" not in text
    assert "0123" not in text
    assert "me@example.com" in text
    assert "http://***@host/" in text


def test_a_long_value_is_cut_and_a_traceback_is_not() -> None:
    stream = io.StringIO()
    with logging_to(stream) as logger:
        logger.info("x.y", long="x" * 1000, deep={"a": {"b": {"c": {"d": {"e": "x" * 1000}}}}}, many=list(range(1000)))
        try:
            raise ValueError("y" * 1000)
        except ValueError:
            logger.exception("round.failed")
    first, second = written(stream)
    assert first["long"] == "x" * 255 + "…"
    assert len(json.dumps(first["deep"])) < 400
    assert len(first["many"]) == 50
    assert "y" * 1000 in second["exception"]
    assert second["exception"].startswith("Traceback")


def test_the_console_shows_the_end_of_a_traceback_on_the_same_line() -> None:
    stream = io.StringIO()
    with logging_to(stream, log_format="console") as logger:
        try:
            raise ValueError("the reason")
        except ValueError:
            logger.exception("round.failed")
    assert re.fullmatch(r"\S+ \[error\s*\] round\.failed .*the reason'\n", stream.getvalue())


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_a_value_that_cannot_be_printed_stops_nobody() -> None:
    stream = io.StringIO()
    with logging_to(stream) as logger:
        logger.info("x.y", value=Unprintable(), number=float("nan"))
        logger.info("x.z", number=float("inf"))
        logging.getLogger("foreign").warning("%d", "text")
    assert [line["event"] for line in written(stream)] == ["log.unprintable", "x.z", "log.unprintable"]


def test_auto_is_json_in_a_pipe_and_colours_on_a_terminal() -> None:
    stream = io.StringIO()
    with logging_to(stream, log_format="auto") as logger:
        logger.info("x.y")
    assert written(stream)
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as screen, logging_to(screen, log_format="auto") as logger:
        logger.info("x.y")
    shown = os.read(controller, 10_000).decode()
    os.close(controller)
    assert "\x1b[" in shown
    assert not shown.startswith("{")


def test_a_closed_stream_stops_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    with logging_to(stream) as logger:
        logger.info("x.y")
    with Path(os.devnull).open("w") as file:
        log.configure("info", "json", file)
    log.get("x").info("x.y")
    log.shutdown()


def test_a_closed_pipe_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, logging_to(pipe) as logger:
        logger.info("x.y")


def test_a_full_disk_stops_nobody() -> None:
    with Path("/dev/full").open("w") as full, logging_to(full) as logger:
        for _ in range(10):
            logger.info("x.y")


def test_a_process_without_stderr_works_all_the_same() -> None:
    script = "from daemon import log; log.configure('info', 'auto'); log.get('x').info('x.y'); log.shutdown(); print(5)"
    command = [sys.executable, "-X", "dev", "-c", script]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command], env=environ, stdout=subprocess.PIPE, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, b"5\n")


def test_what_waits_is_written_when_the_process_ends_without_a_word() -> None:
    script = "from daemon import log; log.configure('info', 'json'); [log.get('x').info('x.y') for _ in range(999)]"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environ, stderr=subprocess.PIPE, check=True, timeout=60)
    assert done.stderr.count(b"\n") == 999


def test_nothing_is_written_before_and_after(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    log.get("early").warning("x.y", value=CANARY)
    with logging_to(stream):
        pass
    log.shutdown()
    log.get("late").error("x.y", value=CANARY)
    logging.getLogger("late").error("x")
    assert stream.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_configuring_again_moves_to_the_new_stream() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.configure("info", "json", first)
    log.get("x").info("a.b")
    with logging_to(second) as logger:
        logger.info("c.d")
    assert [line["event"] for line in written(first)] == ["a.b"]
    assert [line["event"] for line in written(second)] == ["c.d"]


def test_a_stuck_reader_blocks_nobody_and_hears_later_how_much_it_missed() -> None:
    """F51."""
    reading, writing = os.pipe()
    pipe = os.fdopen(writing, "w")
    log.configure("info", "json", pipe)
    logger = log.get("x")
    total = 6000
    began = time.monotonic()
    for number in range(total):
        logger.info("x.y", number=number, filler="z" * 200)
    assert time.monotonic() - began < 10  # the pipe holds 64 KiB, and nobody has read yet

    seen = bytearray()
    reported = threading.Event()

    def drain() -> None:
        while chunk := os.read(reading, 65536):
            seen.extend(chunk)
            if b"log.lost" in seen:
                reported.set()

    reader = threading.Thread(target=drain)
    reader.start()
    deadline = time.monotonic() + 30
    while not reported.is_set() and time.monotonic() < deadline:  # what is lost is told once there is room again
        logger.info("x.z")
        reported.wait(0.05)
    log.shutdown()
    pipe.close()
    reader.join(10)
    os.close(reading)
    lines = [json.loads(line) for line in seen.splitlines()]
    numbers = [line["number"] for line in lines if line["event"] == "x.y"]
    lost = sum(line["lines"] for line in lines if line["event"] == "log.lost")
    assert numbers == sorted(numbers)
    assert lost > 0
    assert len([line for line in lines if line["event"] in ("x.y", "x.z")]) + lost >= total
    assert len(numbers) + lost >= total
    assert len(numbers) < total


def test_ending_waits_only_a_little_for_a_stuck_reader() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        log.configure("info", "json", pipe)
        for _ in range(1000):
            log.get("x").info("x.y", filler="z" * 250)
        began = time.monotonic()
        log.shutdown()
        assert time.monotonic() - began < 5
        while select.select([reading], [], [], 0.2)[0]:  # let its thread end
            os.read(reading, 65536)
    os.close(reading)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (DISCORD, "https://discord.com/api/v10/webhooks/123456789/***"),
        (
            "https://discordapp.com/api/webhooks/1/abc?thread_id=5",
            "https://discordapp.com/api/webhooks/1/***?thread_id=5",
        ),
        ("http://user:pass@host/x", "http://***@host/x"),
        ("smtp://me@host", "smtp://***@host"),
        ("mail me@host", "mail me@host"),
        (f"a {CANARY} b", "a *** b"),
    ],
)
def test_credentials_in_urls_are_known_by_their_form(text: str, clean: str) -> None:
    assert log.scrub(text) == clean


def test_a_printable_text_spells_out_what_a_terminal_would_obey() -> None:
    assert log.printable("a\n\x1b[0m\u202e\x85é✓") == "a\\n\\x1b[0m\\u202e\\x85é✓"
