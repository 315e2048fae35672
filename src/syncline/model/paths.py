"""Names and paths: all rules about case, Unicode and what may be a name, in one place.

A path inside a tree is its names joined with "/", without a leading slash; "" is the root. Names are stored exactly as written;
two names collide when their keys are equal. The key's rule has a version, since it depends on Unicode's tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from syncline.model.errors import InvalidName, InvalidRequest
from syncline.model.limits import NAME_MAX_BYTES
from syncline.model.unicode14 import unassigned_in_unicode_14

FOLDED_KEYS: Final = 1
EXACT_KEYS: Final = 2
NAME_KEY_VERSION: Final = EXACT_KEYS
"""Which rule a new namespace takes. With exact keys `Makefile` and `makefile` are two files, as on the disks of Linux; with folded
keys they collide everywhere, as on those of macOS and Windows."""
STATE_FOLDER: Final = ".syncline"
"""Syncline's own folder in a synced root: never synced, never writable from remote."""

_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""Code points that are shown as nothing (Default_Ignorable_Code_Point): some file systems compare names without them."""
COPY_MARK: Final = "'s conflicted copy "
_CONFLICT: Final = re.compile(
    r"(?P<stem>.+) \((?P<device>.+)'s conflicted copy \d{4}-\d\d-\d\d(?: \d+)?\)(?P<extension>(?:\.[^.]*)?)", re.DOTALL
)
_NATIVE_TABLES: Final = unicodedata.unidata_version == "14.0.0"


def is_storable(text: str) -> bool:
    """Whether every store can hold the text: no NUL, which PostgreSQL has no place for, and no half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text))


def key_rule(version: int) -> Callable[[str], str]:
    """The rule of a namespace's key version: names collide where their keys are equal. Raises `InvalidRequest` for an unknown
    one."""
    rule = {FOLDED_KEYS: name_key, EXACT_KEYS: exact_key}.get(version)
    if rule is None:
        raise InvalidRequest(message=f"This version of Syncline does not know rule {version} for names; bring it up to date")
    return rule


def exact_key(name: str) -> str:
    """NFC(name), so that only spellings of one name collide, over code points assigned in Unicode 14."""
    return name if name.isascii() else _by_known_parts(name, _compose)


def name_key(name: str) -> str:
    """NFC(casefold(NFD(name))) over code points assigned in Unicode 14; others stay as they are."""
    return name.lower() if name.isascii() else _by_known_parts(name, _fold)


def _by_known_parts(name: str, rule: Callable[[str], str]) -> str:
    if _NATIVE_TABLES:
        return rule(name)
    parts: list[str] = []
    known: list[str] = []
    for char in name:
        if unassigned_in_unicode_14(ord(char)):
            parts += (rule("".join(known)), char)
            known.clear()
        else:
            known.append(char)
    return "".join((*parts, rule("".join(known))))


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def check_name(name: str) -> str:
    """`name` if it may name a node; raises `InvalidName` otherwise. Both server and client ask."""
    reason = name_problem(name)
    if reason is not None:
        raise InvalidName(name=name[:NAME_MAX_BYTES], reason=reason)
    return name


def name_problem(name: str) -> str | None:
    """Why `name` cannot name a node, or None."""
    if name in ("", ".", ".."):
        return "it is empty or names a folder itself"
    if name.isascii():
        size, control = len(name), not name.isprintable()
    else:
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            return "it is not valid Unicode"
        control = any(ord(char) < 32 or ord(char) == 127 for char in name)
    if "/" in name or "\\" in name:
        return "it holds a slash or backslash"
    if control:
        return "it holds a control character"
    if size > NAME_MAX_BYTES:
        return f"it is longer than {NAME_MAX_BYTES} bytes"
    if is_reserved(name):
        return "it is Syncline's own"
    return None


def is_reserved(name: str) -> bool:
    """Whether a name is, or on some file system could stand for, Syncline's state folder (CVE-2014-9390's family)."""
    first = name[:1]
    if name.isascii() and first not in (".", "s", "S"):
        return False
    bare = name if name.isascii() else _IGNORABLE.sub("", name)
    key = name_key(bare).partition(":")[0].rstrip(". ")
    return key == STATE_FOLDER or (key[:6] == "syncli" and key[6:7] == "~" and key[7:].isdigit())


def conflict_name(name: str, device: str, date: str, number: int = 1) -> str:
    """`stem (DEVICE's conflicted copy DATE[ n]).ext`, NFC, at most 255 bytes: the stem gives way, on a character boundary."""
    return _marked(name, f" ({_safe(device)}'s conflicted copy {date}{f' {number}' if number > 1 else ''})")


def conflict_origin(name: str) -> tuple[str, str] | None:
    """Of a conflict copy's name, the name it was made from (shorter where the copy's would have been too long) and the device that
    made it; None for any other name."""
    found = _CONFLICT.fullmatch(name) if COPY_MARK in name else None
    return None if found is None else (found["stem"] + found["extension"], found["device"])


def case_conflict_name(name: str, number: int = 1) -> str:
    """The name for a local twin of another name on a disk that tells case or normalisation apart."""
    return _marked(name, f" (case conflict{f' {number}' if number > 1 else ''})")


def restored_name(name: str, number: int = 1) -> str:
    """The name under which something comes back where another took its own: `stem (restored[ n]).ext`."""
    return _marked(name, f" (restored{f' {number}' if number > 1 else ''})")


def numbered_name(name: str, number: int) -> str:
    """The name for another file beside those that bear `name` already: `stem (2).ext`."""
    return _marked(name, f" ({number})")


def _marked(name: str, mark: str) -> str:
    name = unicodedata.normalize("NFC", name)
    stem, dot, extension = name.rpartition(".")
    if not stem.strip(".") or len(extension.encode()) > 32:
        stem, dot, extension = name, "", ""
    tail = (mark + dot + extension).encode()
    room = NAME_MAX_BYTES - len(tail)
    return stem.encode()[:room].decode(errors="ignore") + tail.decode()


def _safe(device: str) -> str:
    cleaned = "".join(char for char in device if char.isprintable() and char not in "/\\").strip()
    # Composed first: composing what was cut could make it longer again, and a name must be what it is stored as.
    return unicodedata.normalize("NFC", cleaned).encode()[:64].decode(errors="ignore") or "device"


def split_path(path: str) -> tuple[str, ...]:
    """The checked names of a remote path such as `/a/b`; `/` has none. Raises `InvalidName`."""
    return tuple(check_name(name) for name in path.strip("/").split("/")) if path.strip("/") else ()


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`."""
    return f"{folder}/{name}" if folder else name


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]
