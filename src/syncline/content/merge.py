"""Three texts into one: what `ours` and `theirs` each changed of `base`, line by line, where the two do not touch.

    base ─┬─ what ours changed ───┐
          └─ what theirs changed ─┴─▶ one text, or why there is none

Laws: bytes are never converted: a line is what ends in a line feed, a carriage return before it is part of the line, and the last
line may lack the line feed. Changes that touch or overlap are no clean merge unless they are equal, as for `git merge-file`. A text
with many equal lines can be compared in several ways, each true; a merge that depends on which is none: comparing from the front
and from the back must give the same, and between a change of one side and the next of the other must stand a line that all three
texts have once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from merge3 import Merge3

from syncline.model.limits import MERGE_MAX_BYTES, MERGE_WORK_MAX

Lines = list[bytes]
Block = tuple[int, int, int]
"""As `difflib` has it: where equal runs begin in one text and in the other, and their length."""


class Unmerged(StrEnum):
    """Why there is no clean merge."""

    OVERLAP = "both sides changed the same or neighbouring lines"
    BINARY = "it is no text in UTF-8"
    NO_BASE = "the version both started from cannot be had"
    TOO_LARGE = "it is too large"
    TOO_DIFFERENT = "the versions differ too much"


def is_text(content: bytes) -> bool:
    """Whether bytes are text in UTF-8; a zero byte is in none."""
    if b"\0" in content:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def merge_text(base: bytes, ours: bytes, theirs: bytes) -> bytes | Unmerged:
    """The text with the changes of both sides, or why there is none."""
    sides = (base, ours, theirs)
    if any(len(side) > MERGE_MAX_BYTES for side in sides):
        return Unmerged.TOO_LARGE
    if not all(is_text(side) for side in sides):
        return Unmerged.BINARY
    lines = (_lines(base), _lines(ours), _lines(theirs))
    once = _held_once(lines)
    try:
        merged = _merge(lines, once)
        if merged is None or merged != _merge(lines, once, backwards=True):
            return Unmerged.OVERLAP
    except _TooMuchWork:
        return Unmerged.TOO_DIFFERENT
    return merged


def _lines(text: bytes) -> Lines:
    """The text at its line feeds, each kept; nothing else ends a line."""
    lines = [line + b"\n" for line in text.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _held_once(texts: tuple[Lines, Lines, Lines]) -> frozenset[bytes]:
    base, ours, theirs = (Counter(side) for side in texts)
    return frozenset(line for line, count in base.items() if count == ours[line] == theirs[line] == 1)


def _merge(texts: tuple[Lines, Lines, Lines], once: frozenset[bytes], *, backwards: bool = False) -> bytes | None:
    base, ours, theirs = (side[::-1] for side in texts) if backwards else texts
    sources = {"unchanged": base, "same": ours, "a": ours, "b": theirs}
    out: Lines = []
    changed_by = ""
    for region in Merge3(base, ours, theirs, sequence_matcher=_Compared).merge_regions():
        if region[0] == "conflict":
            return None
        kind, start, end = region
        run = sources[kind][start:end]
        out += run
        if kind != "unchanged":
            if changed_by not in ("", kind):
                return None
            changed_by = kind
        elif not once.isdisjoint(run):
            changed_by = ""
    return b"".join(reversed(out) if backwards else out)


# -- Comparing two texts ------------------------------------------------------------------------------------------------------


class _TooMuchWork(Exception):
    """The texts differ in so many places that comparing them would take too long."""


class _Compared:
    """The shortest way from one text to the other (Myers, An O(ND) difference algorithm, 1986), to `difflib`'s interface."""

    def __init__(self, isjunk: object, a: Sequence[bytes] = (), b: Sequence[bytes] = (), autojunk: bool = True) -> None:
        self._a, self._b = a, b

    def get_matching_blocks(self) -> list[Block]:
        a, b = self._a, self._b
        shorter = min(len(a), len(b))
        head = next((at for at in range(shorter) if a[at] != b[at]), shorter)
        tail = next((at for at in range(shorter - head) if a[-1 - at] != b[-1 - at]), shorter - head)
        inner = _path(a[head : len(a) - tail], b[head : len(b) - tail])
        found = [(0, 0, head), *((x + head, y + head, count) for x, y, count in inner), (len(a) - tail, len(b) - tail, tail)]
        joined: list[Block] = []
        for x, y, count in found:
            if joined and count and (joined[-1][0] + joined[-1][2], joined[-1][1] + joined[-1][2]) == (x, y):
                x, y, before = joined.pop()
                count += before
            if count:
                joined.append((x, y, count))
        return [*joined, (len(a), len(b), 0)]


def _path(a: Sequence[bytes], b: Sequence[bytes]) -> list[Block]:
    """Runs of equal lines on a shortest way, in order."""
    reached: list[dict[int, int]] = []
    furthest = {1: 0}
    work = 0
    for edits in range(len(a) + len(b) + 1):
        reached.append(furthest.copy())
        for diagonal in range(-edits, edits + 1, 2):
            x = start = _step(furthest, diagonal, edits)
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            work += 1 + x - start
            furthest[diagonal] = x
            if x >= len(a) and y >= len(b):
                return _walk_back(reached, len(a), len(b))
        work += len(furthest)
        if work > MERGE_WORK_MAX:
            raise _TooMuchWork
    raise AssertionError("every text can be had from any other")


def _step(furthest: dict[int, int], diagonal: int, edits: int) -> int:
    """How far along `a` one more edit begins: after an insertion from the diagonal above, or a deletion from that below."""
    return furthest[diagonal + 1] if _is_insertion(furthest, diagonal, edits) else furthest[diagonal - 1] + 1


def _walk_back(reached: list[dict[int, int]], x: int, y: int) -> list[Block]:
    blocks: list[Block] = []
    for edits in range(len(reached) - 1, -1, -1):
        start = _step(reached[edits], x - y, edits)
        if x > start:
            blocks.append((start, y - (x - start), x - start))
        diagonal = x - y + (1 if _is_insertion(reached[edits], x - y, edits) else -1)
        x = reached[edits].get(diagonal, 0)
        y = x - diagonal
    return blocks[::-1]


def _is_insertion(furthest: dict[int, int], diagonal: int, edits: int) -> bool:
    return diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
