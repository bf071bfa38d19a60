import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.redaction import redact
from sinks.apprise import AppriseSettings
from sinks.registry import KINDS, SinkKinds

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"url": "canary-token-0123456789"}, "must be one Apprise URL"),
        ({"url": "tgram://canary-token-0123456789/1 json://x"}, "must be one Apprise URL"),
        *(({"url": f"{scheme}://canary-token-0123456789"}, "on the machine") for scheme in ("syslog", "DBUS", "kde")),
        ({"url": "syslog://"}, "on the machine"),
        ({"url": "ntfy://canary-token-0123456789", "body": "a", "markdown": "b"}, "give one"),
        ({"url": "ntfy://canary-token-0123456789", "title": "{{"}, "title"),
        ({"url": "ntfy://canary-token-0123456789", "attach": "/etc/passwd"}, "not permitted"),
        ({}, "required"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_at_once(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as error:
        AppriseSettings.model_validate(values)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("tgram://123456789:ABC-canary_token/-100200300/", ["123456789", "ABC-canary_token", "-100200300"]),
        ("discord://4174216298/JHMHI8qBe7bk2Zw", ["4174216298", "JHMHI8qBe7bk2Zw"]),
        ("mailto://shop:canary%20pw@mail.example?smtp=x.example&token=Canary12", ["canary pw", "Canary12"]),
        ("jsons://shop:short!@host.example/T0k3nT0k3n", ["short!", "T0k3nT0k3n"]),
    ],
)
def test_every_part_of_the_url_is_a_secret_by_itself(url: str, secrets: list[str]) -> None:
    AppriseSettings.model_validate({"url": url})
    for secret in secrets:
        assert redact(f"said {secret} back") == "said *** back"
    for innocent in ("mail.example", "host.example", "truncate"):
        assert redact(innocent) == innocent


def run(code: str) -> str:
    """What another Python prints, which has imported nothing yet."""
    command = [sys.executable, "-c", f"import sys; from sinks.registry import SinkKinds\n{code}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_nobody_who_does_not_use_it_pays_for_it() -> None:
    others = [kind for kind in KINDS if kind != "apprise"]
    code = f"[SinkKinds().load(kind) for kind in {others}]; print([name for name in sys.modules if 'apprise' in name])"
    assert run(f"import daemon.app.daemon; {code}") == "[]"


def test_a_missing_package_says_how_to_install_it() -> None:
    code = "sys.modules['apprise'] = None\ntry: SinkKinds().load('apprise')\nexcept ImportError as error: print(error)"
    assert run(code) == (
        'the sink type "apprise" needs the Python package "apprise"; to install it: '
        'make install APPRISE=1, pip install "eventferry[apprise]", or docker build --build-arg APPRISE=1'
    )


def test_the_kind_is_known_where_its_package_is_missing() -> None:
    assert "apprise" in SinkKinds().names()
