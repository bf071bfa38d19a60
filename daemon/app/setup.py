"""What `init` makes of the answers it was given: a config with comments, a file for each secret, a test message."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daemon.app.build import build_sinks
from daemon.clock import wall_now
from daemon.contract import OWN_SOURCE, Delivered, Delivery, Event, delivery_id
from daemon.people import Audience
from daemon.settings import Loaded
from daemon.sources.builtbybit import bare_token
from sinks._discord_settings import parse_address

SERVICE_DIRECTORY = Path("/etc/eventferry")
SERVICE_DATABASE = "/var/lib/eventferry/eventferry.db"
SALES_SINK = "sales"
TEST_SECONDS = 60.0

_TOKEN, _SALES_URL, _TROUBLE_URL = "builtbybit_token", "discord_url", "discord_trouble_url"


@dataclass(frozen=True, slots=True, repr=False)
class Answers:
    """What has to be known for a first config."""

    token: str
    discord_url: str
    public: bool
    """Whether customers can see the channel."""
    trouble: Literal["same", "none", "other"]
    """Where trouble is reported: that channel, nowhere, or another one."""
    trouble_url: str = ""


def is_of_the_service(directory: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd's unit reads the config in this folder; a container's has the place, and its own database."""
    return directory == SERVICE_DIRECTORY and "STATE_DIRECTORY" not in environ


def usable_token(pasted: str) -> str:
    """The token alone. Raises ValueError with a sentence."""
    return bare_token(pasted)


def usable_discord_url(pasted: str) -> str:
    """The URL, trimmed. Raises ValueError with a sentence that does not name it."""
    parse_address(pasted)
    return pasted.strip()


def already_there(directory: Path) -> Path | None:
    """A file that `write` would have to overwrite, which it never does."""
    places = [directory / "config.toml", *(directory / "secrets" / name for name in (_TOKEN, _SALES_URL, _TROUBLE_URL))]
    return next((place for place in places if place.exists()), None)


def write(directory: Path, answers: Answers) -> list[Path]:
    """Write the secrets, each readable for its owner only, then the config; all of them or none. Raises OSError."""
    secrets = directory / "secrets"
    contents = {secrets / name: f"{value}\n" for name, value in _secrets(answers).items()}
    written: list[Path] = []
    directory.mkdir(parents=True, exist_ok=True)
    secrets.mkdir(mode=0o700, exist_ok=True)
    try:
        for path, content in contents.items():
            _create(path, content, 0o600, written)
        # Without secrets, so that the service's account, which exists only while it runs, can read it.
        _create(directory / "config.toml", config_text(directory, answers), 0o644, written)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _secrets(answers: Answers) -> Mapping[str, str]:
    values = {_TOKEN: answers.token, _SALES_URL: answers.discord_url}
    return values | ({_TROUBLE_URL: answers.trouble_url} if answers.trouble == "other" else {})


def _create(path: Path, content: str, mode: int, written: list[Path]) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    written.append(path)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
        os.fchmod(handle, mode)


def config_text(directory: Path, answers: Answers) -> str:
    """The config for these answers; no secret is in it."""
    sales = (_PUBLIC if answers.public else _PRIVATE) + _sales("public" if answers.public else "full")
    parts = [_HEAD, _daemon(directory, answers), _SOURCE, sales, *([_TROUBLE] if answers.trouble == "other" else [])]
    return "\n".join(parts)


def _daemon(directory: Path, answers: Answers) -> str:
    place = f'database = "{SERVICE_DATABASE}"\n' if is_of_the_service(directory) else ""
    alerts = {
        "same": f'["{SALES_SINK}"]',
        "other": '["trouble"]' if answers.public else f'["trouble", "{SALES_SINK}"]',
        "none": "[]",
    }[answers.trouble]
    return (
        f"[daemon]\n{place}"
        f"# The sinks that hear of trouble; better two, since none can report its own.\nalerts = {alerts}\n"
    )


_HEAD = """\
# Eventferry's config, as "eventferry init" wrote it. See what is in force: eventferry config show
# "cred:NAME" is the file secrets/NAME beside this one (systemd and Docker hand it over in their own ways).
"""

_SOURCE = f"""\
[sources.builtbybit]
type = "builtbybit"
token = "cred:{_TOKEN}"
"""

PUBLIC_NOTE = (
    "Customers can see this channel: its messages tell what was bought, with a link, but neither buyer nor price;",
    "of a review its stars and text, but not who wrote it.",
)
_PUBLIC = "".join(f"# {line}\n" for line in PUBLIC_NOTE)
_PRIVATE = "# A channel that customers cannot see: its messages name buyers and prices.\n"


def _sales(audience: Audience) -> str:
    return f"""\
[sinks.{SALES_SINK}]
type = "discord"
url = "cred:{_SALES_URL}"
# Who reads it: "public" is told neither buyer nor price, "full" all that the event holds.
audience = "{audience}"
# Which triggers it wants; left out: every event.
# events = ["purchase", "review"]
"""


_TROUBLE = f"""\
# Only what Eventferry itself has to report (alerts above), none of the events.
[sinks.trouble]
type = "discord"
url = "cred:{_TROUBLE_URL}"
events = ["!*"]
"""


async def send_test(loaded: Loaded) -> str:
    """Post a message of ours through the sink itself; "" when it arrived, else why not."""
    sink = build_sinks(loaded)[SALES_SINK].sink
    moment = wall_now()
    text = "This is a test: Eventferry can post here. Sales will look much like this."
    event = Event(OWN_SOURCE, f"test-{moment:%Y%m%dT%H%M%S%f}", None, "test.message", moment, {"text": text})
    identity = delivery_id(event.source, event.external_id, SALES_SINK)
    try:
        async with asyncio.timeout(TEST_SECONDS):
            outcome = (await sink.deliver(Delivery(identity, event, attempt=1))).outcome
    except TimeoutError:
        return f"no answer within {TEST_SECONDS:g} s"
    finally:
        await sink.close()
    return "" if isinstance(outcome, Delivered) else outcome.reason
