"""Says whether `run` would start, by the code that `run` starts with, and names all that is wrong."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from daemon.app.build import BuiltSink, build_sinks, build_sources, load_settings, people_of
from daemon.app.check_templates import unfilled, unrendered
from daemon.app.samples import SAMPLES
from daemon.clock import wall_now
from daemon.contract import Access, Sink, Source, SourceThrottled, Unreachable
from daemon.people import PeopleSettings
from daemon.rounds.report import next_report
from daemon.settings import ConfigError, Loaded
from daemon.store import Store, StoreInUse, StoreRefused
from daemon.store.place import require_usable_place
from sinks._url import is_in_clear
from sinks.webhook import WebhookSink

Phase = Literal["syntax", "secrets", "templates", "database", "connect"]
Verdict = Literal["ok", "warning", "error", "skipped"]

SERVICE_FOLDER = Path("/var/lib/eventferry")
"""What systemd makes when the service first starts: systemd/eventferry.service."""
CONNECT_SECONDS = 60.0
CONFIG_WRONG, FORBIDDEN, UNREACHABLE = 78, 77, 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result."""

    phase: Phase
    verdict: Verdict
    text: str
    about: str = ""
    """The key, sink or source meant; empty for a phase as a whole."""
    line: int | None = None
    """In the config file."""
    exit_code: int = 0
    """What the check ends with for this, unless something before it decides."""


async def check(config: Path | None, environ: Mapping[str, str], *, connect: bool) -> list[Finding]:
    """Look at everything; `connect` reaches sources and sinks too, sending and completing nothing."""
    try:
        loaded = load_settings(config, environ)
        sinks = build_sinks(loaded)
    except ConfigError as error:
        return list(_mistakes(error))
    misnamed = await _misnamed(loaded, sinks)
    store = Store(loaded.database, wall_now)
    database = await _database(store)
    templates = _templates(loaded, sinks, await _placeholders(store))
    findings = [*_config(loaded), *misnamed.values(), *templates, database]
    if connect:
        sources = build_sources(loaded, _Gates(store), wall_now)
        usable = {name: built.sink for name, built in sinks.items() if name not in misnamed}
        findings += await _connect({**sources, **usable})
    await store.database.close()
    return findings


def exit_code(findings: Sequence[Finding]) -> int:
    """What a check with these findings ends with."""
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _mistakes(error: ConfigError) -> Iterator[Finding]:
    for phase in ("syntax", "secrets", "templates"):
        for problem in error.problems:
            if problem.phase == phase:
                text = problem.text(error.path)
                yield Finding(problem.phase, "error", text, problem.where, problem.line, CONFIG_WRONG)
    yield Finding("database", "skipped", "looked at when the config is right")


def _config(loaded: Loaded) -> Iterator[Finding]:
    settings = loaded.settings
    parts = f"{len(settings.sources)} source(s), {len(settings.sinks)} sink(s)"
    yield Finding("syntax", "ok", f"{loaded.path or 'the environment'}: {parts}")
    yield from (Finding("syntax", "warning", warning) for warning in loaded.warnings)
    for name, sink in settings.sinks.items():
        if isinstance(sink, WebhookSink.Settings) and is_in_clear(sink.url.reveal()):
            text = f"sinks.{name}.url: plain http over the internet: all on the way can read what is sent; use https"
            yield Finding("syntax", "warning", text, f"sinks.{name}.url")
    for name, people in people_of(loaded).items():
        if people.digest:
            due = people.digest.next(wall_now(), people.zone).astimezone(people.zone)
            yield Finding("syntax", "ok", f"{name}: next digest {due:%a %Y-%m-%d %H:%M %Z}", name)
            yield from _hushed(name, people, due)
        if people.quiet_hours:
            zone = wall_now().astimezone(people.zone)
            yield Finding("syntax", "ok", f"{name}: quiet hours {people.quiet_hours} {zone:%Z}", name)
        if people.report:
            due = next_report(people.report, people.zone, wall_now()).due.astimezone(people.zone)
            yield Finding("syntax", "ok", f"{name}: next {people.report} report {due:%a %Y-%m-%d %H:%M %Z}", name)
    yield Finding("secrets", "ok", "all are there")


def _hushed(name: str, people: PeopleSettings, digest_at: datetime) -> Iterator[Finding]:
    if people.quiet_hours and people.quiet_hours.until(digest_at, people.zone):
        text = f"sinks.{name}.digest: falls into its quiet hours, and so comes when they are over"
        yield Finding("syntax", "warning", text, f"sinks.{name}.digest")


async def _misnamed(loaded: Loaded, sinks: Mapping[str, BuiltSink]) -> dict[str, Finding]:
    """By sink, URLs of which Apprise makes nothing: it says so without reaching anything."""
    ends = {name: built.sink for name, built in sinks.items() if loaded.settings.sinks[name].type == "apprise"}
    return {
        found.about: replace(found, phase="syntax", exit_code=CONFIG_WRONG)
        for found in await _connect(ends)
        if found.verdict == "error"
    }


def _templates(loaded: Loaded, sinks: Mapping[str, BuiltSink], seen: Set[str]) -> Iterator[Finding]:
    """Let each sink render each sample, and fill in each template by itself, since sinks pass over one that fails."""
    for name, built in sinks.items():
        settings = loaded.settings.sinks[name]
        failed = list(unrendered(name, built.sink, settings))
        for text in failed:
            yield Finding("templates", "error", f"{name}: {text}", name, exit_code=CONFIG_WRONG)
        for key, text in unfilled(name, settings, seen):
            yield Finding("templates", "warning", f"{key}: {text}", key)
        if not failed:
            yield Finding("templates", "ok", f"{name}: renders all {len(SAMPLES)} samples", name)


async def _database(store: Store) -> Finding:
    """Open it as `run` does, or beside the daemon that has it; one that is not there yet is not made."""
    path = store.database.path
    try:
        if (new := _not_yet(path)) is not None:
            return new
        await store.database.open()
    except StoreInUse:
        return await _in_use(store)
    except StoreRefused as refused:
        return Finding("database", "error", str(refused), exit_code=refused.exit_code)
    except PermissionError:
        return Finding("database", "error", f"{path}: not allowed to look there; use sudo", exit_code=FORBIDDEN)
    await store.gates.load()
    return Finding("database", "ok", f"{path}: intact")


async def _placeholders(store: Store) -> frozenset[str]:
    """Those that came of late, if the database can be asked."""
    try:
        return await store.browse.placeholders()
    except Exception:  # noqa: BLE001 - what is wrong with the database has its own line
        return frozenset()


def _not_yet(path: Path) -> Finding | None:
    """Of a database that `run` would make: whether it could. Raises StoreRefused."""
    if path.exists() or path.with_name(path.name + ".key").exists():
        return None
    if path.parent == SERVICE_FOLDER and not SERVICE_FOLDER.exists():
        return Finding("database", "warning", f"{SERVICE_FOLDER}: made when the service first starts")
    require_usable_place(path)
    return Finding("database", "ok", f"{path}: made when the daemon first runs")


async def _in_use(store: Store) -> Finding:
    path = store.database.path
    try:
        store.database.open_read_only()
    except StoreRefused as refused:
        return Finding("database", "warning", f"in use by a running process; {refused}")
    await store.gates.load()
    return Finding("database", "ok", f"{path}: in use by a running process; looked at beside it")


class _Gates:
    """Obeys the gates that were stored as shut, and stores nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def require_open(self, host: str, access: Access) -> None:
        self._store.gates.require_open(host, access)

    async def shut(self, host: str, access: Access, wait: timedelta | None) -> SourceThrottled:
        asked = f"for {wait.total_seconds():g} s" if wait else "for a while"
        until = wall_now() + (wait or timedelta())
        return SourceThrottled(f"the server wants no {access}s {asked}; try again later", access, until)

    async def passed(self, host: str, access: Access) -> None:
        pass


async def _connect(ends: Mapping[str, Sink | Source]) -> list[Finding]:
    return list(await asyncio.gather(*(_reach(name, end) for name, end in ends.items())))


async def _reach(name: str, end: Sink | Source) -> Finding:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            text, reached = await end.check(), True
    except Unreachable as unreachable:
        text, reached = str(unreachable), False
    except TimeoutError:
        text, reached = f"no answer within {CONNECT_SECONDS:g} s", False
    except Exception as error:  # noqa: BLE001 - a faulty sink must not hide what was found about others
        text, reached = f"its test itself failed ({type(error).__name__})", False
    finally:
        await end.close()
    return Finding(
        "connect", "ok" if reached else "error", f"{name}: {text}", name, exit_code=0 if reached else UNREACHABLE
    )
