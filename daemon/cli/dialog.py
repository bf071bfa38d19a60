"""The conversation of `init`: tells what is needed, asks for what no flag gave, then checks and tests."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

import typer

from daemon.app import setup
from daemon.app.build import load_settings
from daemon.app.check import check, exit_code
from daemon.app.setup import Answers
from daemon.cli import check_view
from daemon.cli.errors import Failed, Misused

_NEEDED = """\
What Eventferry needs at BuiltByBit:
  - an active Ultimate upgrade;
  - an API token from https://builtbybit.com/account/api with only the Events scope;
  - an enabled listener on the site's Events page: only events that happen after that arrive.
And the URL of a Discord webhook (channel settings, Integrations, Webhooks, Copy Webhook URL).
"""
_LARGEST_SECRET = 64 * 1024


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line gave."""

    token_file: str | None
    discord_url_file: str | None
    public: bool | None
    trouble: str | None
    test_message: bool


def set_up(directory: Path | None, flags: Flags) -> int:
    """Write a config and its secrets, check them, perhaps post a test message; the exit code."""
    at_terminal = sys.stdin.isatty()
    place = _place(directory)
    if (there := setup.already_there(place)) is not None:
        raise Failed(f"{there}: is there already, and init overwrites nothing")
    print(_NEEDED, flush=True)
    _require_answers(flags, at_terminal)
    for path in setup.write(place, _answers(flags)):
        print(f"wrote {path}")
    return _try_out(place, test=flags.test_message, ask=at_terminal)


def _place(directory: Path | None) -> Path:
    service = setup.SERVICE_DIRECTORY
    if directory is None:
        directory = service if os.geteuid() == 0 and service.is_dir() else Path()
    try:
        return directory.absolute()
    except FileNotFoundError:
        raise Failed("the folder you are in was deleted; go to another one, or add --directory") from None


def _require_answers(flags: Flags, at_terminal: bool) -> None:
    """See that what cannot be asked is given. Raises Misused."""
    if [flags.token_file, flags.discord_url_file, flags.trouble].count("-") > 1:
        raise Misused('only one secret can be read from stdin: "-" was given more than once')
    given = {
        "--token-file": flags.token_file,
        "--discord-url-file": flags.discord_url_file,
        "--public or --private": flags.public,
        "--trouble": flags.trouble,
    }
    missing = [flag for flag, value in given.items() if value is None]
    if missing and not at_terminal:
        raise Misused(f"there is nobody to ask here: add {', '.join(missing)}")


def _answers(flags: Flags) -> Answers:
    token = _secret("BuiltByBit's token", flags.token_file, setup.usable_token)
    discord_url = _secret("Discord webhook URL", flags.discord_url_file, setup.usable_discord_url)
    public = typer.confirm("Can customers see that channel?") if flags.public is None else flags.public
    if public:
        print(*setup.PUBLIC_NOTE, sep="\n")
    trouble = flags.trouble
    if trouble is None:
        advice = "other is better: customers would see it" if public else "same: that channel; other: another one"
        trouble = _choice(f"Where should trouble be reported? ({advice})", ("same", "other", "none"))
    if trouble in ("same", "none"):
        return Answers(token, discord_url, public, "same" if trouble == "same" else "none")
    file = None if trouble == "other" and flags.trouble is None else trouble
    url = _secret("Discord webhook URL for trouble", file, setup.usable_discord_url)
    return Answers(token, discord_url, public, "other", url)


def _secret(what: str, file: str | None, usable: Callable[[str], str]) -> str:
    """Read a secret from a file or stdin, or ask until it is one; it is never shown."""
    if file is not None:
        text = sys.stdin.read(_LARGEST_SECRET) if file == "-" else _read(Path(file))
        try:
            return usable(text)
        except ValueError as error:
            raise Failed(f"{what}: {error}") from None
    while True:
        try:
            return usable(getpass(f"{what} (hidden): "))
        except ValueError as error:
            print(error)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(_LARGEST_SECRET)
    except UnicodeDecodeError:
        raise Failed(f"{path}: not UTF-8 text") from None


def _choice(question: str, choices: tuple[str, ...]) -> str:
    while True:
        answer: str = typer.prompt(f"{question} [{'/'.join(choices)}]").strip().lower()
        if answer in choices:
            return answer


def _try_out(place: Path, *, test: bool, ask: bool) -> int:
    path = place / "config.toml"
    print()
    findings = asyncio.run(check(path, os.environ, connect=False))
    print(*check_view.lines(findings), sep="\n")
    if code := exit_code(findings):
        return code
    if test or (ask and typer.confirm("\nPost a test message to that channel now?", default=False)):
        if trouble := asyncio.run(setup.send_test(load_settings(path, os.environ))):
            raise Failed(f"the test message did not arrive: {trouble}")
        print("The test message is there: look into the channel.")
    _tell_next_steps(path)
    return 0


def _tell_next_steps(path: Path) -> None:
    option = "" if path.parent == setup.SERVICE_DIRECTORY else f" --config {path}"
    start = "systemctl enable --now eventferry" if setup.is_of_the_service(path.parent) else f"eventferry run{option}"
    print(f"\nNext:  eventferry check --connect{option}\n       {start}\n       eventferry status{option}")
