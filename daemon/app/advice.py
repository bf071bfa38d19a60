"""What to do about a sink or source that will not have us: where its secret is, and how this process is restarted."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from daemon.secrets import Secret, credential_paths
from daemon.settings import Loaded
from daemon.settings.load import PLACES

SERVICE_SECRETS = Path("/etc/eventferry/secrets")
"""What systemd/eventferry.service loads its credentials from."""
FOUND_ANYWHERE = PLACES[-1]
"""The config that needs not be named."""
_LIKELY = {
    "url": "a new URL",
    "password": "the right password",
    "bearer": "a working token",
    "token": "a working token",
}
"""By key, what a receiver that shuts us out most likely wants; the first that a table has."""
_UNKNOWN_TO_IT = re.compile(r"\bHTTP 40[13]\b")
"""It knows the address, and not who calls."""
_VARIABLE = "the environment variable "
_CONTAINER_AGAIN = ("docker restart ", "podman restart ", "restart the container")
_MARKS_OF_CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_OWN_ID = re.compile(r"[0-9a-f]{12}")
"""The host name that Docker and Podman give a container unless told otherwise: the beginning of its id."""


def advice(loaded: Loaded, again: str, name: str, reason: str, environ: Mapping[str, str] = os.environ) -> str:
    """What to do about a sink or source that was shut for this reason, in one sentence that ends in a command.

    `again` is the command that `restart` names.
    """
    section = "sinks" if name in loaded.settings.sinks else "sources"
    table = loaded.settings.sinks.get(name) or loaded.settings.sources.get(name)
    words = set(re.findall(r"[a-z]+(?:_[a-z]+)+", reason))
    if table is not None and (named := words & set(type(table).model_fields)):
        return f"Change {named.pop()} in [{section}.{name}] of {_config(loaded)}, then: {again}"
    address_last = bool(_UNKNOWN_TO_IT.search(reason))
    for key, thing in sorted(_LIKELY.items(), key=lambda each: address_last and each[0] == "url"):
        value = getattr(table, key, None)
        if isinstance(value, Secret):
            place = _place(loaded, value, f"{section}.{name}.{key}", environ)
            if place.startswith(_VARIABLE) and again.startswith(_CONTAINER_AGAIN):
                return f"Make the container anew, with {thing} in {place}: it keeps those that it was made with"
            return f"Put {thing} into {place}, then: {again}"
    return f"Mend [{section}.{name}] in {_config(loaded)}, then: {again}"


def _config(loaded: Loaded) -> str:
    return str(loaded.path.absolute()) if loaded.path else "the environment"


def restart(
    loaded: Loaded,
    environ: Mapping[str, str] = os.environ,
    cgroup: Path = Path("/proc/self/cgroup"),
    processes: tuple[int, int] | None = None,
) -> str:
    """The command that makes the process that runs now read its config again; `processes`: its id and its parent's."""
    # Set for the main process of a unit; what a unit's process starts inherits only the first.
    # https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
    main_process = environ.get("SYSTEMD_EXEC_PID", str(os.getpid())) == str(os.getpid())
    if environ.get("INVOCATION_ID") and main_process:
        unit, of_user = _unit(cgroup)
        return f"systemctl --user restart {unit}" if of_user else f"sudo systemctl restart {unit}"
    process, parent = processes or (os.getpid(), os.getppid())
    # Started by the container itself or its init, and not by somebody within it.
    if process == 1 or (parent == 1 and _in_container(environ)):
        return _container_again(environ)
    config = f" --config {shlex.quote(str(loaded.path.absolute()))}" if loaded.path else ""
    return f"eventferry run{config} (after ctrl-C where it runs now)"


def typed(loaded: Loaded, again: str, arguments: str) -> str:
    """One of our commands as it works where the daemon runs, in any folder; `again` is the command of `restart`."""
    container = re.fullmatch(r"(docker|podman) restart (\S+)", again)
    way = f"{container[1]} exec {container[2]} " if container else "sudo " if again.startswith("sudo ") else ""
    path = loaded.path.absolute() if loaded.path else FOUND_ANYWHERE
    config = "" if path == FOUND_ANYWHERE else f" --config {shlex.quote(str(path))}"
    return f"{way}eventferry {arguments}{config}"


def _in_container(environ: Mapping[str, str]) -> bool:
    """Podman sets the variable, and leaves no mark under a root that cannot be written."""
    return "container" in environ or any(mark.exists() for mark in _MARKS_OF_CONTAINERS)


def _container_again(environ: Mapping[str, str]) -> str:
    host = environ.get("HOSTNAME", "")
    if not _OWN_ID.fullmatch(host):  # it has the machine's network, a name of its owner's, or is a pod
        return "restart the container"
    return f"{'podman' if environ.get('container') == 'podman' else 'docker'} restart {host}"


def _unit(cgroup: Path) -> tuple[str, bool]:
    """The unit that this process belongs to, and whether a user's manager runs it."""
    try:
        *_, group = cgroup.read_text().strip().splitlines()[-1].partition("::")
    except (OSError, IndexError):
        group = ""
    name = Path(group).name
    return (name.removesuffix(".service") if name.endswith(".service") else "eventferry"), "/user@" in group


def _place(loaded: Loaded, secret: Secret, key: str, environ: Mapping[str, str]) -> str:
    """Where a secret's value comes from, without the value."""
    scheme, _, name = (secret.reference or "").partition(":")
    match scheme:
        case "file":
            return str((loaded.directory / name).absolute())
        case "env":
            return f"{_VARIABLE}{name}"
        case "cred":
            return _credential(name, loaded.directory, environ)
    variable = f"EVENTFERRY_{key.replace('.', '__').upper()}"
    if loaded.path is None or variable in environ:
        return f"{_VARIABLE}{variable}"
    return f"{_config(loaded)} ({key})"


def _credential(name: str, directory: Path, environ: Mapping[str, str]) -> str:
    """The file behind "cred:NAME"; systemd's is a copy, made at start from what the unit names."""
    found = next((path for path in credential_paths(name, directory) if _is_there(path)), directory / "secrets" / name)
    systemd = environ.get("CREDENTIALS_DIRECTORY")
    if systemd and found.parent == Path(systemd):
        return str(SERVICE_SECRETS / name) if found.name == f"secrets_{name}" else f"the credential {name} of the unit"
    return str(found.absolute())


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
