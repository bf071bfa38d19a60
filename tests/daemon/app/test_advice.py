"""What an alert says to do: where the secret really is, and the command that fits how the daemon was started."""

import dataclasses
import os
from pathlib import Path

import pytest

from daemon.app.advice import advice, restart, typed
from daemon.app.build import load_settings
from daemon.settings import Loaded

URL = "https://discord.com/api/webhooks/123456/canary-webhook-91b2c3d4"
AGAIN = "sudo systemctl restart eventferry"


def config(folder: Path, url: str) -> Path:
    path = folder / "config.toml"
    path.write_text(
        '[sources.shop]\ntype = "builtbybit"\ntoken = "cred:token"\n'
        f'[sinks.sales]\ntype = "discord"\nurl = "{url}"\n'
        '[sinks.mail]\ntype = "email"\nhost = "mail.example"\nfrom = "a@b.example"\nto = ["a@b.example"]\n'
        'username = "a"\npassword = "file:deep/password"\n'
        '[sinks.hook]\ntype = "webhook"\nurl = "https://shop.example/x"\nbearer = "cred:bearer"\n'
        '[sinks.lines]\ntype = "file"\npath = "a.jsonl"\n'
    )
    path.chmod(0o600)
    for name, value in {
        "secrets/token": "0" * 32,
        "secrets/sales": URL,
        "secrets/bearer": "abc",
        "deep/password": "x",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(value)
    return path


def loaded(folder: Path, url: str = "cred:sales") -> Loaded:
    return load_settings(config(folder, url), os.environ)


def said(of: Loaded, name: str, reason: str = "gone", **environ: str) -> str:
    text = advice(of, AGAIN, name, reason, environ)
    assert text.endswith(f", then: {AGAIN}")
    assert "canary" not in text
    return text.removesuffix(f", then: {AGAIN}")


def test_it_names_the_file_behind_each_way_to_point_at_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALES_URL", URL)
    (tmp_path / "sales_url").write_text(URL)
    expected = {
        "cred:sales": f"Put a new URL into {tmp_path}/secrets/sales",
        "file:sales_url": f"Put a new URL into {tmp_path}/sales_url",
        "env:SALES_URL": "Put a new URL into the environment variable SALES_URL",
        URL: f"Put a new URL into {tmp_path}/config.toml (sinks.sales.url)",
    }
    assert {way: said(loaded(tmp_path, way), "sales") for way in expected} == expected
    over = said(loaded(tmp_path, URL), "sales", EVENTFERRY_SINKS__SALES__URL=URL)
    assert over == "Put a new URL into the environment variable EVENTFERRY_SINKS__SALES__URL"


def test_systemds_copy_of_a_credential_is_not_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our own unit it is the file that LoadCredential= names; of another's, only its name is known."""
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(copies))
    (copies / "secrets_sales").write_text(URL)
    place = {"CREDENTIALS_DIRECTORY": str(copies)}
    assert said(loaded(tmp_path), "sales", **place) == "Put a new URL into /etc/eventferry/secrets/sales"
    (copies / "sales").write_text(URL)
    assert said(loaded(tmp_path), "sales", **place) == "Put a new URL into the credential sales of the unit"


def test_it_says_what_is_most_likely_wrong_or_what_the_reason_names(tmp_path: Path) -> None:
    of = loaded(tmp_path)
    assert said(of, "hook", "HTTP 410 Gone") == f"Put a new URL into {tmp_path}/config.toml (sinks.hook.url)"
    refused = "HTTP 401 Unauthorized, for 5 events with no success between"
    assert said(of, "hook", refused) == f"Put a working token into {tmp_path}/secrets/bearer"
    assert said(of, "sales", f"Discord says so ({refused})") == f"Put a new URL into {tmp_path}/secrets/sales"
    assert said(of, "mail") == f"Put the right password into {tmp_path}/deep/password"
    assert said(of, "shop") == f"Put a working token into {tmp_path}/secrets/token"
    assert said(of, "lines") == f"Mend [sinks.lines] in {tmp_path}/config.toml"
    reason = "Discord says the thread is gone, not the webhook (10003): change thread_id"
    assert said(of, "sales", reason) == f"Change thread_id in [sinks.sales] of {tmp_path}/config.toml"


@pytest.mark.parametrize(
    ("cgroup", "command"),
    [
        ("0::/system.slice/eventferry.service\n", "sudo systemctl restart eventferry"),
        ("12:cpu:/x\n0::/system.slice/shop-events.service\n", "sudo systemctl restart shop-events"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/ferry.service\n",
            "systemctl --user restart ferry",
        ),
        ("nonsense", "sudo systemctl restart eventferry"),
    ],
)
def test_a_service_is_restarted_as_the_unit_that_it_is(tmp_path: Path, cgroup: str, command: str) -> None:
    (tmp_path / "cgroup").write_text(cgroup)
    of = loaded(tmp_path)
    for more in ({}, {"SYSTEMD_EXEC_PID": str(os.getpid())}):
        assert restart(of, {"INVOCATION_ID": "0123", **more}, tmp_path / "cgroup") == command


def test_what_was_started_by_hand_is_started_again_by_hand(tmp_path: Path) -> None:
    of = loaded(tmp_path)
    by_hand = f"eventferry run --config {tmp_path}/config.toml (after ctrl-C where it runs now)"
    by_a_shell = (7, 6)  # the tests themselves may run in a container, behind its init
    assert restart(of, {}, processes=by_a_shell) == by_hand
    in_terminal = {"INVOCATION_ID": "0123", "SYSTEMD_EXEC_PID": "1"}
    assert restart(of, in_terminal, processes=by_a_shell) == by_hand, "within a terminal's unit"


@pytest.mark.parametrize(
    ("processes", "environ", "command"),
    [
        ((1, 0), {"HOSTNAME": "5eb310db1e49"}, "docker restart 5eb310db1e49"),
        ((1, 0), {"HOSTNAME": "5eb310db1e49", "container": "podman"}, "podman restart 5eb310db1e49"),
        ((7, 1), {"HOSTNAME": "5eb310db1e49", "container": "podman"}, "podman restart 5eb310db1e49"),
        ((1, 0), {"HOSTNAME": "shop-server"}, "restart the container"),
        ((1, 0), {}, "restart the container"),
        ((7, 6), {"HOSTNAME": "5eb310db1e49", "container": "podman"}, None),
    ],
    ids=["docker", "podman", "behind an init", "named by its owner", "nameless", "by somebody within it"],
)
def test_a_container_is_restarted_by_its_id_if_that_is_known(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: tuple[int, int],
    environ: dict[str, str],
    command: str | None,
) -> None:
    monkeypatch.setattr("daemon.app.advice._MARKS_OF_CONTAINERS", ())  # the tests may run in one
    of = loaded(tmp_path)
    by_hand = f"eventferry run --config {tmp_path}/config.toml (after ctrl-C where it runs now)"
    assert restart(of, environ, processes=processes) == (command or by_hand)


def test_docker_leaves_a_mark_where_its_init_stands_before_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.app.advice._MARKS_OF_CONTAINERS", (tmp_path / "mark",))
    environ = {"HOSTNAME": "5eb310db1e49"}
    assert restart(loaded(tmp_path), environ, processes=(7, 1)).startswith("eventferry run ")
    (tmp_path / "mark").touch()
    assert restart(loaded(tmp_path), environ, processes=(7, 1)) == "docker restart 5eb310db1e49"


@pytest.mark.parametrize("again", ["docker restart 5eb3", "podman restart 5eb3", "restart the container"])
def test_a_container_has_to_be_made_anew_for_another_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """A restart keeps the environment that it was made with; a file is read again."""
    monkeypatch.setenv("SALES_URL", URL)
    assert advice(loaded(tmp_path, "env:SALES_URL"), again, "sales", "gone", {}) == (
        "Make the container anew, with a new URL in the environment variable SALES_URL: "
        "it keeps those that it was made with"
    )
    in_a_file = advice(loaded(tmp_path), again, "sales", "gone", {})
    assert in_a_file == f"Put a new URL into {tmp_path}/secrets/sales, then: {again}"


@pytest.mark.parametrize(
    ("again", "command"),
    [
        ("sudo systemctl restart eventferry", "sudo eventferry status"),
        ("systemctl --user restart eventferry", "eventferry status"),
        ("docker restart 0123456789ab", "docker exec 0123456789ab eventferry status"),
        ("podman restart 0123456789ab", "podman exec 0123456789ab eventferry status"),
        ("restart the container", "eventferry status"),
        ("eventferry run (after ctrl-C where it runs now)", "eventferry status"),
    ],
)
def test_a_command_of_ours_works_as_it_is_told_in_any_folder(tmp_path: Path, again: str, command: str) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    of = loaded(folder)
    assert typed(of, again, "status") == f"{command} --config '{of.path}'"
    for path in (None, Path("/etc/eventferry/config.toml")):
        assert typed(dataclasses.replace(of, path=path), again, "status") == command
