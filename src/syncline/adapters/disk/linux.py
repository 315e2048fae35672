"""The Linux system calls that Python's `os` lacks, by ctypes: openat2, renameat2, statx, syncfs, inotify.

Every path given here is relative to a directory descriptor and is resolved beneath it without following a symbolic link in any
component. A kernel or sandbox without `openat2` (before 5.6, or a strict seccomp filter) is answered by opening one component at a
time with `O_NOFOLLOW`, which promises the same. Errors are `OSError`s with the kernel's number. The calls release the GIL.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import lru_cache
from typing import Final

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2

IN_MODIFY: Final = 0x2
IN_ATTRIB: Final = 0x4
IN_CLOSE_WRITE: Final = 0x8
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x0100_0000
IN_EXCL_UNLINK: Final = 0x0400_0000

NOT_SUPPORTED: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
"""What file systems and kernels answer to flags of `renameat2` they do not know."""

_SYS_OPENAT2: Final = 437
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_RESOLVE: Final = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800
_STATX_BYTES: Final = 256
_STATX_BTIME_AT: Final = 80
"""Where `struct statx` holds seconds and nanoseconds of the birth; its first word says which fields are filled."""
_TRIES: Final = 16
"""The kernel asks to try again when a signal or a rename came between."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_openat2 = _libc["syscall"]
_openat2.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
_openat2.restype = ctypes.c_long
_renameat2 = _libc["renameat2"]
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_syncfs = _libc["syncfs"]
_syncfs.argtypes = (ctypes.c_int,)
_inotify_add_watch = _libc["inotify_add_watch"]
_inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_HOW_BYTES: Final = ctypes.sizeof(_OpenHow)


def open_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """A descriptor of `path` beneath the folder `root` ("" or "." is that folder). A symbolic link anywhere in it is
    `OSError(ELOOP)` or `NotADirectoryError`; a way out of `root` is `OSError(EXDEV)`."""
    name = _encoded(path or ".")
    if not _has_openat2():
        return _open_by_components(root, name, flags | os.O_CLOEXEC, mode)
    how = _how(flags | os.O_CLOEXEC, mode)
    number = 0
    for _ in range(_TRIES):
        fd: int = _openat2(_SYS_OPENAT2, root, name, how, _HOW_BYTES)
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number not in (errno.EINTR, errno.EAGAIN):
            break
    raise OSError(number, os.strerror(number), path)


def rename_at(source_fd: int, source: str, target_fd: int, target: str, flags: int) -> None:
    """`renameat2`; raises what the kernel answers, `EINVAL` or `ENOSYS` where `flags` are not supported."""
    if _renameat2(source_fd, _encoded(source), target_fd, _encoded(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source, None, target)


def birth_at(folder_fd: int, name: str) -> int | None:
    """When the file was made, in nanoseconds. None where the file system does not say, or the C library has no `statx`."""
    statx = getattr(_libc, "statx", None)
    if statx is None:
        return None
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if statx(folder_fd, _encoded(name), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, found) != 0:
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EPERM):
            return None
        raise OSError(number, os.strerror(number), name)
    (filled,) = struct.unpack_from("=I", found)
    seconds, nanoseconds = struct.unpack_from("=qI", found, _STATX_BTIME_AT)
    return seconds * 1_000_000_000 + nanoseconds if filled & _STATX_BTIME else None


def sync_file_system(fd: int) -> None:
    """Everything dirty on the file system of `fd` is durable when this returns (since Linux 5.8 it reports write errors too)."""
    if _syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def inotify_open() -> int:
    """A new inotify queue, non-blocking. Raises `OSError(EMFILE)` when the user's instances are used up."""
    fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


def inotify_watch(queue: int, folder: int, mask: int) -> int:
    """Watches the open folder `folder`; its watch number, the same one for the same inode. The folder is reached through its
    descriptor in /proc, so that nothing between a check and the watch can turn a name into a link elsewhere."""
    number: int = _inotify_add_watch(queue, b"/proc/self/fd/%d" % folder, mask)
    if number < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return number


def inotify_unwatch(queue: int, watch: int) -> None:
    """Forgets a watch; one that is gone already is no error."""
    _libc.inotify_rm_watch(queue, watch)


def _encoded(path: str) -> bytes:
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("a path holds a NUL")
    return name


@lru_cache(maxsize=32)
def _how(flags: int, mode: int) -> ctypes.Array[_OpenHow]:
    return (_OpenHow * 1)(_OpenHow(flags, mode, _RESOLVE))


@lru_cache(maxsize=1)
def _has_openat2() -> bool:
    fd: int = _openat2(_SYS_OPENAT2, -1, b".", _how(os.O_PATH | os.O_CLOEXEC, 0), _HOW_BYTES)
    assert fd < 0
    return ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)


def _open_by_components(root: int, path: bytes, flags: int, mode: int) -> int:
    names = path.split(b"/")
    at = root
    try:
        for name in names[:-1]:
            _refuse_dots(name, path)
            below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            if at != root:
                os.close(at)
            at = below
        if path != b".":
            _refuse_dots(names[-1], path)
        return os.open(names[-1], flags | os.O_NOFOLLOW, mode, dir_fd=at)
    finally:
        if at != root:
            os.close(at)


def _refuse_dots(name: bytes, path: bytes) -> None:
    if name in (b"", b".", b".."):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(path))
