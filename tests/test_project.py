"""The project's own files: locks, import contracts, Makefile, and the rule that .ci/run skips nothing."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "requirements.txt": ("build", ()),
    "requirements-apprise.txt": ("build", ("apprise",)),
    "requirements-dev.txt": ("dev", ("apprise",)),
}
"""What each lock pins beside the dependencies: a group, and extras."""


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    # `make test` runs us, and a make within a make tells so.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = inherited | environment
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


# Locks


def entries(lock: str) -> list[str]:
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    return text.splitlines()


def pins(lock: str) -> dict[str, str]:
    """The locked version of each distribution that this machine needs."""
    locked = [Requirement(entry.partition("--hash")[0]) for entry in entries(lock)]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in locked
        if pin.marker is None or pin.marker.evaluate()
    }


def group(name: str) -> Iterator[str]:
    for item in PROJECT["dependency-groups"][name]:
        if isinstance(item, str):
            yield item
        else:
            yield from group(item["include-group"])


def wanted(roots: list[Requirement]) -> dict[str, list[Requirement]]:
    """Every distribution that the roots lead to, by what the installed ones say, with all that is asked of it."""
    found: dict[str, list[Requirement]] = {}
    seen = set()
    while roots:
        requirement = roots.pop()
        name = canonicalize_name(requirement.name)
        found.setdefault(name, []).append(requirement)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                asked = [Requirement(text) for text in requires(name) or []]
                roots += [one for one in asked if one.marker is None or one.marker.evaluate({"extra": extra})]
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_one_version_with_hashes_and_names_no_index(lock: str) -> None:
    for entry in entries(lock):
        assert re.fullmatch(r"[a-z0-9.-]+==[a-z0-9.]+( ; [^:;#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", entry), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_in_step_with_pyproject(lock: str) -> None:
    name, extras = LOCKS[lock]
    more = [text for extra in extras for text in PROJECT["project"]["optional-dependencies"][extra]]
    asked = wanted([Requirement(text) for text in [*PROJECT["project"]["dependencies"], *group(name), *more]])
    locked = pins(lock)
    assert sorted(asked) == sorted(locked)
    for name, requirements in asked.items():
        assert all(one.specifier.contains(locked[name], prereleases=True) for one in requirements), name


def test_all_locks_pin_the_same_versions() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-apprise.txt").items()
    assert pins("requirements-apprise.txt").items() <= pins("requirements-dev.txt").items()


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "Dockerfile"])
def test_setting_up_names_no_index_and_no_host(path: str) -> None:
    assert not re.search(r"://|(?<!no-emit-)index-url|find-links|trusted-host", (ROOT / path).read_text())


# Import contracts


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    for package in ("daemon", "sinks", "migrations"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return run(Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", cwd=tree, COLUMNS="500")


def test_the_tree_keeps_its_import_contracts(copied_tree: Path) -> None:
    result = lint_imports(copied_tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("daemon/retry.py", "import daemon.store", "daemon.retry is not allowed to import daemon.store:"),
        ("daemon/gate.py", "import daemon.lane", "daemon.gate is not allowed to import daemon.lane:"),
        ("daemon/clock.py", "import daemon.http", "daemon.clock is not allowed to import daemon.http:"),
        ("daemon/unlisted.py", "", "not listed as layers:\n\n- daemon.unlisted\n"),
        ("sinks/planted.py", "import daemon.store", "sinks is not allowed to import daemon.store:"),
        ("sinks/planted.py", "import daemon.sources", "sinks is not allowed to import daemon.sources:"),
        ("daemon/sources/planted.py", "import daemon.gate", "daemon.sources is not allowed to import daemon.gate:"),
        ("daemon/rounds/planted.py", "import sinks", "protected package sinks:\n\n- daemon.rounds.planted -> sinks "),
    ],
)
def test_a_planted_import_breaks_its_contract_alone(copied_tree: Path, module: str, line: str, complaint: str) -> None:
    with (copied_tree / module).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(copied_tree)
    assert result.returncode == 1
    assert complaint in result.stdout
    assert ", 1 broken." in result.stdout


# Makefile


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs the program make")


@needs_make
def test_make_alone_explains_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)
    explained = re.findall(r"^make (\w+) +\S.+$", run("make").stdout, re.M)
    assert phony
    assert explained == phony[1].split()


def pretending(folder: Path, lie: str) -> Path:
    """A Python that believes the lie about itself."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c 'import sys; {lie}; exec(sys.argv[2])' \"$@\"\n")
    python.chmod(0o755)
    return python


@needs_make
@pytest.mark.parametrize(
    ("lie", "answer"),
    [
        ("sys.version_info = (3, 9, 2)", "is Python 3.9, and Eventferry needs 3.11 or newer: install .* Docker"),
        ('sys.modules["ensurepip"] = None', r"apt-get install python3\.\d+-venv"),
        ("sys.exit(1)", "there is no working .* here"),
    ],
)
@pytest.mark.parametrize("target", ["test", "demo", "install"])
def test_a_python_that_will_not_do_gets_one_line(tmp_path: Path, target: str, lie: str, answer: str) -> None:
    for file in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / file, tmp_path)
    before = {*tmp_path.iterdir(), tmp_path / "python"}
    result = run("make", target, f"PYTHON={pretending(tmp_path, lie)}", f"DESTDIR={tmp_path}/root", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.fullmatch(rf".*{answer}.*\n", result.stderr)
    assert {*tmp_path.iterdir()} == before


@needs_make
@pytest.mark.parametrize(
    ("option", "there", "lock"),
    [
        ("APPRISE=", False, "requirements.txt"),
        ("APPRISE=1", False, "requirements-apprise.txt"),
        ("APPRISE=", True, "requirements-apprise.txt"),
    ],
)
def test_the_service_gets_apprise_if_asked_and_keeps_it(tmp_path: Path, option: str, there: bool, lock: str) -> None:
    if there:
        (tmp_path / "opt/eventferry/lib/python3.11/site-packages/apprise").mkdir(parents=True)
    result = run("make", "--dry-run", "install", f"PYTHON={sys.executable}", f"DESTDIR={tmp_path}", option)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"--requirement (\S+);", result.stdout) == [lock]


def test_the_image_can_be_built_from_what_docker_may_read() -> None:
    wanted = re.search(r"^COPY (requirements\S* .*) \./$", (ROOT / "Dockerfile").read_text(), re.M)
    assert wanted
    assert {f"!{name}" for name in wanted[1].split()} <= {*(ROOT / ".dockerignore").read_text().splitlines()}


# Skips


def outcome_of_a_skip(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_one.py").write_text("import pytest\ndef test_one(): pytest.skip('no such program')\n")
    (folder / "test_all.py").write_text("import pytest\npytest.skip('not here', allow_module_level=True)\n")
    options = ("-ra", "--continue-on-collection-errors", "--rootdir", folder)
    return run(sys.executable, "-m", "pytest", *options, cwd=folder, **environment)


def test_a_skip_fails_where_nothing_may_be_skipped(tmp_path: Path) -> None:
    result = outcome_of_a_skip(tmp_path, NO_SKIP="1")
    assert result.returncode == 1
    assert "no such program (nothing may be skipped" in result.stdout
    assert "1 failed, 1 error in" in result.stdout


def test_a_skip_is_only_told_elsewhere(tmp_path: Path) -> None:
    result = outcome_of_a_skip(tmp_path, NO_SKIP="")
    assert "no such program" in result.stdout
    assert "2 skipped in" in result.stdout
