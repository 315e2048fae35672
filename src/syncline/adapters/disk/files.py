"""`ports.local_files.LocalFiles` on Linux: a synced root held by a descriptor, everything else reached beneath it.

Laws: the root is opened once and never again by its path, so what happens to names above it cannot send a call elsewhere. Each call
resolves its folders afresh (`openat2`, two microseconds): a cached descriptor would follow a folder that the user has moved away,
and act in the wrong place. Nothing is replaced: a rename that would is `FileExistsError`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from syncline.adapters.disk import linux
from syncline.adapters.disk.facts import keeps_executable_bit, process_umask
from syncline.model.entries import Kind, Signature
from syncline.model.limits import MIB
from syncline.model.paths import STATE_FOLDER
from syncline.ports.local_files import Stat

SYNC_ONE_BY_ONE_MAX: Final = 16
"""Up to so many files or folders are synced each by itself, in parallel; more by one `syncfs`. Measured: 0.6 ms an fsync, 18 ms a
`syncfs` over 1,000 new small files."""
SYNC_THREADS: Final = 4
COPY_STEP_BYTES: Final = 1 * MIB
_INT64_END: Final = 1 << 63
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_PLACE: Final = os.O_PATH | os.O_DIRECTORY
_NO_KERNEL_COPY: Final = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY)
)


class LinuxFiles:
    """A synced root. `umask` (default: the process's) bounds the modes of files made here; `close` gives the descriptor back."""

    def __init__(self, root: Path, *, umask: int | None = None) -> None:
        self.root = root.resolve(strict=True)
        self._root = os.open(self.root, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._umask = process_umask() if umask is None else umask
        self._has_executable = keeps_executable_bit(os.fstat(self._root).st_dev)
        self._threads: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"LinuxFiles({str(self.root)!r})"

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def root_stat(self) -> Stat:
        now = os.lstat(self.root)
        held = os.fstat(self._root)
        if (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino):
            raise FileNotFoundError(errno.ENOENT, "another folder stands where the synced one was", str(self.root))
        return self._seen("", now)

    def list_folder(self, path: str) -> list[Stat]:
        fd = self._open_folder(path, _FOLDER)
        found: list[Stat] = []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    try:
                        found.append(self._seen(entry.name, entry.stat(follow_symlinks=False)))
                    except FileNotFoundError:
                        # It went away between listing and looking: the folder without it is as true.
                        continue
        finally:
            os.close(fd)
        return found

    def stat(self, path: str) -> Stat:
        if not path:
            return self._seen("", os.fstat(self._root))
        folder, name = self._parent(path)
        try:
            return self._seen(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
        finally:
            self._release(folder)

    def birth_ns(self, path: str) -> int | None:
        folder, name = self._parent(path)
        try:
            born_ns = linux.birth_at(folder, name)
        finally:
            self._release(folder)
        return None if born_ns is None else _fit(born_ns)

    def fstat_signature(self, file: BinaryIO) -> Signature:
        return _signature(os.fstat(file.fileno()))

    # -- files -------------------------------------------------------------------------------------------------------------------

    def open_read(self, path: str) -> BinaryIO:
        # O_NONBLOCK: a pipe that took the file's name must not hold the caller up.
        fd = linux.open_beneath(self._root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        return _regular(fd, path, "rb")

    def create(self, path: str) -> BinaryIO:
        fd = linux.open_beneath(self._root, path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        return FileIO(fd, "rb+")

    def open_write(self, path: str) -> BinaryIO:
        return _regular(linux.open_beneath(self._root, path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY), path, "rb+")

    def read_once(self, file: BinaryIO, offset: int, into: memoryview) -> int:
        fd, count = file.fileno(), 0
        cold = False
        while count < len(into):
            rest, at = into[count:], offset + count
            try:
                # Only what is in memory already; the rest is then known to be brought in by us.
                step = 0 if cold else os.preadv(fd, [rest], at, os.RWF_NOWAIT)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
                    raise
                step = 0
            if not step:
                cold = True
                step = os.preadv(fd, [rest], at)
                if not step:
                    break
                os.posix_fadvise(fd, at, step, os.POSIX_FADV_DONTNEED)
            count += step
        return count

    def settle(self, file: BinaryIO, offset: int, length: int) -> None:
        fd = file.fileno()
        os.fdatasync(fd)
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)

    def set_attributes(self, file: BinaryIO, *, executable: bool, mtime_us: int) -> None:
        fd = file.fileno()
        os.fchmod(fd, (0o755 if executable else 0o644) & ~self._umask)
        os.utime(fd, ns=(mtime_us * 1000, mtime_us * 1000))

    def free_bytes(self) -> int:
        found = os.fstatvfs(self._root)
        return found.f_bavail * found.f_frsize

    def set_executable(self, path: str, executable: bool) -> None:
        fd = linux.open_beneath(self._root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with _regular(fd, path, "rb"):
            mode = stat.S_IMODE(os.fstat(fd).st_mode)
            # Whoever may read it may run it, as `chmod +x` under the umask has it.
            wanted = mode | ((mode & 0o444) >> 2) & ~self._umask if executable else mode & ~0o111
            if wanted != mode:
                os.fchmod(fd, wanted)

    def sync_files(self, files: Sequence[BinaryIO]) -> None:
        if len(files) > SYNC_ONE_BY_ONE_MAX:
            linux.sync_file_system(self._root)
        else:
            self._sync_each([file.fileno() for file in files])

    def sync_folders(self, paths: Sequence[str]) -> None:
        """A folder that is gone has no entries left to make durable, and is passed over."""
        opened: list[int] = []
        devices: set[int] = set()
        one_by_one = len(paths) <= SYNC_ONE_BY_ONE_MAX
        try:
            for path in paths:
                try:
                    fd = self._open_folder(path, _FOLDER)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                device = -1 if one_by_one else os.fstat(fd).st_dev
                if not one_by_one and device in devices:
                    os.close(fd)
                    continue
                devices.add(device)
                opened.append(fd)
            if one_by_one:
                self._sync_each(opened)
            else:
                for fd in opened:
                    linux.sync_file_system(fd)
        finally:
            for fd in opened:
                os.close(fd)

    def copy_range(self, source: BinaryIO, target: BinaryIO, length: int) -> int:
        """On file systems that can, the copy shares its blocks with the original."""
        copied = 0
        while copied < length:
            try:
                step = os.copy_file_range(source.fileno(), target.fileno(), length - copied)
            except OSError as error:
                if error.errno not in _NO_KERNEL_COPY:
                    raise
                return copied + _copy_by_hand(source, target, length - copied)
            if step == 0:
                break
            copied += step
        return copied

    def remove_file(self, path: str) -> None:
        folder, name = self._parent(path)
        try:
            os.unlink(name, dir_fd=folder)
        finally:
            self._release(folder)

    # -- names -------------------------------------------------------------------------------------------------------------------

    def rename(self, source: str, target: str) -> None:
        with _Two(self, source, target) as (one, one_name, other, other_name):
            try:
                linux.rename_at(one, one_name, other, other_name, linux.RENAME_NOREPLACE)
            except OSError as error:
                if error.errno not in linux.NOT_SUPPORTED:
                    raise
                _rename_by_link(one, one_name, other, other_name)

    def exchange(self, one: str, other: str) -> None:
        """`OSError(EINVAL)` where the file system cannot (FAT, network shares)."""
        with _Two(self, one, other) as (one_fd, one_name, other_fd, other_name):
            linux.rename_at(one_fd, one_name, other_fd, other_name, linux.RENAME_EXCHANGE)

    def make_folder(self, path: str) -> None:
        """Folders of `.syncline` are their owner's alone."""
        private = path == STATE_FOLDER or path.startswith(STATE_FOLDER + "/")
        folder, name = self._parent(path)
        try:
            os.mkdir(name, 0o700 if private else 0o777 & ~self._umask, dir_fd=folder)
        finally:
            self._release(folder)

    def remove_folder(self, path: str) -> None:
        folder, name = self._parent(path)
        try:
            os.rmdir(name, dir_fd=folder)
        finally:
            self._release(folder)

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _seen(self, name: str, found: os.stat_result) -> Stat:
        mode = found.st_mode
        form = stat.S_IFMT(mode)
        if form == stat.S_IFREG:
            return Stat(name, Kind.FILE, _signature(found), found.st_nlink, bool(mode & 0o100) if self._has_executable else None)
        return Stat(name, Kind.DIR if form == stat.S_IFDIR else None, _signature(found), found.st_nlink, None)

    def _open_folder(self, path: str, flags: int) -> int:
        try:
            return linux.open_beneath(self._root, path, flags)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotADirectoryError(errno.ENOTDIR, "a symbolic link stands in the way", path) from error
            raise

    def _parent(self, path: str) -> tuple[int, str]:
        """The folder that holds `path` (give it back with `_release`), and the last name."""
        above, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, "no name", path)
        return (self._open_folder(above, _PLACE) if above else self._root), name

    def _release(self, folder: int) -> None:
        if folder != self._root:
            os.close(folder)

    def _sync_each(self, fds: Sequence[int]) -> None:
        if len(fds) < 2:
            for fd in fds:
                os.fsync(fd)
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="sync")
        # Every one is waited for, so that no descriptor is closed while a thread still syncs it.
        faults = [fault for done in [self._threads.submit(os.fsync, fd) for fd in fds] if (fault := done.exception())]
        if faults:
            raise faults[0]


class _Two:
    """Both parent folders of a rename, open for its length."""

    __slots__ = ("_files", "_one", "_other", "_source", "_target")

    def __init__(self, files: LinuxFiles, source: str, target: str) -> None:
        self._files, self._source, self._target = files, source, target

    def __enter__(self) -> tuple[int, str, int, str]:
        self._one, one_name = self._files._parent(self._source)
        try:
            self._other, other_name = self._files._parent(self._target)
        except BaseException:
            self._files._release(self._one)
            raise
        return self._one, one_name, self._other, other_name

    def __exit__(self, *_: object) -> None:
        self._files._release(self._one)
        self._files._release(self._other)


def _signature(found: os.stat_result) -> Signature:
    numbers = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if min(numbers) >= -_INT64_END and max(numbers) < _INT64_END:
        return Signature(*numbers)
    # Inodes made of hashes fill all 64 bits, and a time may lie beyond the year 2262; no database takes either.
    device, inode, size, mtime_ns, ctime_ns = numbers
    return Signature(_signed(device), _signed(inode), size, _fit(mtime_ns), _fit(ctime_ns))


def _fit(time_ns: int) -> int:
    """The nearest time that a database takes."""
    return max(-_INT64_END, min(time_ns, _INT64_END - 1))


def _signed(number: int) -> int:
    """The same 64 bits, read as a signed number."""
    return number - 2 * _INT64_END if number >= _INT64_END else number


def _regular(fd: int, path: str, mode: str) -> FileIO:
    """The open regular file; anything else is refused and closed."""
    form = stat.S_IFMT(os.fstat(fd).st_mode)
    if form == stat.S_IFREG:
        return FileIO(fd, mode)
    os.close(fd)
    if form == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.ELOOP, "not a regular file", path)


def _rename_by_link(one: int, one_name: str, other: int, other_name: str) -> None:
    """For file systems whose rename always replaces. A hard link never does, so files take that way; a folder is renamed after a
    look, and could only ever replace a folder that is empty."""
    found = os.stat(one_name, dir_fd=one, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        os.link(one_name, other_name, src_dir_fd=one, dst_dir_fd=other, follow_symlinks=False)
        os.unlink(one_name, dir_fd=one)
        return
    try:
        os.stat(other_name, dir_fd=other, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(one_name, other_name, src_dir_fd=one, dst_dir_fd=other)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), other_name)


def _copy_by_hand(source: BinaryIO, target: BinaryIO, length: int) -> int:
    copied = 0
    while copied < length:
        step = source.read(min(COPY_STEP_BYTES, length - copied))
        if not step:
            break
        rest = memoryview(step)
        while rest:
            rest = rest[target.write(rest) :]
        copied += len(step)
    return copied
