"""What clients of the control socket may do, and cannot do to it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from daemon.control import (
    LONGEST_LINE,
    MOST_CLIENTS,
    CommandRefused,
)
from tests.daemon.commanding import asked, serving

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to try as another account")


async def raw(path: Path, sent: bytes, *, end: bool = True) -> bytes:
    """Speak to the socket as nobody should; all that it answers."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    with suppress(ConnectionError):
        writer.write(sent)
        if end:
            writer.write_eof()
        await writer.drain()
    with suppress(ConnectionError):
        async with asyncio.timeout(10):
            answer = await reader.read()
            writer.close()
            return answer
    writer.close()
    return b""


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"",
        b"nonsense\n",
        b"null\n",
        b"[]\n",
        b"5\n",
        b'"echo"\n',
        b"{}\n",
        b'{"command":null}\n',
        b'{"command":[]}\n',
        b'{"command":{"a":1}}\n',
        b'{"command":"Echo"}\n',
        b'{"command":"echo","arguments":5}\n',
        b'{"command":"echo","arguments":"abc"}\n',
        b'{"command":"echo","arguments":null}\n',
        b'{"command":"echo","arguments":[1]}\n',
        b'{"command":"echo"',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_command_is_refused_in_a_line(tmp_path: Path, line: bytes) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        async with serving(path):
            answer = await raw(path, line)
            assert json.loads(answer) == {"refused": "not a command this version understands"}
            assert answer.count(b"\n") == 1
            assert await asked(path, "echo") == {}

    asyncio.run(scenario())


def test_an_oversized_line_is_hung_up_on_and_a_long_one_is_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        async with serving(path):
            long = {"keys": ["k" * 50] * 15_000}
            assert await asked(path, "echo", long) == long
            assert await raw(path, b"x" * (LONGEST_LINE * 2) + b"\n") == b""
            with pytest.raises(CommandRefused, match=r"did not answer|hung up"):
                await asked(path, "echo", {"keys": ["k" * 100] * 30_000})
            assert await asked(path, "echo") == {}

    asyncio.run(scenario())


def test_clients_are_served_beside_each_other_and_a_silent_one_holds_nobody_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        arrived, released = asyncio.Event(), asyncio.Event()

        async def slow(arguments: Mapping[str, Any]) -> Any:
            arrived.set()
            await released.wait()
            return "slow"

        async with serving(path, slow=slow):
            silent = await asyncio.open_unix_connection(str(path))
            waiting = asyncio.create_task(asked(path, "slow"))
            await arrived.wait()
            assert await asked(path, "echo", {"n": 1}) == {"n": 1}
            released.set()
            assert await waiting == "slow"
            silent[1].close()

    asyncio.run(scenario())


def test_more_clients_than_it_serves_are_hung_up_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        async with serving(path):
            crowd = [await asyncio.open_unix_connection(str(path)) for _ in range(MOST_CLIENTS + 4)]
            turned_away = 0
            for reader, _ in crowd:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        turned_away += await reader.read() == b""
            assert turned_away == 4
            for _, writer in crowd:
                writer.close()
            async with asyncio.timeout(5):
                while True:
                    with suppress(CommandRefused):
                        assert await asked(path, "echo") == {}
                        break

    asyncio.run(scenario())


def test_a_client_that_goes_away_early_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"

        async def large(arguments: Mapping[str, Any]) -> Any:
            return "x" * 5_000_000

        async with serving(path, large=large):
            for _ in range(5):
                _, writer = await asyncio.open_unix_connection(str(path))
                writer.write(b'{"command":"large"}\n')
                await writer.drain()
                writer.transport.abort()
            assert await asked(path, "echo") == {}

    asyncio.run(scenario())
    assert caplog.text == ""


@needs_root
def test_another_account_is_turned_away_by_the_file_and_by_the_kernels_word(tmp_path: Path) -> None:
    asking = (
        "import json, os, sys, pathlib\n"
        "from daemon.control import ask, CommandRefused\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: print(ask(pathlib.Path(sys.argv[1]), 'echo', {}))\n"
        "except CommandRefused as error: print('refused:', error)\n"
    )

    async def scenario() -> None:
        # Below a folder that others may enter, unlike pytest's own.
        path = Path(f"/tmp/eventferry-test-{os.getpid()}.sock")
        root = Path(__file__).parents[2]

        async def as_nobody() -> str:
            command = [sys.executable, "-c", asking, str(path)]
            environ = {**os.environ, "PYTHONPATH": str(root)}
            process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=STDOUT)
            return (await process.communicate())[0].decode()

        async with serving(path):
            assert "only the daemon's account and root may command it; use sudo" in await as_nobody()
            os.chmod(path, 0o666)  # noqa: PTH101
            assert "refused: the daemon" in await as_nobody()
            assert await asked(path, "echo") == {}

    asyncio.run(scenario())
