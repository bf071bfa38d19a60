"""The example of a package with a sink of its own: installed as its user would, and run by the real command."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import PATIENCE
from tests.receivers import http_receiver

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "eventferry-ntfy"
TOPIC = "canary-topic-0123456789abcdef"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, built by pip from a copy, with nothing from any index."""
    pytest.importorskip("pip")
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "package")
    target = tmp_path_factory.mktemp("site")
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return target


@pytest.fixture
def beside(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process of this test find the package."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]))


def eventferry(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_the_tests_of_the_example_pass(installed: Path, tmp_path: Path) -> None:
    (test,) = EXAMPLE.glob("test_*.py")
    shutil.copy(test, tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / test.name)],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.usefixtures("beside")
def test_the_kind_is_listed_with_the_package_that_brings_it(tmp_path: Path) -> None:
    lines = eventferry("sinks", "kinds", folder=tmp_path).stdout.splitlines()
    assert ["ntfy", "eventferry-ntfy", "1.0.0", "each", "event", "by", "itself"] in [line.split() for line in lines]


def test_an_event_reaches_the_sink_of_another_package(world: Callable[..., Any], tmp_path: Path, beside: None) -> None:
    async def scenario() -> None:
        async with world() as shop, http_receiver() as receiver:
            shop.configure(sinks=f'[sinks.phone]\ntype = "ntfy"\ntopic = "{TOPIC}"\nserver = "{receiver.url}"\n')
            checked = await asyncio.to_thread(eventferry, "check", "--connect", folder=shop.folder)
            assert checked.returncode == 0, checked.stdout
            assert "the ntfy server is there" in checked.stdout
            shop.sim.upstream.add_sample("purchase")
            await shop.start()
            await shop.until(lambda: not shop.sim.upstream.pending, PATIENCE)
            await shop.stop()
            published = [json.loads(request.body) for request in receiver.requests if request.method == "POST"]
            assert [message["topic"] for message in published] == [TOPIC]
            assert published[0]["title"].startswith("purchase ")
            (row,) = shop.rows("SELECT state, body FROM deliveries")
            assert row[0] == "delivered"
            assert TOPIC not in shop.log() + str(row[1])

    asyncio.run(scenario())
