"""One engine a synced folder, whichever home it runs from: a kernel lock in the folder's own state, which dies with its process.

A home that was copied (restored beside the old one, cloned with a machine) believes itself linked to a folder that another engine
works on. Both would move each other's temporary files and trash.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from syncline.app.home import HomeLock
from syncline.model.errors import Conflict, LocalIo
from syncline.model.paths import STATE_FOLDER

LOCK_NAME: Final = "lock"
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems without locks answer: there the home's lock is all there is."""


class RootBusy(Conflict):
    """Another engine syncs {path} already (process {pid}, from another SYNCLINE_HOME). Stop that one, or link another folder."""

    code = "root.busy"


def lock_root(folder: Path) -> HomeLock:
    """The right to sync `folder`. Raises `RootBusy`, `LocalIo`. A folder without a state folder is not locked: it is not the one
    that was linked, which is for others to say, and nothing is made in it."""
    try:
        file = os.open(folder / STATE_FOLDER / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return HomeLock(-1)
    except OSError as error:
        raise LocalIo(path=str(folder / STATE_FOLDER), reason=error.strerror or str(error)) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        os.close(file)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise RootBusy(path=str(folder), pid=holder or "unknown") from None
        if error.errno in _NO_LOCKS:
            return HomeLock(-1)
        raise LocalIo(path=str(folder / STATE_FOLDER), reason=error.strerror or str(error)) from error
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return HomeLock(file)
