"""A config that works, and a way to load one."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from daemon.settings import Loaded, load
from daemon.sources.registry import SOURCE_KINDS
from sinks.registry import SinkKinds

GOOD = """\
[daemon]
alerts = ["sales", "archive"]

[sources.bbb]
type = "builtbybit"
token = "cred:token"

[sinks.sales]
type = "discord"
url = "cred:discord"

[sinks.archive]
type = "file"
path = "events.jsonl"
"""

Load = Callable[..., Loaded]


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a config beside its two secrets, and load it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/token").write_text("canary-token-6c1d5e07\n")
    (tmp_path / "secrets/discord").write_text("https://discord.com/api/webhooks/123456/canary-webhook-91b2c3d4\n")

    def load_text(text: str | bytes, environ: Mapping[str, str] | None = None) -> Loaded:
        Path("config.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(Path("config.toml"), SinkKinds(), SOURCE_KINDS, environ or {})

    return load_text
