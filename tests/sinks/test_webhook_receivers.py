"""The receivers in docs/receivers/, as people copy them: sent to by our own sink, and by whoever means badly."""

import asyncio
import base64
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import Delivered
from daemon.http import Http
from sinks.webhook import WebhookSink, identification
from tests.events import HOSTILE, delivery, event

FOLDER = Path(__file__).parents[2] / "docs" / "receivers"
NEW, OLD, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
START_SECONDS = 90
COMMANDS = {
    "python": (sys.executable, "receiver.py", "{port}", "{seen}"),
    "node": ("node", "receiver.mjs", "{port}", "{seen}"),
    "php": ("php", "-S", "127.0.0.1:{port}", "receiver.php"),
    "java": ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "Receiver.java", "{port}", "{seen}"),
}
_numbers = count()


def written(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@dataclass
class Receiver:
    port: int
    log: Path

    @property
    def handled(self) -> int:
        return self.log.read_text("utf-8", "replace").count("handled ")

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/hook", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def sign_and_post(self, *keys: bytes, at: timedelta = timedelta(), body: bytes = b"", **changed: str) -> int:
        """Post an event of its own; `changed` stands for headers, with `_` for `-`."""
        body = body or b'{"type":"purchase","event_id":"77"}'
        one = delivery(number=next(_numbers))
        headers = identification(one, body, keys, datetime.now(UTC) + at)
        return self.post(body, headers | {name.replace("_", "-"): value for name, value in changed.items()})


@pytest.fixture(scope="module", params=COMMANDS)
def receiver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One in each language, started once; it knows two secrets."""
    program, *arguments = COMMANDS[request.param]
    if shutil.which(program) is None:
        pytest.skip(f"needs the program {program}")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "seen").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, *(argument.format(port=port, seen=folder / "seen") for argument in arguments)]
    secrets = {"WEBHOOK_SECRETS": f"{written(NEW)} {written(OLD)}", "WEBHOOK_SEEN": str(folder / "seen")}
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, cwd=FOLDER, env=os.environ | secrets, stdout=log, stderr=log)
    try:
        wait_for(port, running, folder / "log")
        yield Receiver(port, folder / "log")
    finally:
        running.kill()
        running.wait()


def wait_for(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"it did not start:\n{log.read_text('utf-8', 'replace')}")


def deliver(receiver: Receiver, *secrets: bytes, data: Any = None) -> Any:
    async def run() -> Any:
        values = {"url": f"http://127.0.0.1:{receiver.port}/hook", "secret": [written(key) for key in secrets]}
        sink = WebhookSink(WebhookSink.Settings.model_validate(values), Http())
        report = await sink.deliver(delivery(event(data), number=next(_numbers)))
        await sink.close()
        return report.outcome

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["ordinary", "empty", "markdown", "line ends", "long"])
def test_it_takes_what_our_sink_sends(receiver: Receiver, name: str) -> None:
    before = receiver.handled
    assert deliver(receiver, NEW, data=HOSTILE.get(name)) == Delivered("HTTP 204")
    assert receiver.handled == before + 1


@pytest.mark.parametrize("keys", [(OLD,), (NEW, OLD), (OTHER, OLD), (OTHER, NEW)])
def test_f53_it_takes_either_secret_while_they_change(receiver: Receiver, keys: tuple[bytes, ...]) -> None:
    assert deliver(receiver, *keys) == Delivered("HTTP 204")


def test_it_refuses_what_was_not_signed_with_its_secrets(receiver: Receiver) -> None:
    before = receiver.handled
    assert receiver.sign_and_post(OTHER) == 401
    assert receiver.sign_and_post() == 401
    assert receiver.sign_and_post(NEW, webhook_signature="") == 401
    assert receiver.sign_and_post(NEW, webhook_signature="v1,AAAA v1a,x") == 401
    assert receiver.sign_and_post(NEW, webhook_id="another-id") == 401
    assert receiver.sign_and_post(NEW, webhook_id="../escape") == 401
    assert receiver.sign_and_post(NEW, webhook_timestamp=str(int(time.time()) - 1)) == 401
    assert receiver.sign_and_post(NEW, webhook_timestamp="now") == 401
    assert receiver.handled == before


def test_it_refuses_what_was_changed_on_the_way(receiver: Receiver) -> None:
    body = b'{"type":"purchase","event_id":"1","data":{"price":"9.99"}}'
    headers = identification(delivery(number=next(_numbers)), body, [NEW], datetime.now(UTC))
    assert receiver.post(body.replace(b"9.99", b"0.99"), headers) == 401
    assert receiver.post(body, headers) == 204


@pytest.mark.parametrize("minutes", [-6, 6])
def test_it_refuses_what_was_signed_long_ago_or_will_be(receiver: Receiver, minutes: int) -> None:
    assert receiver.sign_and_post(NEW, at=timedelta(minutes=minutes)) == 401
    assert receiver.sign_and_post(NEW, at=timedelta(minutes=minutes) / 2) == 204


def test_it_handles_a_repeat_once_and_agrees_again(receiver: Receiver) -> None:
    """Else the sender, whose first answer was lost, would go on for days."""
    body = b'{"type":"purchase","event_id":"5"}'
    before, repeated = receiver.handled, delivery(number=next(_numbers))
    for seconds in range(3):
        moment = datetime.now(UTC) - timedelta(seconds=seconds)
        assert receiver.post(body, identification(repeated, body, [NEW], moment)) == 204
    assert receiver.handled == before + 1


def test_what_it_could_not_handle_is_not_taken_for_done(receiver: Receiver) -> None:
    body, failing = b"no JSON at all", delivery(number=next(_numbers))
    answers = [receiver.post(body, identification(failing, body, [NEW], datetime.now(UTC))) for _ in range(2)]
    # The one in Java leaves reading it to the library of your choice.
    assert answers in ([500, 500], [204, 204])
    assert (answers[0] == 204) == ("handled no JSON at all" in receiver.log.read_text("utf-8", "replace"))
