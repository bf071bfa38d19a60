"""The place where the database lies: fit for one, owned by one process, marked."""

import asyncio
import fcntl
import os
import re
import secrets
import time
from pathlib import Path

from daemon.store.errors import StoreForbidden, StoreInUse, StoreMisplaced, StoreRefused

LOCK_LOOK_SECONDS = 0.05
_KEY_BYTES = 32
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


def require_usable_place(path: Path) -> None:
    """Refuse a place where a database cannot live. Raises StoreRefused."""
    folder = path.parent
    if not folder.is_dir():
        raise StoreMisplaced(f"{path}: the folder {folder} does not exist; make it, or set [daemon] database")
    if path.is_symlink():
        # SQLite keeps its log beside the file itself: two names would be two locks for one database.
        raise StoreMisplaced(f"{path}: is a symbolic link; [daemon] database must name the file, {path.resolve()}")
    require_plain_file(path)
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise StoreForbidden(f"{path}: not writable for uid {os.geteuid()}; check the owner of the file and its folder")
    if (kind := file_system(folder)) in _NETWORK_FILE_SYSTEMS:
        raise StoreMisplaced(
            f"{path}: lies on a network file system ({kind}), where SQLite loses data; use a local disk"
        )


def require_plain_file(path: Path) -> None:
    """Refuse a folder, a device and the like. Raises StoreMisplaced."""
    if path.exists() and not path.is_file():
        raise StoreMisplaced(f"{path}: is no plain file; [daemon] database must name one")


def inodes(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """What stands at the names of the database and of its log; None for nothing."""
    return tuple(_inode(f"{path}{ending}") for ending in ("", "-wal"))


def _inode(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - at each commit, and a Path costs more than the call
    except OSError:
        return None
    return found.st_dev, found.st_ino


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system a folder lies on, "" where the kernel does not say.

    The table escapes spaces and the like as octal numbers: https://man7.org/linux/man-pages/man5/fstab.5.html
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    real = str(folder.resolve())
    for line in lines:
        _, escaped, name, *_rest = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), escaped)
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, name
    return kind


def give_to_owner(handle: int, folder: Path) -> None:
    """A file that root makes beside the database belongs to whom the folder belongs, so that the daemon can use it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def make_file(path: Path) -> int:
    """Make an empty file that only its owner can read; its open handle."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(handle, path.parent)
    except BaseException:
        os.close(handle)
        raise
    return handle


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(path: Path) -> int:
    """Own the database until the process ends, however it ends. The file stays; only the lock counts."""
    lock_file = path.with_name(path.name + ".lock")
    lock = os.open(lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(lock, path.parent)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StoreInUse(f"{path}: in use by the process {owner}; stop it first") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


async def take_lock_within(path: Path, seconds: float) -> int:
    """Own the database as soon as who has it lets go. Raises StoreInUse when the time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            return take_lock(path)
        except StoreInUse:
            if time.monotonic() >= end:
                raise
        await asyncio.sleep(LOCK_LOOK_SECONDS)


def read_or_make_key(key_file: Path) -> bytes:
    """The key of this installation, which also shows that a database once was here. Raises StoreRefused."""
    if not key_file.exists():
        unfinished = key_file.with_name(key_file.name + ".part")
        unfinished.unlink(missing_ok=True)
        handle = make_file(unfinished)
        try:
            os.write(handle, secrets.token_hex(_KEY_BYTES).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        unfinished.replace(key_file)
        sync(key_file.parent)
    try:
        key = bytes.fromhex(key_file.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise StoreRefused(f"{key_file}: damaged; remove it and start again, it is made anew")
    return key
