"""What the machine says of a process and of a file system, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

UMASK_DEFAULT: Final = 0o022
_WITHOUT_EXECUTABLE_BIT: Final = frozenset(("vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "cifs", "smb3"))


def process_umask() -> int:
    """The umask, read without setting it: setting it, even for a moment, would change what other threads create."""
    for line in _lines("/proc/self/status"):
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return UMASK_DEFAULT


def keeps_executable_bit(device: int) -> bool:
    """Whether the file system with this `st_dev` remembers the executable bit; unless it is known not to, it does."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in _lines("/proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        if left.split()[2] == number:
            return right.split()[0] not in _WITHOUT_EXECUTABLE_BIT
    return True


def _lines(path: str) -> list[str]:
    """A file of /proc, or nothing where /proc is not mounted."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
