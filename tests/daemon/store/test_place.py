"""The place where the database lies."""

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.store import place
from daemon.store.errors import StoreForbidden, StoreInUse, StoreMisplaced, StoreRefused
from daemon.store.place import (
    file_system,
    give_to_owner,
    make_file,
    read_or_make_key,
    require_usable_place,
    take_lock,
    take_lock_within,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    handle = take_lock(path)
    try:
        yield
    finally:
        os.close(handle)


def test_an_ordinary_folder_will_do(database: Path) -> None:
    require_usable_place(database)
    database.touch()
    require_usable_place(database)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreMisplaced, match=r"missing/x.db: the folder .*missing does not exist; make it") as caught:
        require_usable_place(tmp_path / "missing" / "x.db")
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_refused(database: Path, make: object) -> None:
    assert callable(make)
    make(database)
    with pytest.raises(StoreMisplaced, match="is no plain file"):
        require_usable_place(database)


@pytest.mark.parametrize("target", ["there.db", "nowhere.db"])
def test_f17_a_symbolic_link_is_refused_since_two_names_would_be_two_locks(database: Path, target: str) -> None:
    database.with_name("there.db").touch()
    database.symlink_to(target)
    with pytest.raises(StoreMisplaced, match=f"is a symbolic link; .* must name the file, .*/{target}") as caught:
        require_usable_place(database)
    assert caught.value.exit_code == 78


def test_f17_a_network_file_system_is_refused_by_its_name(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = file_system(database.parent)
    monkeypatch.setattr(place, "_NETWORK_FILE_SYSTEMS", {here})
    with pytest.raises(StoreMisplaced, match=rf"lies on a network file system \({here}\).*use a local disk") as caught:
        require_usable_place(database)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("what", ["folder", "file"])
def test_f17_what_may_not_be_written_is_refused_with_the_uid(as_somebody_else: Path, what: str) -> None:
    path = as_somebody_else / "x.db"
    path.touch()
    (path.parent if what == "folder" else path).chmod(0o555)
    try:
        with pytest.raises(StoreForbidden, match=f"x.db: not writable for uid {os.getuid()}") as caught:
            require_usable_place(path)
        assert caught.value.exit_code == 77
    finally:
        path.parent.chmod(0o777)


MOUNTS = r"""
overlay / overlay rw,relatime 0 0
proc /proc proc rw 0 0
/dev/sda1 /srv ext4 rw 0 0
server:/export /srv/share nfs4 rw,vers=4.2 0 0
//server/share /srv/my\040files\134x cifs rw 0 0
tmpfs /srv/share/fast tmpfs rw 0 0
host:/x /srv/over nfs rw 0 0
/dev/sdb1 /srv/over xfs rw 0 0
""".lstrip()


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "overlay"),
        ("/home", "overlay"),
        ("/srv", "ext4"),
        ("/srv/shared", "ext4"),
        ("/srv/share", "nfs4"),
        ("/srv/share/deep/er", "nfs4"),
        ("/srv/share/fast/x", "tmpfs"),
        ("/srv/my files\\x/y", "cifs"),
        ("/srv/over/z", "xfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_and_last_mount(tmp_path: Path, folder: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert file_system(Path(folder), mounts) == kind


def test_where_the_kernel_says_nothing_nothing_is_refused(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "missing") == ""


def test_the_file_system_of_this_machine_is_known() -> None:
    assert file_system(Path("/proc")) == "proc"


def test_a_lock_is_exclusive_and_names_its_owner(database: Path) -> None:
    with locked(database):
        with pytest.raises(StoreInUse, match=f"in use by the process {os.getpid()}; stop it first") as caught:
            take_lock(database)
        assert caught.value.exit_code == 75
    with locked(database):
        pass


def test_a_lock_that_is_waited_for_is_taken_once_it_is_free_and_refused_when_the_time_is_over(database: Path) -> None:
    async def wait() -> None:
        with locked(database):
            waiting = asyncio.create_task(take_lock_within(database, 60))
            with pytest.raises(StoreInUse, match="stop it first"):
                await take_lock_within(database, 3 * place.LOCK_LOOK_SECONDS)
            assert not waiting.done()
        os.close(await waiting)

    asyncio.run(wait())


def test_i13_a_lock_file_that_was_left_over_locks_nothing(database: Path) -> None:
    lock_file = database.with_name(database.name + ".lock")
    lock_file.write_text("123456789012\n and more")
    with locked(database):
        assert lock_file.read_text() == f"{os.getpid()}\n"
        assert mode(lock_file) & 0o700 == 0o600


def test_what_is_made_only_its_owner_may_read(database: Path) -> None:
    os.close(make_file(database))
    read_or_make_key(database.with_name("x.key"))
    with locked(database):
        assert {path.name: mode(path) for path in database.parent.iterdir()} == {
            "eventferry.db": 0o600,
            "eventferry.db.lock": 0o600,
            "x.key": 0o600,
        }


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    path = tmp_path / "x.db"
    os.close(make_file(path))
    read_or_make_key(tmp_path / "x.key")
    with locked(path):
        owners = {(made.stat().st_uid, made.stat().st_gid) for made in tmp_path.iterdir()}
    assert owners == {(4711, 4712)}


def test_others_files_stay_theirs(as_somebody_else: Path) -> None:
    handle = os.open(as_somebody_else / "mine", os.O_CREAT | os.O_RDWR)
    try:
        give_to_owner(handle, Path("/"))
        assert os.fstat(handle).st_uid == os.getuid()
    finally:
        os.close(handle)


def test_a_key_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    key_file = tmp_path / "x.key"
    key = read_or_make_key(key_file)
    assert len(key) == 32
    assert read_or_make_key(key_file) == key
    assert read_or_make_key(tmp_path / "other.key") != key


def test_i13_a_key_that_was_half_written_when_the_power_went_is_made_anew(tmp_path: Path) -> None:
    key_file = tmp_path / "x.key"
    key_file.with_name("x.key.part").write_text("abc")
    assert len(read_or_make_key(key_file)) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["x.key"]


@pytest.mark.parametrize("content", [b"", b"abcd", b"zz" * 32, b"ab" * 31, b"\xff" * 64])
def test_a_damaged_key_is_refused_and_not_overwritten(tmp_path: Path, content: bytes) -> None:
    key_file = tmp_path / "x.key"
    key_file.write_bytes(content)
    with pytest.raises(StoreRefused, match="damaged; remove it and start again"):
        read_or_make_key(key_file)
    assert key_file.read_bytes() == content
