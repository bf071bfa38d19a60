"""The control socket: only its owner's, one line each way, and nothing that a client does harms the daemon."""

import asyncio
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.control import (
    CommandRefused,
    NotRunning,
    ask,
    socket_path,
)
from tests.daemon.commanding import asked, serving


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_command_is_carried_out_and_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = socket_path(tmp_path / "eventferry.db")
        assert path == tmp_path / "eventferry.db.sock"
        async with serving(path):
            assert await asked(path, "echo", {"a": [1, None, "ä\n"]}) == {"a": [1, None, "ä\n"]}
            with pytest.raises(CommandRefused, match="no sink is called sails"):
                await asked(path, "refuse")
            with pytest.raises(CommandRefused, match="not a command this version understands"):
                await asked(path, "unheard_of")

    asyncio.run(scenario())


def test_a_command_that_crashes_tells_the_log_and_not_the_caller(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        async with serving(path):
            with pytest.raises(CommandRefused) as raised:
                await asked(path, "crash")
            assert str(raised.value) == "the command failed; the daemon's log says why"
            assert await asked(path, "echo") == {}

    asyncio.run(scenario())
    assert "command.crashed" in caplog.text


def test_the_socket_is_its_owners_only_and_goes_when_the_daemon_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        before = os.umask(0)
        try:
            async with serving(path):
                mode = path.stat().st_mode
                assert stat.S_ISSOCK(mode)
                assert stat.S_IMODE(mode) == 0o600
                assert os.umask(0) == 0
        finally:
            os.umask(before)
        assert not path.exists()
        with pytest.raises(NotRunning):
            await asked(path, "echo")

    asyncio.run(scenario())


def test_a_socket_left_behind_by_a_killed_process_is_nobody_and_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        with pytest.raises(NotRunning):
            await asked(path, "echo")
        async with serving(path):
            assert await asked(path, "echo") == {}

    asyncio.run(scenario())


def test_no_daemon_is_no_traceback(tmp_path: Path) -> None:
    for path in (tmp_path / "s", tmp_path / "no" / "folder" / "s"):
        with pytest.raises(NotRunning):
            ask(path, "echo", {})


def test_a_folder_too_deep_for_a_sockets_name_is_not_too_deep(tmp_path: Path) -> None:
    async def scenario() -> None:
        folder = tmp_path / ("d" * 200) / ("e" * 200)
        folder.mkdir(parents=True)
        path = folder / "eventferry.db.sock"
        assert len(str(path)) > 400
        async with serving(path):
            assert await asked(path, "echo", {"a": 1}) == {"a": 1}
            assert path.exists()
        assert not path.exists()

    asyncio.run(scenario())


def test_starting_and_stopping_leaves_no_open_files(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        async with serving(path):
            await asked(path, "echo")
        before = open_files()
        for _ in range(5):
            async with serving(path):
                await asked(path, "echo")
            await asyncio.sleep(0.01)
        assert open_files() <= before

    asyncio.run(scenario())


def test_a_stop_ends_commands_that_are_under_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "s"
        arrived, ended = asyncio.Event(), False

        async def slow(arguments: Mapping[str, Any]) -> Any:
            nonlocal ended
            arrived.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended = True

        async with serving(path, slow=slow):
            waiting = asyncio.create_task(asked(path, "slow"))
            await arrived.wait()
        assert ended
        with pytest.raises(CommandRefused, match=r"hung up|did not answer"):
            await waiting

    asyncio.run(scenario())
