"""The place where the database lies: fit for one, owned by one process, marked."""

import fcntl
import os
import secrets
from pathlib import Path

from daemon.store.schema import StoreRefused

_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
}


class StoreMisplaced(StoreRefused):
    """The place cannot hold a database (exit code 78)."""

    exit_code = 78


class StoreForbidden(StoreRefused):
    """The account may not use the file (exit code 77)."""

    exit_code = 77


class StoreInUse(StoreRefused):
    """Another process owns this database (exit code 75)."""

    exit_code = 75


def require_usable_place(path: Path) -> None:
    """Refuse a place where a database cannot live. Raises StoreRefused."""
    folder = path.parent
    if not folder.is_dir():
        raise StoreMisplaced(f"{path}: the folder {folder} does not exist; make it, or set [daemon] database")
    if path.is_dir():
        raise StoreMisplaced(f"{path}: is a folder; [daemon] database must name a file")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise StoreForbidden(f"{path}: not writable for uid {os.geteuid()}; check the owner of the file and its folder")
    if (kind := _file_system(folder)) in _NETWORK_FILE_SYSTEMS:
        raise StoreMisplaced(
            f"{path}: lies on a network file system ({kind}), where SQLite loses data; use a local disk"
        )


def _file_system(folder: Path) -> str:
    """The type of the file system a folder lies on, "" where the kernel does not say."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    real = str(folder.resolve())
    for line in mounts:
        _, point, name, *_rest = line.split(" ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, name
    return kind


def give_to_owner(handle: int, folder: Path) -> None:
    """A file that root makes beside the database belongs to whom the folder belongs, so that the daemon can use it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def take_lock(path: Path) -> int:
    """Own the database until the process ends, however it ends. The file stays; only the lock counts."""
    lock_file = path.with_name(path.name + ".lock")
    lock = os.open(lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    give_to_owner(lock, path.parent)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StoreInUse(f"{path}: in use by the process {owner}; stop it first") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def read_or_make_key(key_file: Path) -> bytes:
    """The key of this installation, which also shows that a database once was here."""
    if not key_file.exists():
        handle = os.open(key_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(handle, key_file.parent)
            os.write(handle, secrets.token_hex(32).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    return bytes.fromhex(key_file.read_text().strip())
