"""Reads the config file and the environment into plain tables, and remembers where each value stands."""

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, TomlConfigSettingsSource

from daemon.settings.lines import KeyPath, locate
from daemon.settings.problems import PREFIX, ConfigError, Phase, Problem, did_you_mean, dotted

_NOT_A_SETTING = f"{PREFIX}CONFIG"
_SECTIONS = {"daemon": 1, "sources": 2, "sinks": 2}
"""Our tables, and how deep below the top their keys are."""
_LARGEST = 1024 * 1024
"""Bytes. Ten thousand sinks need less than half of it; tomllib takes eighty times the size in memory."""
_DEEPEST = 100
_SHAPES = f"{PREFIX}DAEMON__KEY, {PREFIX}SOURCES__NAME__KEY, {PREFIX}SINKS__NAME__KEY"


@dataclass(frozen=True, slots=True)
class Document:
    """What file and environment say together; the environment wins."""

    path: Path | None
    directory: Path
    """Absolute; relative paths in the config count from here."""
    tables: Mapping[str, dict[str, Any]]
    """The content of `daemon`, `sources` and `sinks`."""
    lines: Mapping[KeyPath, int]
    variables: Mapping[KeyPath, str]
    """The environment variable behind a key."""
    problems: tuple[Problem, ...]

    def variable(self, path: KeyPath) -> str | None:
        """Name the environment variable behind a key, or the one that could give it in a table made of variables."""
        depth = _SECTIONS[str(path[0])]
        if len(path) > depth:
            for key, name in self.variables.items():
                if key[: len(path)] == path[: len(key)]:  # the way to the one leads through the other
                    return name
        table = path[:depth]
        if table not in self.lines and any(key[:depth] == table for key in self.variables):
            return PREFIX + "__".join(map(str, path)).upper()
        return None

    def problem(self, path: KeyPath, message: str, phase: Phase = "syntax") -> Problem:
        """Make a problem of the key at `path`, with its variable or its line."""
        if variable := self.variable(path):
            return Problem(None, variable, message, phase)
        known = (self.lines.get(path[:length]) for length in range(len(path), 0, -1))
        return Problem(next((line for line in known if line), None), dotted(path), message, phase)


def read(path: Path | None, environ: Mapping[str, str]) -> Document:
    """Read both. Raises ConfigError where the file cannot be read or is no TOML."""
    directory = _directory(path)
    variables, problems = _variables(environ)
    file = _File(path)
    tables = _merge(file, {name: environ[name] for name in variables.values()})
    lines = locate(file.text)
    for section, content in file.content.items():
        if section not in _SECTIONS:
            message = f"unknown table{did_you_mean(section, _SECTIONS)}"
        elif isinstance(content, dict):
            continue
        else:
            message = f"must be a table: [{section}]" if section == "daemon" else f"must be tables: [{section}.NAME]"
        problems.append(Problem(lines.get((section,)), dotted([section]), message))
    return Document(path, directory, tables, lines, variables, tuple(problems))


def _directory(config: Path | None) -> Path:
    try:
        return config.absolute().parent if config else Path.cwd()
    except FileNotFoundError:
        message = "the folder you are in was deleted; go to another one, or name a config by its whole path"
        raise ConfigError([Problem(None, "", message)]) from None


def _variables(environ: Mapping[str, str]) -> tuple[dict[KeyPath, str], list[Problem]]:
    """Find our variables, and those that only look like ours. An empty one counts as not set."""
    found: dict[KeyPath, str] = {}
    problems = []
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX) or name == _NOT_A_SETTING:
            continue
        section, *keys = name[len(PREFIX) :].lower().split("__")
        if section in _SECTIONS and len(keys) >= _SECTIONS[section] and all(keys):
            if value:
                found[(section, *keys)] = name
            continue
        problems.append(Problem(None, name[:80].upper(), f"unknown variable; ours look like {_SHAPES}"))
    return found, problems


class _File(TomlConfigSettingsSource):
    """The config file. Raises ConfigError."""

    def __init__(self, path: Path | None) -> None:
        self.text = ""
        self.content: dict[str, Any] = {}
        self._path = path
        try:
            if path is not None:
                self._require_file(path)
            # pydantic-settings would look for somebody's home behind a "~".
            super().__init__(_Merged, path and path.absolute())
        except (FileNotFoundError, NotADirectoryError):
            raise self._unusable("no such file") from None
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror or 'error'}") from None

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        try:
            with file_path.open("rb") as file:
                data = file.read(_LARGEST + 1)
            if len(data) > _LARGEST:
                raise self._unusable("larger than 1 MiB; this is no config of ours")
            self.text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
            self.content = tomllib.loads(self.text)
            _require_shallow(self.content, _DEEPEST)
        except tomllib.TOMLDecodeError as error:
            raise self._bad_toml(str(error)) from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise self._unusable("not UTF-8 text; save the file as UTF-8", line) from None
        except (ValueError, RecursionError):
            raise self._unusable("a number is too long, or lists are nested too deeply") from None
        return {key: value for key, value in self.content.items() if key in _SECTIONS and isinstance(value, dict)}

    def _require_file(self, path: Path) -> None:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise self._unusable("a folder, not a file" if stat.S_ISDIR(mode) else "no plain file")

    def _unusable(self, message: str, line: int | None = None) -> ConfigError:
        return ConfigError([Problem(line, "", message)], self._path)

    def _bad_toml(self, words: str) -> ConfigError:
        """Take the line out of tomllib's "… (at line 3, column 5)"."""
        match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", words, re.DOTALL)
        if match is None:
            return self._unusable(f"not valid TOML: {words}")
        if match[2] is None:
            return self._unusable(f"not valid TOML: {match[1]}, at the end", self.text.rstrip().count("\n") + 1)
        return self._unusable(f"not valid TOML: {match[1]}, at column {match[3]}", int(match[2]))


def _require_shallow(value: Any, levels: int) -> None:
    """Raises RecursionError here, rather than wherever the stack happens to end: a dotted key may have 1,000 parts."""
    if levels == 0:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_shallow(inner, levels - 1)


class _Environment(EnvSettingsSource):
    """Variables such as EVENTFERRY_SINKS__SALES__URL; their values stay text until their type is known."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(_Merged, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter="__")

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        return value


class _Merged(BaseSettings):
    daemon: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    sinks: dict[str, Any] = {}


def _merge(file: _File, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    class Here(_Merged):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return _Environment(environ), file

    return Here().model_dump()
