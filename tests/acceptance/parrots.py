"""Peers that repeat what they were sent, secrets and all: in statuses, headers, bodies, and in the words of SMTP."""

import asyncio
import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from tests.receivers import Answer, Request, Writer, reply


def _cut(heard: str) -> str:
    """The beginning of each word, as a careful receiver writes down a token."""
    return " ".join(word[:20] for word in re.split(r"[\s/=:&?]+", heard))


WAYS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda heard: json.dumps(heard)[1:-1].replace("/", "\\/"),
    "based": lambda heard: base64.b64encode(heard.encode("latin-1")).decode(),
    "based_on": lambda heard: base64.b64encode(b"1" + heard.encode("latin-1")).decode(),
    "based_upon": lambda heard: base64.urlsafe_b64encode(b"12" + heard.encode("latin-1")).decode(),
    "quoted": lambda heard: quote(heard, safe=""),
    "cut": _cut,
    "spaced": lambda heard: heard.replace("", " "),
}
"""How what was heard is repeated."""


def parrot(status: int, way: str) -> Answer:
    """Repeat a request in the body of an answer; in JSON wherever Discord or BuiltByBit have words of their own."""

    async def answer(request: Request, writer: Writer) -> None:
        say = WAYS[way]
        credentials = request.headers.get("authorization", request.target)
        lines = [*(f"{name}: {value}" for name, value in request.headers.items()), request.body.decode("latin-1")]
        heard = say("\n".join([credentials, f"{request.method} {request.target}", *lines]))
        words = {"message": heard, "code": 50001, "errors": {"content": {"_errors": [{"message": heard}]}}}
        envelope = {
            "result": "error",
            "error": {"code": say(credentials), "message": heard},
            "id": heard,
            "name": heard,
        }
        body = heard.encode() if way == "plain" else json.dumps(words | envelope).encode()
        headers = {"Location": say(request.target), "Retry_After": credentials, "X_Credentials": credentials}
        await reply(status, body, **headers)(request, writer)

    return answer


async def shout(request: Request, writer: Writer) -> None:
    """Repeat the credentials where the reason has its place, and then break HTTP."""
    words = request.headers.get("authorization", request.target)
    writer.write(f"HTTP/1.1 400 {words}\r\nBroken {words}\r\n\r\n".encode("latin-1"))


async def babble(request: Request, writer: Writer) -> None:
    """Speak no HTTP at all."""
    writer.write(f"{request.target} {request.headers}\r\n\r\n".encode("latin-1"))


class SmtpParrot:
    """A mail server that repeats the login at the stage where it refuses; with none, in its words of acceptance."""

    def __init__(self, stage: str, method: str) -> None:
        self._refuses = {"auth": "535 5.7.8", "mail": "451 4.3.0", "rcpt": "550 5.1.1", "data": "554 5.6.0"}.get(stage)
        self._stage = stage
        self._method = method

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        heard: list[str] = []

        def say(stage: str, otherwise: str) -> None:
            words = " ".join(heard)
            told = f"{self._refuses} {words}" if stage == self._stage else f"{otherwise} {words}"
            writer.write(f"{told[:490]}\r\n".encode("latin-1", "replace"))

        writer.write(b"220 parrot\r\n")
        while line := (await reader.readline()).decode("latin-1").strip():
            match line.upper().split()[0]:
                case "EHLO" | "HELO":
                    writer.write(f"250-parrot\r\n250 AUTH {self._method}\r\n".encode())
                case "AUTH":
                    given = line.split()[2:]
                    if self._method == "LOGIN":
                        writer.write(b"334 UGFzc3dvcmQ6\r\n")
                        given.append((await reader.readline()).decode().strip())
                    heard = [*given, *(base64.b64decode(one).decode().replace("\0", " ") for one in given)]
                    say("auth", "235 2.7.0")
                case "MAIL":
                    say("mail", "250 2.1.0")
                case "RCPT":
                    say("rcpt", "250 2.1.5")
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    say("data", "250 2.0.0")
                case "QUIT":
                    say("quit", "221 2.0.0")
                    return
                case _:
                    say("", "250 2.0.0")
