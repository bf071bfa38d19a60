"""Finds the config, reads it, and checks all of it at once."""

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from daemon.contract import OWN_SOURCE, Kinds, SourceKind
from daemon.secrets import relative_to
from daemon.settings.doubts import doubts
from daemon.settings.lines import KeyPath
from daemon.settings.model import LONGEST_NAME, NAME, DaemonSettings, Settings, SinkCommon, SourceCommon, table_model
from daemon.settings.problems import ConfigError, Problem, did_you_mean, dotted, explain, keys_of
from daemon.settings.read import Document, read

PLACES = (Path("config.toml"), Path("/etc/eventferry/config.toml"))
"""Where a config is sought when nobody names one."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config without mistakes."""

    settings: Settings
    path: Path | None
    """The file; None when everything came from the environment."""
    directory: Path
    """Relative paths count from here."""
    database: Path
    warnings: list[str]
    """What works but may not be meant; each a line fit for people."""


def find(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Choose the config file: the one named, else $EVENTFERRY_CONFIG, else the first of PLACES that exists."""
    if config is None and (named := environ.get("EVENTFERRY_CONFIG")):
        config = Path(named)
    return config or next((place for place in PLACES if _exists(place)), None)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True  # to be told about, not to be passed over
    except OSError:
        return False
    return True


def load(
    path: Path | None, sink_kinds: Kinds, source_kinds: Mapping[str, SourceKind], environ: Mapping[str, str]
) -> Loaded:
    """Read and check a config. Raises ConfigError with every mistake there is.

    Kinds that the config does not use are not imported.
    """
    document = read(path, environ)
    if path is None and not any(document.tables.values()):
        raise ConfigError([*document.problems, Problem(None, "", _not_found())])
    check = _Check(document)
    with relative_to(document.directory):
        daemon = check.table(DaemonSettings, ("daemon",), document.tables["daemon"])
        sources = check.section("sources", SourceCommon, list(source_kinds), lambda kind: source_kinds[kind].settings)
        sinks = check.section("sinks", SinkCommon, sink_kinds.names(), lambda kind: sink_kinds.load(kind).settings)
    check.renames("sources", {name: table.renamed_from for name, table in sources.items()})
    check.renames("sinks", {name: table.renamed_from for name, table in sinks.items()})
    check.alerts(daemon.alerts if daemon else document.tables["daemon"].get("alerts"))
    if check.problems or daemon is None:
        raise ConfigError(check.problems, path)
    settings = Settings(daemon, sources, sinks)
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    database = daemon.database or (Path(state) if state else document.directory) / "eventferry.db"
    return Loaded(settings, path, document.directory, database, list(doubts(document, settings)))


def _not_found() -> str:
    places = " and ".join(str(place.absolute()) for place in PLACES)
    return f'no config found; sought {places}. Name one with --config, or make one with "eventferry init"'


class _Check:
    """Gathers the problems of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems = list(document.problems)

    def table(self, model: type[Model], path: KeyPath, table: Mapping[str, Any]) -> Model | None:
        """Make the settings of one table, or note what is wrong with it."""
        types_of = keys_of(model)
        given = {
            key: _adapted(value, types_of.get(key), from_text=self._document.variable((*path, key)) is not None)
            for key, value in table.items()
        }
        try:
            return model.model_validate(given)
        except ValidationError as error:
            for way, message, phase in explain(error, model, given):
                self.problems.append(self._document.problem((*path, *way), message, phase))
        return None

    def section(
        self, section: str, common: type[Model], kinds: Sequence[str], load_kind: Callable[[str], type[BaseModel]]
    ) -> dict[str, Model]:
        """Make the settings of `[sources.…]` or `[sinks.…]`."""
        thing = section.removesuffix("s")
        tables = self._document.tables[section]
        if not tables and not any(problem.where == section for problem in self.problems):
            example = f'[{section}.NAME] with type = "{kinds[0] if kinds else "…"}"'
            self.problems.append(Problem(None, section, f"no {thing} at all; add a table {example}"))
        found = {}
        for name, table in tables.items():
            path = (section, name)
            self._name(path, thing)
            if not isinstance(table, dict):
                self.problems.append(self._document.problem(path, f"must be a table: [{dotted(path)}]"))
                continue
            own = self._kind((*path, "type"), thing, table, kinds, load_kind)
            # Without its kind only what all kinds share can be checked.
            model = table_model(table["type"], common, own) if own else common
            made = self.table(model, path, table if own else {**table, "type": ""})
            if made is not None and own:
                found[name] = made
        return found

    def _name(self, path: tuple[str, str], thing: str) -> None:
        if not re.fullmatch(NAME, path[1]) or len(path[1]) > LONGEST_NAME:
            rule = f"starts with a letter, has at most {LONGEST_NAME} of a-z, 0-9 and _, and no __"
            self.problems.append(self._document.problem(path, f"the name of a {thing} {rule}"))
        if path == ("sources", OWN_SOURCE):
            self.problems.append(self._document.problem(path, "this name is Eventferry's own; choose another"))

    def _kind(
        self,
        path: KeyPath,
        thing: str,
        table: Mapping[str, Any],
        kinds: Sequence[str],
        load_kind: Callable[[str], type[BaseModel]],
    ) -> type[BaseModel] | None:
        """Find the settings of the kind that `type` names."""
        kind = table.get("type")
        choice = "there are " + ", ".join(f'"{name}"' for name in kinds)
        if isinstance(kind, str) and kind in kinds:
            try:
                return load_kind(kind)
            except ImportError as error:
                message = str(error)
        elif kind is None:
            message = f"missing; say which type of {thing} it is: {choice}"
        elif isinstance(kind, str):
            message = f"unknown type of {thing}{did_you_mean(kind, kinds)} ({choice})"
        else:
            message = f"must be text: {choice}"
        self.problems.append(self._document.problem(path, message))
        return None

    def renames(self, section: str, former: Mapping[str, str | None]) -> None:
        """See that what was renamed has left its former name, and left it to one only."""
        taken: dict[str, str] = {}
        for name, old in former.items():
            if old is None:
                continue
            problem = None
            if old in self._document.tables[section]:
                problem = f"{old} is still in the config; a former name belongs to nobody any more"
            elif old in taken:
                problem = f"{taken[old]} was renamed from {old} as well; it can go to one only"
            elif not re.fullmatch(NAME, old) or len(old) > LONGEST_NAME or old == OWN_SOURCE:
                problem = f"never was the name of a {section.removesuffix('s')}; write the one that it had before"
            taken.setdefault(old, name)
            if problem:
                self.problems.append(self._document.problem((section, name, "renamed_from"), problem))

    def alerts(self, alerts: Any) -> None:
        """See that alerts go to sinks that are there."""
        sinks = self._document.tables["sinks"]
        for number, name in enumerate(alerts if isinstance(alerts, list) else ()):
            if isinstance(name, str) and name not in sinks:
                message = f"no sink has this name{did_you_mean(name, sinks)}"
                self.problems.append(self._document.problem(("daemon", "alerts", number), message))


def _adapted(value: Any, annotation: Any, *, from_text: bool) -> Any:
    """Ready a value for pydantic, which takes true for 1 and no text for a list."""
    wanted = set(_members(annotation))
    if isinstance(value, bool) and wanted & {int, float} and not wanted & {bool, str}:
        return str(value)
    if from_text and isinstance(value, str) and wanted & {list, dict}:
        return _from_text(value, wanted)
    return value


def _from_text(text: str, wanted: set[Any]) -> Any:
    """Read an environment variable: lists and tables as JSON, lists also as a,b,c."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list | dict):
        return value
    if list in wanted and str not in wanted and '"' not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _members(annotation: Any) -> Iterator[Any]:
    """The types a value may have, without their parameters."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield origin or annotation
