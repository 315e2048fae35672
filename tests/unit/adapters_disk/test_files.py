"""`LinuxFiles` keeps the promises of `ports.local_files` on a real disk."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from syncline.adapters.disk import files as files_module
from syncline.adapters.disk import linux
from syncline.adapters.disk.facts import keeps_executable_bit, process_umask
from syncline.adapters.disk.files import SYNC_ONE_BY_ONE_MAX, LinuxFiles
from syncline.model.entries import Kind


@pytest.fixture(params=["openat2", "components"])
def files(tmp_path: Path, request: Any, monkeypatch: Any) -> Iterator[LinuxFiles]:
    """A root, on kernels with `openat2` and without."""
    if request.param == "components":
        monkeypatch.setattr(linux, "_has_openat2", lambda: False)
    root = tmp_path / "root"
    root.mkdir()
    made = LinuxFiles(root, umask=0o022)
    yield made
    made.close()


def write(files: LinuxFiles, path: str, data: bytes = b"x") -> None:
    with files.create(path) as file:
        file.write(data)


def test_signatures_fit_a_database(files: LinuxFiles) -> None:
    """An inode may be a hash of 64 bits, a time lie beyond 2262: one such file must not keep all others from being remembered."""
    write(files, "far")
    os.utime(files.root / "far", (1e11, 1e11))
    odd = SimpleNamespace(st_dev=1, st_ino=(1 << 64) - 2, st_size=5, st_mtime_ns=10**20, st_ctime_ns=-(10**20))
    for signature in (files.stat("far").signature, files_module._signature(cast(os.stat_result, odd))):
        numbers = (signature.device, signature.inode, signature.mtime_ns, signature.ctime_ns)
        assert all(-(1 << 63) <= number < 1 << 63 for number in numbers)
    assert files_module._signature(cast(os.stat_result, odd)).inode == -2


# -- looking ---------------------------------------------------------------------------------------------------------------------


def test_a_folder_lists_every_entry_with_its_kind(files: LinuxFiles) -> None:
    files.make_folder("d")
    write(files, "d/file", b"12345")
    files.make_folder("d/folder")
    (files.root / "d/link").symlink_to("file")
    os.mkfifo(files.root / "d/pipe")
    found = {stat.name: stat for stat in files.list_folder("d")}
    assert {name: stat.kind for name, stat in found.items()} == {
        "file": Kind.FILE,
        "folder": Kind.DIR,
        "link": None,
        "pipe": None,
    }
    real = (files.root / "d/file").lstat()
    assert found["file"].signature == files.stat("d/file").signature
    assert (found["file"].signature.size, found["file"].signature.inode) == (5, real.st_ino)
    assert (found["file"].signature.mtime_ns, found["file"].signature.ctime_ns) == (real.st_mtime_ns, real.st_ctime_ns)
    assert (found["file"].executable, found["folder"].executable) == (False, None)


def test_names_that_are_no_text_come_as_escapes_and_go_back(files: LinuxFiles) -> None:
    (Path(os.fsdecode(os.fsencode(files.root) + b"/\xff\xfe"))).write_bytes(b"x")
    (stat,) = files.list_folder("")
    assert os.fsencode(stat.name) == b"\xff\xfe"
    assert files.stat(stat.name).kind is Kind.FILE


def test_what_is_not_there(files: LinuxFiles) -> None:
    write(files, "file")
    for path in ("gone", "gone/below"):
        with pytest.raises(FileNotFoundError):
            files.stat(path)
    with pytest.raises(FileNotFoundError):
        files.list_folder("gone")
    for ask in (files.list_folder, lambda path: files.stat(path + "/x")):
        with pytest.raises(NotADirectoryError):
            ask("file")
    files.make_folder("d")
    with pytest.raises(IsADirectoryError):
        files.open_read("d")


def test_the_root_is_looked_at_afresh(files: LinuxFiles) -> None:
    assert files.root_stat().kind is Kind.DIR
    files.root.rename(files.root.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        files.root_stat()
    files.root.mkdir()
    with pytest.raises(FileNotFoundError):
        files.root_stat()


def test_listing_costs_little(files: LinuxFiles, capsys: Any) -> None:
    files.make_folder("d")
    for number in range(2000):
        (files.root / f"d/{number}").touch()
    started = time.process_time()
    assert len(files.list_folder("d")) == 2000
    took = time.process_time() - started
    with capsys.disabled():
        print(f"\nlisting: {took / 2000 * 1e6:.1f} µs an entry")


# -- nothing leads outside -------------------------------------------------------------------------------------------------------


def outside(files: LinuxFiles) -> Path:
    folder = files.root.with_name("outside")
    folder.mkdir()
    (folder / "secret").write_bytes(b"sentinel")
    (folder / "secret").chmod(0o640)
    return folder


@pytest.mark.parametrize("way", ["link", "absolute", "dots"])
def test_no_call_follows_a_way_out(files: LinuxFiles, way: str) -> None:
    folder = outside(files)
    files.make_folder("real")
    write(files, "real/mine")
    if way == "link":
        (files.root / "bad").symlink_to("../outside", target_is_directory=True)
        bad = "bad"
    elif way == "absolute":
        (files.root / "bad").symlink_to(folder, target_is_directory=True)
        bad = "bad"
    else:
        bad = "real/../../outside"
    calls: list[Any] = [
        lambda: files.stat(f"{bad}/secret"),
        lambda: files.list_folder(bad),
        lambda: files.open_read(f"{bad}/secret"),
        lambda: files.create(f"{bad}/new"),
        lambda: files.set_executable(f"{bad}/secret", True),
        lambda: files.rename("real/mine", f"{bad}/new"),
        lambda: files.rename(f"{bad}/secret", "stolen"),
        lambda: files.exchange("real/mine", f"{bad}/secret"),
        lambda: files.make_folder(f"{bad}/new"),
        lambda: files.remove_folder(f"{bad}/secret"),
        lambda: files.remove_file(f"{bad}/secret"),
    ]
    for call in calls:
        with pytest.raises(OSError):
            call()
    assert [(path.name, path.read_bytes(), path.stat().st_mode & 0o777) for path in folder.iterdir()] == [
        ("secret", b"sentinel", 0o640)
    ]
    assert files.stat("real/mine").kind is Kind.FILE


def test_a_link_is_never_opened_nor_its_target_changed(files: LinuxFiles) -> None:
    folder = outside(files)
    (files.root / "link").symlink_to(folder / "secret")
    for call in (files.open_read, files.create, lambda path: files.set_executable(path, True)):
        with pytest.raises(OSError):
            call("link")
    files.rename("link", "renamed")
    assert (files.root / "renamed").is_symlink()
    assert (folder / "secret").stat().st_mode & 0o777 == 0o640


def test_a_link_planted_between_two_calls_is_not_followed(files: LinuxFiles) -> None:
    folder = outside(files)
    files.make_folder("d")
    write(files, "d/secret", b"mine")
    assert files.stat("d/secret").signature.size == 4
    (files.root / "d").rename(files.root / "e")
    (files.root / "d").symlink_to(folder, target_is_directory=True)
    with pytest.raises(NotADirectoryError):
        files.remove_file("d/secret")
    with pytest.raises(NotADirectoryError):
        files.rename("e/secret", "d/new")
    assert [path.name for path in folder.iterdir()] == ["secret"]


@pytest.mark.parametrize("path", ["", "..", ".", "a/..", "a/."])
def test_paths_that_name_no_entry_are_refused(files: LinuxFiles, path: str) -> None:
    files.make_folder("a")
    for call in (files.make_folder, files.remove_file, files.remove_folder):
        with pytest.raises(OSError):
            call(path)


def test_a_nul_cannot_shorten_a_path(files: LinuxFiles) -> None:
    write(files, "a")
    with pytest.raises(ValueError):
        files.open_read("a\0b")


def test_a_pipe_does_not_hold_the_reader_up(files: LinuxFiles) -> None:
    os.mkfifo(files.root / "pipe")
    with pytest.raises(OSError):
        files.open_read("pipe")


def test_no_descriptor_leaks(files: LinuxFiles) -> None:
    files.make_folder("d")
    write(files, "d/a")
    write(files, "d/b")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        files.stat("d/a")
        files.list_folder("d")
        files.exchange("d/a", "d/b")
        files.sync_folders(["d", "gone"])
        for call in (
            lambda: files.rename("d/a", "d/b"),
            lambda: files.rename("d/a", "no/b"),
            lambda: files.stat("d/x"),
            lambda: files.open_read("d"),
            lambda: files.list_folder("d/a"),
            lambda: files.make_folder("d"),
        ):
            with pytest.raises(OSError):
                call()
    assert len(os.listdir("/proc/self/fd")) == before


# -- names -----------------------------------------------------------------------------------------------------------------------


def test_a_rename_never_replaces(files: LinuxFiles) -> None:
    write(files, "a", b"1")
    write(files, "b", b"2")
    files.make_folder("d")
    for target in ("b", "d"):
        with pytest.raises(FileExistsError):
            files.rename("a", target)
    with pytest.raises(FileExistsError):
        files.rename("d", "a")
    files.rename("a", "d/a")
    assert (files.root / "d/a").read_bytes() == b"1"
    assert (files.root / "b").read_bytes() == b"2"


def test_nor_where_the_kernel_has_no_such_rename(files: LinuxFiles, monkeypatch: Any) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(linux, "rename_at", refuse)
    write(files, "a", b"1")
    write(files, "b", b"2")
    files.make_folder("d")
    files.make_folder("e")
    for source, target in (("a", "b"), ("d", "e"), ("a", "d"), ("d", "a")):
        with pytest.raises(FileExistsError):
            files.rename(source, target)
    files.rename("a", "d/a")
    files.rename("d", "f")
    assert sorted(path.name for path in files.root.rglob("*")) == ["a", "b", "e", "f"]
    assert (files.root / "f/a").stat().st_nlink == 1


def test_a_folder_cannot_move_into_itself(files: LinuxFiles) -> None:
    files.make_folder("d")
    with pytest.raises(OSError) as caught:
        files.rename("d", "d/e")
    assert caught.value.errno == errno.EINVAL


def test_an_exchange_swaps_at_once(files: LinuxFiles) -> None:
    write(files, "a", b"1")
    files.make_folder("d")
    write(files, "d/b", b"2")
    files.exchange("a", "d/b")
    assert ((files.root / "a").read_bytes(), (files.root / "d/b").read_bytes()) == (b"2", b"1")
    with pytest.raises(FileNotFoundError):
        files.exchange("a", "gone")


def test_only_empty_folders_go(files: LinuxFiles) -> None:
    files.make_folder("d")
    write(files, "d/a")
    with pytest.raises(OSError) as caught:
        files.remove_folder("d")
    assert caught.value.errno == errno.ENOTEMPTY
    files.remove_file("d/a")
    files.remove_folder("d")
    assert files.list_folder("") == []


# -- contents and modes ----------------------------------------------------------------------------------------------------------


def test_a_new_file_is_private_and_new(files: LinuxFiles) -> None:
    with files.create("a") as file:
        file.write(b"hello")
        assert files.fstat_signature(file).size == 5
        file.seek(0)
        assert file.read(5) == b"hello"
    assert (files.root / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        files.create("a")


@pytest.mark.parametrize(("umask", "plain", "executable"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o027, 0o640, 0o750)])
def test_modes_respect_the_umask(tmp_path: Path, umask: int, plain: int, executable: int) -> None:
    files = LinuxFiles(tmp_path, umask=umask)
    for name, flag, mode in (("a", False, plain), ("b", True, executable)):
        with files.create(name) as file:
            files.set_attributes(file, executable=flag, mtime_us=1_234_567_890_123_456)
        found = files.stat(name)
        assert (tmp_path / name).stat().st_mode & 0o777 == mode
        assert (found.executable, found.signature.mtime_ns) == (flag, 1_234_567_890_123_456_000)
    files.set_executable("a", True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == executable
    files.set_executable("a", False)
    assert (tmp_path / "a").stat().st_mode & 0o777 == plain
    files.make_folder("d")
    assert (tmp_path / "d").stat().st_mode & 0o777 == executable | 0o700
    files.make_folder(".syncline")
    files.make_folder(".syncline/tmp")
    assert (tmp_path / ".syncline/tmp").stat().st_mode & 0o777 == 0o700
    files.close()


def test_attributes_can_be_set_through_a_reading_descriptor(files: LinuxFiles) -> None:
    write(files, "a")
    with files.open_read("a") as file:
        files.set_attributes(file, executable=True, mtime_us=5)
        assert files.fstat_signature(file) == files.stat("a").signature
    assert files.stat("a").executable


@pytest.mark.parametrize("count", [0, 1, 3, SYNC_ONE_BY_ONE_MAX + 1])
def test_syncing_few_and_many(files: LinuxFiles, count: int) -> None:
    opened = [files.create(f"{number}") for number in range(count)]
    for file in opened:
        file.write(b"x")
    files.sync_files(opened)
    for file in opened:
        file.close()
    for number in range(count):
        files.make_folder(f"d{number}")
    files.sync_folders(["", "gone", *(f"d{number}" for number in range(count))])


def test_a_sync_that_fails_is_told(files: LinuxFiles, monkeypatch: Any) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(linux, "sync_file_system", fail)
    for count in (1, 3, SYNC_ONE_BY_ONE_MAX + 1):
        opened = [files.create(f"{count}-{number}") for number in range(count)]
        with pytest.raises(OSError, match="output error"):
            files.sync_files(opened)
        for file in opened:
            file.close()
    with pytest.raises(OSError, match="output error"):
        files.sync_folders([""])


@pytest.mark.parametrize("kernel", [True, False])
def test_copies_go_on_from_where_both_files_are(files: LinuxFiles, monkeypatch: Any, kernel: bool) -> None:
    data = os.urandom(3 * files_module.COPY_STEP_BYTES + 17)
    write(files, "a", data)
    if not kernel:

        def refuse(*_: object) -> int:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    with files.open_read("a") as source, files.create("b") as target:
        target.write(b"head")
        source.seek(10)
        assert files.copy_range(source, target, 100) == 100
        assert files.copy_range(source, target, len(data)) == len(data) - 110
        assert files.copy_range(source, target, 1) == 0
    assert (files.root / "b").read_bytes() == b"head" + data[10:]


def test_facts_of_this_machine(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    os.umask(mask)
    assert process_umask() == mask
    assert keeps_executable_bit(tmp_path.stat().st_dev)
