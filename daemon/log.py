"""How a log line looks and where it goes: one stream, one line per event, no secret, never in the way.

House rule: an event is named in the past and with dots (`delivery.settled`), what it is about goes
into keys. A key cannot be called `event`, since that is the name of the first argument: use `event_key`.
"""

import contextlib
import json
import logging
import math
import os
import queue
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from daemon.redaction import MASK, redact

_OURS = "eventferry"
"""Parent of all our loggers. Other people's stay at WARNING: httpx logs URLs at INFO."""
LONGEST_VALUE = 256
"""Characters; what is longer is cut off."""
MOST_DOUBTS = 100
"""So many reasons for one and the same warning are logged until a restart."""
_LONGEST_TRACEBACK = 16 * 1024
_MOST_ITEMS, _DEEPEST = 50, 4
_MOST_WAITING = 2000
"""Lines. Beyond, a stuck reader costs lines instead of memory."""
_LONGEST_FLUSH = 2.0
"""Seconds that the end of the process waits for a stuck reader."""
_DISCORD = re.compile(r"(/api/(?:v\d+/)?webhooks/\d+/)[\w-]+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_KEY = re.compile(r"(?:^|_)(?:url|token|secret|password|authorization)$", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

_PREPARE: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def get(name: str) -> FilteringBoundLogger:
    """Make a logger; each module has one, named `__name__`."""
    return cast(FilteringBoundLogger, structlog.stdlib.get_logger(f"{_OURS}.{name}"))


def configure(level: str, log_format: Literal["auto", "json", "console"], stream: TextIO | None = None) -> None:
    """Send what is logged from now on to `stream` (stderr), through a thread of its own.

    `auto` is console on a terminal and JSON elsewhere; `level` is debug, info, warning or error.
    Until this is called nothing is logged.
    """
    shutdown()
    target = stream or sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - stderr can be closed, then None
    on_terminal = not target.closed and target.isatty()
    as_console = log_format == "console" or (log_format == "auto" and on_terminal)
    number = logging.getLevelNamesMapping()[level.upper()]
    _bridge(number, cache=True)
    handler = _Handler(target)
    handler.setFormatter(_formatter(as_console, colors=on_terminal))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger(_OURS).setLevel(number)
    logging.captureWarnings(True)


def is_first(doubt: str, doubts: set[str]) -> bool:
    """Whether a warning that each event could repeat has this reason for the first time; `doubts` remembers those."""
    if doubt in doubts or len(doubts) >= MOST_DOUBTS:
        return False
    doubts.add(doubt)
    return True


def shutdown() -> None:
    """Write out what still waits (a stuck reader is waited for 2 s), then log nothing more."""
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
        handler.close()


def scrub(text: str) -> str:
    """Replace known secrets, Discord webhook tokens and what stands before the "@" of a URL."""
    return _USERINFO.sub(f"{MASK}@", _DISCORD.sub(rf"\1{MASK}", redact(text)))


def printable(text: str) -> str:
    """Spell out what could break or disguise a line: control characters, line ends, bidi marks."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _bridge(level: int, *, cache: bool) -> None:
    structlog.configure(
        processors=[*_PREPARE, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=cache,
    )


def _formatter(as_console: bool, *, colors: bool) -> ProcessorFormatter:
    render: Processor = (
        structlog.dev.ConsoleRenderer(colors=colors)
        if as_console
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    return ProcessorFormatter(
        foreign_pre_chain=_PREPARE,
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _clean_for_console if as_console else _clean,
            render,
        ],
    )


def _clean(logger: Any, method: str, values: EventDict) -> EventDict:
    """Order the keys; make every value safe, short and writable."""
    ordered = {key: values.pop(key) for key in ("timestamp", "level", "event", "logger") if key in values}
    ordered["logger"] = str(ordered.get("logger", "")).removeprefix(f"{_OURS}.")
    tracebacks = {key: values.pop(key) for key in ("exception", "stack") if key in values}
    clean = cast(dict[str, Any], _safe(ordered | dict(values)))
    return clean | {key: scrub(str(text))[-_LONGEST_TRACEBACK:] for key, text in tracebacks.items()}


def _clean_for_console(logger: Any, method: str, values: EventDict) -> EventDict:
    """As _clean, with nothing that could move a terminal's cursor and only the end of a traceback."""
    clean = _clean(logger, method, values)
    for key in ("exception", "stack"):
        if key in clean:
            clean[f"{key}_end"] = clean.pop(key)[-LONGEST_VALUE:]
    return cast(EventDict, _each_text(clean))


def _each_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(key): _each_text(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_each_text(entry) for entry in value]
    return printable(value) if isinstance(value, str) else value


def _safe(value: Any, key: str = "", depth: int = 0) -> Any:
    """Turn anything into plain, short data without secrets."""
    match value:
        case None | bool() | int():
            return value
        case str() | bytes() if _SECRET_KEY.search(key):
            return MASK
        case float() if math.isfinite(value):
            return value
        case Mapping() if depth < _DEEPEST:
            entries = list(value.items())[:_MOST_ITEMS]
            return {_short(str(name)): _safe(entry, str(name), depth + 1) for name, entry in entries}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            return [_safe(entry, key, depth + 1) for entry in list(value)[:_MOST_ITEMS]]
        case _:
            return _short(str(value))


def _short(text: str) -> str:
    scrubbed = scrub(text)
    return scrubbed if len(scrubbed) <= LONGEST_VALUE else scrubbed[: LONGEST_VALUE - 1] + "…"


def _json(values: Any, **options: Any) -> str:
    # json escapes all that _UNPRINTABLE lists except DEL.
    return json.dumps(values, **options).replace("\x7f", "\\u007f")


class _Handler(logging.Handler):
    """Renders where the event happens and writes elsewhere, so that a full pipe stops nobody."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """Not a Queue: a signal handler that logs may interrupt a put."""
        self._refused = 0
        self._unwritten = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Render and enqueue; never raises, never waits."""
        if self._lines.qsize() >= _MOST_WAITING:
            self._refused += 1
            return
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a value that cannot be printed must not stop its owner
            line = json.dumps(
                {"event": "log.unprintable", "logger": printable(record.name), "error": type(error).__name__}
            )
        self._lines.put(line)

    def close(self) -> None:
        """Write what waits, for at most two seconds."""
        self._lines.put(None)
        self._thread.join(_LONGEST_FLUSH)
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if not self._write(line):
                self._unwritten += 1
            elif self._lines.qsize() <= _MOST_WAITING // 2:
                self._report_lost()

    def _report_lost(self) -> None:
        lost = self._refused + self._unwritten - self._reported
        if lost:
            self._reported += lost
            get(__name__).warning("log.lost", lines=lost)

    def _write(self, line: str) -> bool:
        """Write one line; False where the stream is closed, full or gone."""
        data = (line + "\n").encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError, ValueError):
            try:
                number = self._stream.fileno()
            except OSError:  # an in-memory stream
                self._stream.write(data.decode())
                return True
            # Past the stream's own lock: a thread stuck in it would stop the interpreter from ending.
            while data:
                data = data[os.write(number, data) :]
            return True
        return False


# Before `configure` nothing is written, rather than unscrubbed to stderr, which is what logging does by default.
_bridge(logging.DEBUG, cache=False)
logging.getLogger().addHandler(logging.NullHandler())
