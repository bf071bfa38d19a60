"""Every kind of sink with a receiver to be tried with."""

import asyncio
import base64
import email
import email.policy
import io
import json
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from daemon.contract import Report, Sink
from daemon.http import Http
from daemon.simulator.discord_rules import errors_in, hazards_in, is_empty
from sinks._apprise_service import Service
from sinks.registry import SinkKinds
from tests.receivers import Answer, HttpReceiver, Request, Writer, http_receiver, keep_silent, mailbox, reply

PLENTY = "1m"
"""A sink's timeout where none should be met; a test that waits for one gives its own."""
TOKEN, KEY, PASSWORD = "canary-token-0123456789", "canary-header-0123456789", "canary-password-0123456789"
SECRET = "whsec_" + base64.b64encode(b"canary-signing-key-0123456789").decode()
SECRETS = [
    TOKEN,
    KEY,
    PASSWORD,
    SECRET,
    SECRET.removeprefix("whsec_"),
    base64.b64encode(f"ann:{PASSWORD}".encode()).decode(),
]


@dataclass
class Rig:
    """A sink with a receiver of its own."""

    sink: Sink
    identities: Callable[[], list[str]]
    """For everything that arrived, what a receiver can know a repeat by."""
    stall: Callable[[], asyncio.Event | None]
    """Makes the receiver stop half-way from now on; the event tells when it has (None: it cannot be made to)."""
    recover: Callable[[], None] = lambda: None
    received: Callable[[], list[bytes]] = list
    """All that arrived, as the receiver got it, one entry for each message."""
    headers: Callable[[], list[set[str]]] = list
    """The names of the headers that each message had, for kinds that have such a thing."""


def build(kind: str, **values: Any) -> Sink:
    loaded = SinkKinds().load(kind)
    return loaded.build(loaded.settings.model_validate(values), Http())


HTTP_SETTINGS: dict[str, Callable[[HttpReceiver], dict[str, Any]]] = {
    "webhook": lambda receiver: {
        "url": f"http://ann:{PASSWORD}@127.0.0.1:{receiver.port}/{TOKEN}",
        "secret": SECRET,
        "headers": {"X-Key": KEY},
    },
    "discord": lambda receiver: {"url": f"{receiver.url}/api/webhooks/1/{TOKEN}"},
}
IDENTITIES: dict[str, Callable[[Request], str]] = {
    "webhook": lambda request: request.headers["webhook-id"],
    "discord": lambda request: json.loads(request.body)["embeds"][0]["footer"]["text"],
}


async def _as_discord(request: Request, writer: Writer) -> None:
    """Refuse what Discord would, and what would ping somebody."""
    message = json.loads(request.body or b"{}")
    wrong = request.method == "POST" and (errors_in(message) or is_empty(message) or hazards_in(message))
    await reply(400 if wrong else 200, json.dumps({"code": 50035, "errors": str(wrong)}).encode())(request, writer)


@asynccontextmanager
async def http_rig(
    kind: str, answer: Answer | None = None, timeout: str = PLENTY
) -> AsyncIterator[tuple[Rig, HttpReceiver]]:
    async with http_receiver(answer or (_as_discord if kind == "discord" else None)) as receiver:

        def stall() -> asyncio.Event:
            receiver.arrived.clear()
            receiver.answer = keep_silent
            return receiver.arrived

        rig = Rig(
            sink=build(kind, **HTTP_SETTINGS[kind](receiver), timeout=timeout),
            identities=lambda: [IDENTITIES[kind](request) for request in receiver.requests],
            stall=stall,
            recover=lambda: setattr(receiver, "answer", reply()),
            received=lambda: [request.body for request in receiver.requests],
            headers=lambda: [set(request.headers) for request in receiver.requests],
        )
        yield rig, receiver
        await rig.sink.close()


@asynccontextmanager
async def email_rig(_: Path, timeout: str) -> AsyncIterator[Rig]:
    async with mailbox() as box:

        def stall() -> asyncio.Event:
            box.arrived.clear()
            box.silent_at_data = True
            return box.arrived

        values = {"host": "127.0.0.1", "port": box.port, "security": "none", "timeout": timeout}
        yield Rig(
            sink=build("email", **values, **{"from": "shop@shop.example", "to": ["ann@x.example", "ben@y.example"]}),
            identities=lambda: [email.message_from_bytes(content)["Message-ID"] for _, content in box.mails],
            stall=stall,
            recover=lambda: setattr(box, "silent_at_data", False),
            received=lambda: [_texts(content) for _, content in box.mails],
            headers=lambda: [set(email.message_from_bytes(content).keys()) for _, content in box.mails],
        )


def _texts(mail: bytes) -> bytes:
    """What a reader sees of a mail: its headers and parts, decoded."""
    message = email.message_from_bytes(mail, policy=email.policy.default)
    parts = [part.get_content() for part in message.walk() if not part.is_multipart()]
    return "\n".join([*map(str, message.values()), *parts]).encode("utf-8", "replace")


@asynccontextmanager
async def file_rig(folder: Path, _: str) -> AsyncIterator[Rig]:
    path = folder / "events.jsonl"
    rig = Rig(
        sink=build("file", path=path),
        identities=lambda: [json.loads(line)["delivery_id"] for line in path.read_text().splitlines()],
        stall=lambda: None,
        received=lambda: path.read_bytes().splitlines(),
    )
    yield rig
    await rig.sink.close()


@asynccontextmanager
async def console_rig(_: Path, __: str) -> AsyncIterator[Rig]:
    output = io.StringIO()
    with redirect_stdout(output):
        yield Rig(
            sink=build("console"),
            identities=list,
            stall=lambda: None,
            received=lambda: [output.getvalue().encode()],
        )


_PROGRAM = """#!/bin/sh
cat >> arrived
if [ -e stall ]; then touch stalled; exec sleep 1000; fi
echo "done with $TOKEN"
"""


@asynccontextmanager
async def command_rig(_: Path, timeout: str) -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "program"
        program.write_text(_PROGRAM.replace("cat", f"cd {name}; cat", 1))
        program.chmod(0o700)
        stalled = asyncio.Event()

        async def watch() -> None:
            while not (folder / "stalled").exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
            stalled.set()

        def stall() -> asyncio.Event:
            (folder / "stall").touch()
            return stalled

        def lines() -> list[bytes]:
            return (folder / "arrived").read_bytes().splitlines()

        watching = asyncio.create_task(watch())
        rig = Rig(
            sink=build("command", command=[str(program)], env={"TOKEN": TOKEN}, timeout=timeout),
            identities=lambda: [json.loads(line)["delivery_id"] for line in lines()],
            stall=stall,
            recover=(folder / "stall").unlink,
            received=lines,
        )
        yield rig
        await rig.sink.close()
        watching.cancel()


@asynccontextmanager
async def apprise_rig(_: Path, timeout: str) -> AsyncIterator[Rig]:
    load_apprise()
    async with http_receiver() as receiver:

        def stall() -> asyncio.Event:
            receiver.arrived.clear()
            receiver.answer = keep_silent
            return receiver.arrived

        yield Rig(
            sink=build("apprise", url=f"json://ann:{PASSWORD}@127.0.0.1:{receiver.port}/{TOKEN}/", timeout=timeout),
            identities=lambda: [json.loads(one.body)["message"].splitlines()[-1] for one in receiver.requests],
            stall=stall,
            recover=lambda: setattr(receiver, "answer", reply()),
            received=lambda: [one.body for one in receiver.requests],
            headers=lambda: [set(one.headers) for one in receiver.requests],
        )


@cache
def load_apprise() -> None:
    """Let Apprise import its plug-ins, some of which use what Python will drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Service("json://127.0.0.1/").name == "JSON"


@asynccontextmanager
async def plain_http_rig(kind: str, timeout: str) -> AsyncIterator[Rig]:
    async with http_rig(kind, timeout=timeout) as (rig, _):
        yield rig


RIGS: dict[str, Callable[[Path, str], AbstractAsyncContextManager[Rig]]] = {
    "email": email_rig,
    "file": file_rig,
    "console": console_rig,
    "webhook": lambda _, timeout: plain_http_rig("webhook", timeout),
    "discord": lambda _, timeout: plain_http_rig("discord", timeout),
    "apprise": apprise_rig,
    "command": command_rig,
}


def with_rig(kind: str, folder: Path, use: Callable[[Rig], Awaitable[Any]], timeout: str = PLENTY) -> Any:
    assert kind in RIGS, f"tell RIGS how to try a sink of the kind {kind}"

    async def run() -> Any:
        async with RIGS[kind](folder, timeout) as rig:
            return await use(rig)

    return asyncio.run(run())


def words(report: Report) -> str:
    """All that a report can bring before people's eyes."""
    return f"{report.outcome!r} {report.body!r} {report.answer} {report.progress!r}"
