"""What the operating system's refusals mean to a person: `OSError` with a path becomes an error that says what to do next."""

from __future__ import annotations

import errno

from syncline.model.errors import ChangedWhileRead, DiskFull, LocalIo, SynclineError, Unreadable, Unwritable

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO))
_DENIED = frozenset((errno.EACCES, errno.EPERM))


def reading_error(error: OSError, path: str) -> SynclineError:
    """A user's file could not be read. One that is gone, or is something else by now, has simply changed."""
    if error.errno in _GONE:
        return ChangedWhileRead(path=path)
    if error.errno in _DENIED:
        return Unreadable(path=path, reason=error.strerror or "permission denied")
    return LocalIo(path=path, reason=error.strerror or str(error))


def writing_error(error: OSError, path: str) -> LocalIo:
    """The disk would not do what it was asked to change."""
    if error.errno in _FULL:
        return DiskFull(path=path)
    reason = error.strerror or str(error)
    return Unwritable(path=path, reason=reason) if error.errno in _DENIED else LocalIo(path=path, reason=reason)
