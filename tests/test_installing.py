"""The unit, the image, and what the README says of them: each has to agree with what the program takes for granted."""

import configparser
import re
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.app.advice import SERVICE_SECRETS
from daemon.app.check import CONFIG_WRONG, FORBIDDEN, SERVICE_FOLDER
from daemon.app.setup import SERVICE_DATABASE, SERVICE_DIRECTORY
from daemon.settings.model import DaemonSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRONGLY_CALLED = 2
UNIT = configparser.ConfigParser(interpolation=None, strict=False)
UNIT.optionxform = str  # type: ignore[assignment, method-assign]
UNIT.read(ROOT / "systemd" / "eventferry.service")
SERVICE = UNIT["Service"]


def test_the_unit_keeps_everything_where_the_program_looks_for_it() -> None:
    assert SERVICE["ExecStart"].endswith(f" --config {SERVICE_DIRECTORY}/config.toml")
    assert SERVICE["LoadCredential"] == f"secrets:{SERVICE_SECRETS}"
    assert Path("/etc") / SERVICE["ConfigurationDirectory"] == SERVICE_SECRETS == SERVICE_DIRECTORY / "secrets"
    assert Path("/var/lib") / SERVICE["StateDirectory"] == SERVICE_FOLDER == Path(SERVICE_DATABASE).parent


def test_the_unit_is_not_started_again_for_what_would_end_the_same_way() -> None:
    assert SERVICE["Restart"] == "always"
    assert SERVICE["RestartPreventExitStatus"].split() == [str(WRONGLY_CALLED), str(FORBIDDEN), str(CONFIG_WRONG)]


def test_the_unit_gives_running_deliveries_the_time_that_they_have() -> None:
    assert timedelta(seconds=int(SERVICE["TimeoutStopSec"])) > DaemonSettings().stop_timeout


def test_the_folder_that_the_readme_makes_belongs_to_the_images_account() -> None:
    account = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    volume = re.search(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    folder = re.search(r"^sudo install -d -o (\d+) -g (\d+) -m 0700 (\S+)$", README, re.MULTILINE)
    assert account
    assert volume
    assert folder
    assert folder.groups()[:2] == account.groups()
    runs = re.findall(r"^docker run .* -v (\S+):(\S+) eventferry\b", README, re.MULTILINE)
    assert runs == [(folder[3], volume[1])] * 2
    assert f"STATE_DIRECTORY={volume[1]}\n" in DOCKERFILE
    assert f"WORKDIR {volume[1]}\n" in DOCKERFILE


@pytest.mark.parametrize("page", [page for page in PAGES if "\ndocker build" in page.read_text()], ids=lambda p: p.name)
def test_every_image_that_a_page_builds_gets_the_name_by_which_it_is_run(page: Path) -> None:
    for line in re.findall(r"^docker build .*$", page.read_text(), re.MULTILINE):
        assert " -t eventferry ." in line
        for argument in re.findall(r"--build-arg (\w+)=", line):
            assert f"\nARG {argument}\n" in DOCKERFILE


def test_no_page_names_a_python_that_only_some_systems_have() -> None:
    """A command's program is found on the PATH of the service and of the image alike."""
    assert [page.name for page in PAGES if re.search(r'command = \[.*"/\S*/python3?"', page.read_text())] == []
