"""Runs a program of the owner's for each event, which gets the event as JSON on its standard input."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from daemon.contract import Delivered, Delivery, Outcome, Rejected, Report, Sink, TryLater, Unreachable
from daemon.http import Http
from daemon.log import printable, scrub
from daemon.quantities import Duration
from daemon.secrets import Secret
from sinks._envelope import encode, envelope
from sinks._http import ANSWER_KEPT
from sinks._process import Ended, run_group

LATER_CODE = 75
"""EX_TEMPFAIL of sysexits.h."""
_NOT_RUN = {126: "it cannot be run", 127: "it was not found"}
"""What shells say of a program: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html"""
_LONGEST_TRIGGER = 200
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = "EVENTFERRY_"


class CommandSink(Sink):
    """A program: exit code 0 says that it is done, 75 that it may work later, any other that it never will."""

    class Settings(BaseModel):
        """The keys of a `type = "command"` sink."""

        model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

        command: Annotated[list[str], Field(min_length=1, max_length=100)]
        """The program and its arguments as they are, with no shell between."""
        env: dict[str, Secret] = {}
        """Variables it gets besides PATH, LANG and ours."""
        timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=10))] = timedelta(seconds=30)
        """After this long it is ended, with all that it has started."""

        @field_validator("command")
        @classmethod
        def _program_is_named(cls, command: list[str]) -> list[str]:
            if any("\0" in part for part in command):
                raise ValueError("no argument can hold a NUL")
            return [_found(command[0]), *command[1:]]

        @field_validator("env")
        @classmethod
        def _variables_are_named(cls, env: dict[str, Secret]) -> dict[str, Secret]:
            for name, value in env.items():
                if not _VARIABLE.fullmatch(name) or name.startswith(_OURS):
                    raise ValueError(f"a name has letters, digits and _ only, and does not begin with {_OURS}")
                if "\0" in value.reveal():
                    raise ValueError("no variable can hold a NUL")
            return env

    def __init__(self, settings: Settings, http: Http) -> None:
        self._command = settings.command
        self._env = settings.env
        self._seconds = settings.timeout.total_seconds()
        self._folder: Path | None = None

    async def deliver(self, delivery: Delivery) -> Report:
        """Run it once."""
        given = _given(delivery)
        try:
            ended = await run_group(self._command, given, self._environment(delivery), self._private(), self._seconds)
        except OSError as error:
            return Report(TryLater(f"the command cannot be started: {error.strerror or 'error'}"), given)
        return Report(self._judge(ended), given, _answer(ended.output))

    def render(self, delivery: Delivery) -> str:
        """The command line, and what it would read."""
        return f"{printable(shlex.join(self._command))} <<\n{encode(_document(delivery), indent=2).decode()}"

    async def check(self) -> str:
        """See whether the program is there and may be run."""
        program = Path(self._command[0])
        if not await asyncio.to_thread(program.is_file):
            raise Unreachable(f"there is no program {printable(str(program))}")
        if not os.access(program, os.X_OK):
            raise Unreachable(f"{printable(str(program))} may not be run: chmod +x it")
        return f"{printable(str(program))} can be run"

    async def close(self) -> None:
        """Remove the folder that it ran in."""
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _private(self) -> Path:
        """A folder that nobody else can look into, made anew if somebody tidied it away."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix="eventferry-command-"))
        return self._folder

    def _environment(self, delivery: Delivery) -> dict[str, str]:
        trigger = "".join(sign if sign.isprintable() else " " for sign in delivery.event.trigger[:_LONGEST_TRIGGER])
        ours = {"DELIVERY_ID": delivery.id, "TRIGGER": trigger, "ATTEMPT": str(delivery.attempt)}
        if delivery.event.is_test:
            ours["TEST"] = "1"
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            **{name: value.reveal() for name, value in self._env.items()},
            **{f"{_OURS}{name}": value for name, value in ours.items()},
        }

    def _judge(self, ended: Ended) -> Outcome:
        code = ended.code
        if code is None:
            return TryLater(f"the command was not done within {self._seconds:g} s, and was ended")
        if code == 0:
            return Delivered("exit code 0")
        if code == LATER_CODE:
            return TryLater(f"the command asks to try later (exit code {code})")
        if code in _NOT_RUN:
            return TryLater(f"the command did not run: {_NOT_RUN[code]} (exit code {code})")
        if code < 0:
            return TryLater(f"the command was ended by {_signal_name(-code)}")
        return Rejected(f"the command failed with exit code {code}")


def _found(program: str) -> str:
    """The program's full path. Raises ValueError with what to write."""
    if Path(program).is_absolute():
        return program
    if "/" in program or not program:
        raise ValueError("the program must be an absolute path, or a name that is found on PATH")
    found = shutil.which(program)
    if found is None or not Path(found).is_absolute():
        raise ValueError("no program of this name is found on PATH; write its absolute path")
    return found


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _document(delivery: Delivery) -> dict[str, Any]:
    return {"delivery_id": delivery.id, "attempt": delivery.attempt} | envelope(delivery.event)


def _given(delivery: Delivery) -> bytes:
    return encode(_document(delivery)) + b"\n"


def _answer(output: bytes) -> str:
    """The end of what it said. Secrets go first: half of one would not be known for what it is."""
    text = scrub(output.decode("utf-8", "replace")).strip()
    return text if len(text) <= ANSWER_KEPT else f"…{text[1 - ANSWER_KEPT :]}"
