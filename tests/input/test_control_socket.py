"""What may come down the control socket, and what may sit at its other end (I16, F49)."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from daemon.app.operator import Operator
from daemon.clock import wall_now
from daemon.control import LONGEST_LINE, MOST_CLIENTS, CommandRefused, ControlServer, ask
from daemon.store import Store
from tests.input.telling import GOOD, refused, written

NOT_A_COMMAND = "not a command this version understands"
LISTS = "must be a list of texts"

ORDERS: dict[str, tuple[Any, str]] = {
    "keys that are a number": ({"command": "replay", "arguments": {"keys": 5}}, f"keys: {LISTS}"),
    "keys that are a text": ({"command": "replay", "arguments": {"keys": "4711"}}, f"keys: {LISTS}"),
    "keys that are a table": ({"command": "replay", "arguments": {"keys": {"a": 1}}}, f"keys: {LISTS}"),
    "keys of numbers": ({"command": "replay", "arguments": {"keys": [4711]}}, f"keys: {LISTS}"),
    "sinks in lists": ({"command": "replay", "arguments": {"sinks": [["mail"]]}}, f"sinks: {LISTS}"),
    "a sink to add that is true": ({"command": "replay", "arguments": {"add_to": True}}, f"add_to: {LISTS}"),
    "a sink to add of a surrogate": ({"command": "replay", "arguments": {"add_to": ["\ud800"]}}, "? is not in the"),
    "a state that is none": ({"command": "replay", "arguments": {"states": ["\x1b[2J"]}}, "is no state to replay from"),
    "states that are no number": ({"command": "replay", "arguments": {"states": float("nan")}}, f"states: {LISTS}"),
    "a time that is a number": ({"command": "replay", "arguments": {"since": 5}}, "since: must be a time in the form"),
    "a time that is none": ({"command": "replay", "arguments": {"since": "soon"}}, "since: must be a time in the form"),
    "a time before all": ({"command": "replay", "arguments": {"since": "0001-01-01T00:00:00+23:59"}}, "since: must be"),
    "a sink that is a list": ({"command": "stop_sink", "arguments": {"name": ["x"]}}, "no sink is called ['x']"),
    "a sink that is a surrogate": ({"command": "resume_sink", "arguments": {"name": "\udfff"}}, "no sink is called ?"),
    "a sink that is not named": ({"command": "stop_sink"}, "no sink is called None"),
    "a command in a list": ([{"command": "pause"}], NOT_A_COMMAND),
    "a command with a NUL": ({"command": "pause\0"}, NOT_A_COMMAND),
    "arguments that are pairs of three": ({"command": "pause", "arguments": [[1, 2, 3]]}, NOT_A_COMMAND),
}


@contextmanager
def _commands(folder: Path) -> Iterator[Callable[[bytes], Any]]:
    """The real commands on a real database, for lines as they come."""
    runner = asyncio.Runner()
    store = Store(folder / "eventferry.db", wall_now)
    server = ControlServer(folder / "s", Operator(store, {}).commands())
    runner.run(store.database.open())
    try:
        yield lambda line: runner.run(server.answer(line))
    finally:
        runner.run(store.database.close())
        runner.close()


def test_an_order_that_makes_no_sense_is_refused_in_a_line_and_is_no_crash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with _commands(tmp_path) as answer:
        for name, (order, words) in ORDERS.items():
            told = answer(json.dumps(order).encode() + b"\n")
            assert list(told) == ["refused"], name
            assert words in told["refused"], name
        assert answer(b'{"command":"pause"}\n') == {"answer": {"paused": True}}
        assert answer(b'{"command":"replay","arguments":{"keys":["\\ud800"]}}\n') == {
            "answer": {"deliveries": 0, "left_out": 0}
        }
    assert "command.crashed" not in caplog.text


LINES = {
    "UTF-16": '{"command":"pause2"}\n'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + b'{"command":"pause2"}\n',
    "nothing but NULs": b"\0" * 1000 + b"\n",
    "a number of 5,000 digits": b'{"command":' + b"9" * 5000 + b"}\n",
    "a key twice": b'{"command":"pause2","command":"pause3"}\n',
    "100,000 tables": b'{"a":' * 100_000 + b"\n",
    "NaN for a command": b'{"command":NaN}\n',
    "a TLS greeting": bytes.fromhex("16030100a5010000a10303") + b"\n",
    "an SQL statement": b"DROP TABLE events;\n",
    "a line without its end": b'{"command":"pause"',
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_no_order_is_refused(tmp_path: Path, name: str) -> None:
    server = ControlServer(tmp_path / "s", {})
    assert asyncio.run(server.answer(LINES[name])) == {"refused": NOT_A_COMMAND}


def test_clients_that_never_say_what_they_want_are_too_few_to_matter(tmp_path: Path) -> None:
    """F49: 300 half-open connections keep neither memory nor places; the next one to leave makes room."""

    async def scenario() -> None:
        server = ControlServer(tmp_path / "s", {"ping": _ping})
        await server.start()
        try:
            crowd = [await asyncio.open_unix_connection(str(server.path)) for _ in range(300)]
            for _, writer in crowd:
                writer.write(b'{"command":')
            reading = {asyncio.create_task(_hung_up(reader)) for reader, _ in crowd}
            async with asyncio.timeout(20):
                while len(reading) > MOST_CLIENTS:
                    left, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*left)
            await asyncio.wait(reading, timeout=0.2)
            assert sum(not task.done() for task in reading) == MOST_CLIENTS
            for _, writer in crowd:
                writer.close()
            async with asyncio.timeout(20):
                while await asyncio.to_thread(_asked, server.path) != {"pong": True}:
                    pass  # the first to leave makes room
        finally:
            await server.stop()

    asyncio.run(scenario())


async def _ping(arguments: Any) -> Any:
    return {"pong": True}


async def _hung_up(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        assert await reader.read(1) == b""


def _asked(path: Path) -> Any:
    try:
        return ask(path, "ping", {})
    except CommandRefused:
        return None


def test_a_line_that_never_ends_is_cut_off_at_its_bound(tmp_path: Path) -> None:
    async def scenario() -> int:
        server = ControlServer(tmp_path / "s", {})
        await server.start()
        sent = 0
        try:
            _, writer = await asyncio.open_unix_connection(str(server.path))
            while sent < 50 * LONGEST_LINE:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        except ConnectionError:
            pass
        finally:
            await server.stop()
        return sent

    assert asyncio.run(scenario()) < 10 * LONGEST_LINE


IMPOSTORS = {
    "one that hangs up": (b"", "the daemon hung up"),
    "one that greets": (b"SSH-2.0-OpenSSH_9.2\r\n", "the daemon did not answer"),
    "one that says a number": (b"5\n", "what answers there is no daemon of ours"),
    "one that says a list": (b'["answer"]\n', "what answers there is no daemon of ours"),
    "one that says nothing": (b"null\n", "what answers there is no daemon of ours"),
    "one that talks in riddles": (b"[" * 100_000 + b"\n", "the daemon did not answer"),
    "one that refuses a list": (b'{"refused":["\\u001b[2J"]}\n', "['\\x1b[2J']"),
    "one that says half a line": (b'{"answer":', "the daemon did not answer"),
    "one that never stops": (b"x" * (20 * 1024 * 1024), "the daemon did not answer"),
}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_what_is_no_daemon_of_ours_is_one_line(tmp_path: Path, name: str) -> None:
    says, words = IMPOSTORS[name]
    written(tmp_path, GOOD)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "eventferry.db.sock"))
        listener.listen()
        thread = threading.Thread(target=_answer_once, args=(listener, says))
        thread.start()
        began = time.monotonic()
        line = refused(tmp_path, "pause", code=1)
        assert time.monotonic() - began < 30
        thread.join(30)
    assert words in line


def _answer_once(listener: socket.socket, says: bytes) -> None:
    client, _ = listener.accept()
    with client:
        client.recv(65536)
        try:
            client.sendall(says)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has heard enough
