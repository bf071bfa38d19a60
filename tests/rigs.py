"""Every kind of sink with a receiver to be tried with."""

import asyncio
import base64
import email
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.contract import Report, Sink
from daemon.http import Http
from sinks.registry import SinkKinds
from tests.receivers import Answer, HttpReceiver, Request, http_receiver, keep_silent, mailbox, reply

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


def build(kind: str, **values: Any) -> Sink:
    loaded = SinkKinds().load(kind)
    return loaded.build(loaded.settings.model_validate(values), Http())


HTTP_SETTINGS: dict[str, Callable[[HttpReceiver], dict[str, Any]]] = {
    "webhook": lambda receiver: {
        "url": f"http://ann:{PASSWORD}@127.0.0.1:{receiver.port}/{TOKEN}",
        "secret": SECRET,
        "headers": {"X-Key": KEY},
        "timeout": "1s",
    },
    "discord": lambda receiver: {"url": f"{receiver.url}/api/webhooks/1/{TOKEN}", "timeout": "1s"},
}
IDENTITIES: dict[str, Callable[[Request], str]] = {
    "webhook": lambda request: request.headers["webhook-id"],
    "discord": lambda request: json.loads(request.body)["embeds"][0]["footer"]["text"],
}


@asynccontextmanager
async def http_rig(kind: str, answer: Answer | None = None) -> AsyncIterator[tuple[Rig, HttpReceiver]]:
    async with http_receiver(answer) as receiver:

        def stall() -> asyncio.Event:
            receiver.arrived.clear()
            receiver.answer = keep_silent
            return receiver.arrived

        rig = Rig(
            sink=build(kind, **HTTP_SETTINGS[kind](receiver)),
            identities=lambda: [IDENTITIES[kind](request) for request in receiver.requests],
            stall=stall,
            recover=lambda: setattr(receiver, "answer", reply()),
        )
        yield rig, receiver
        await rig.sink.close()


@asynccontextmanager
async def email_rig(_: Path) -> AsyncIterator[Rig]:
    async with mailbox() as box:

        def stall() -> asyncio.Event:
            box.arrived.clear()
            box.silent_at_data = True
            return box.arrived

        values = {"host": "127.0.0.1", "port": box.port, "security": "none", "timeout": "1s"}
        yield Rig(
            sink=build("email", **values, **{"from": "shop@shop.example", "to": ["ann@x.example", "ben@y.example"]}),
            identities=lambda: [email.message_from_bytes(content)["Message-ID"] for _, content in box.mails],
            stall=stall,
            recover=lambda: setattr(box, "silent_at_data", False),
        )


@asynccontextmanager
async def file_rig(folder: Path) -> AsyncIterator[Rig]:
    path = folder / "events.jsonl"
    rig = Rig(
        sink=build("file", path=path),
        identities=lambda: [json.loads(line)["delivery_id"] for line in path.read_text().splitlines()],
        stall=lambda: None,
    )
    yield rig
    await rig.sink.close()


@asynccontextmanager
async def console_rig(_: Path) -> AsyncIterator[Rig]:
    yield Rig(sink=build("console"), identities=list, stall=lambda: None)


@asynccontextmanager
async def plain_http_rig(kind: str) -> AsyncIterator[Rig]:
    async with http_rig(kind) as (rig, _):
        yield rig


RIGS: dict[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {
    "email": email_rig,
    "file": file_rig,
    "console": console_rig,
    "webhook": lambda _: plain_http_rig("webhook"),
    "discord": lambda _: plain_http_rig("discord"),
}


def with_rig(kind: str, folder: Path, use: Callable[[Rig], Awaitable[Any]]) -> Any:
    assert kind in RIGS, f"tell RIGS how to try a sink of the kind {kind}"

    async def run() -> Any:
        async with RIGS[kind](folder) as rig:
            return await use(rig)

    return asyncio.run(run())


def words(report: Report) -> str:
    """All that a report can bring before people's eyes."""
    return f"{report.outcome!r} {report.body!r} {report.answer} {report.progress!r}"
