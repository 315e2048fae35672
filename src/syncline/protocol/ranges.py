"""Range requests (RFC 9110 §14): one range of one length, the same at every door that gives bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from syncline.model.errors import Refused

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)


class UnsatisfiableRange(Refused):
    """The object has only {size} bytes."""

    code = "range.unsatisfiable"
    status = 416


def chosen_range(headers: Mapping[str, str], total: int, etag: str) -> tuple[int, int, bool]:
    """(start, end, partial) of what is asked for: one range, or all of it where the header is of another form, or where
    `If-Range` names other bytes than these. Raises `UnsatisfiableRange`."""
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or headers.get("if-range", etag) != etag:
        return 0, total, False
    first, last = match.groups()
    if not first and not last:
        return 0, total, False
    if not first:
        start, end = max(0, total - int(last)), total
    else:
        start, end = int(first), min(total, int(last) + 1 if last else total)
        if last and int(last) < int(first):
            return 0, total, False
    if start >= total or start >= end:
        raise UnsatisfiableRange(size=total)
    return start, end, True
