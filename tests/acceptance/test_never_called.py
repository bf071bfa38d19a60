"""S6: link-local and metadata addresses are never called, however they are spelt or come to be meant (M12)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import never_called
from tests.acceptance.never_called import BARRED, BARRED_6, NAMESERVER
from tests.acceptance.test_isolation import mounted, needs_unshare

NEVER = "it lies at a link-local or cloud metadata address, which is never called"
ELSEWHERE = {
    NEVER,
    "refused in the config",
    "the request could not be made (check the URL and headers)",
    "its name could not be resolved",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of every call, in a network where all those addresses answer."""
    if shutil.which("ip") is None:
        pytest.skip("needs the program ip")
    folder = tmp_path_factory.mktemp("network")
    six = Path("/proc/net/if_inet6").exists()
    files = {"resolv_conf": f"nameserver {NAMESERVER}\n", "nsswitch_conf": "hosts: files dns\n", "hosts": ""}
    script = " && ".join([*never_called.network(six), 'exec "$@"'])
    options = [] if six else ["--without-ipv6"]
    ended = subprocess.run(
        [
            *("unshare", "-n", "sh", "-c", script, "sh"),
            *mounted(folder, **files),
            *(sys.executable, "-m", "tests.acceptance.never_called", *options),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    results: dict[str, Any] = json.loads(ended.stdout)
    assert results["trap"] == [*BARRED, *(BARRED_6 if six else [])], "the addresses are not ours to watch"
    return results


@needs_unshare
def test_s6_no_spelling_of_such_an_address_is_called(seen: dict[str, Any]) -> None:
    assert len(seen["spellings"]) >= 19
    reasons = {url: set(said) for url, said in seen["spellings"].items()}
    assert {url: said for url, said in reasons.items() if not said <= ELSEWHERE} == {}
    barred = [url for url, said in reasons.items() if NEVER in said]
    assert len(barred) >= 15, "most were stopped by the guard itself"
    assert not set(seen["called"]) - {"127.0.0.1"}


@needs_unshare
def test_s6_of_a_name_only_the_addresses_that_may_be_called_are(seen: dict[str, Any]) -> None:
    assert seen["mixed"] == "HTTP 200"


@needs_unshare
def test_s6_a_name_is_looked_up_and_checked_anew_at_each_connection(seen: dict[str, Any]) -> None:
    assert seen["rebinding"] == ["HTTP 200", NEVER, NEVER]


@needs_unshare
def test_s6_a_redirect_there_is_not_followed(seen: dict[str, Any]) -> None:
    assert "redirects are not followed" in seen["redirect"]


@needs_unshare
def test_s6_the_host_never_comes_from_the_event(seen: dict[str, Any]) -> None:
    assert seen["in the data"] == "HTTP 200"
    assert seen["called"].count("127.0.0.1") == 4  # this one, the redirect, the mixed name, and before the rebinding
