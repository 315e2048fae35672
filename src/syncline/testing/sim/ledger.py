"""What people wrote, and what they themselves destroyed: the debts of a run.

A content a person wrote must be alive at the end unless a person, on any device, overwrote or deleted a file while it held it; then
it must at least not have vanished by the engine's doing. Contents say who wrote them, so a check needs no other oracle.
"""

from __future__ import annotations

import hashlib
from collections import Counter


class Ledger:
    """`strict` contents must be alive at the end unless destroyed; `loose` ones (written through a descriptor whose name may have
    gone) must be somewhere, the trash and the history included."""

    def __init__(self) -> None:
        self.written: dict[bytes, str] = {}
        """Every content ever on a disk by a person's hand, and who wrote it."""
        self.loose: set[bytes] = set()
        self.destroyed: set[bytes] = set()
        self._count = 0

    def fresh(self, who: str, size: int) -> bytes:
        """A content nobody wrote before; the empty one is everybody's."""
        if size == 0:
            return b""
        self._count += 1
        head = f"{who}#{self._count}:".encode()
        if size <= 1000:
            return head + b"." * size
        filler = hashlib.shake_128(head).digest(size)
        return head + filler

    def note(self, who: str, before: Counter[bytes], after: Counter[bytes]) -> None:
        """A person's deed: how often each content was in sight on their disk before it, and after it."""
        for content in after:
            self.written.setdefault(content, who)
        self.destroyed.update(content for content, count in before.items() if after[content] < count)

    def wrote(self, who: str, content: bytes) -> None:
        """A content that is not in sight, since it was written through a descriptor whose name was gone."""
        if content not in self.written:
            self.written[content] = who
            self.loose.add(content)

    def must_live(self) -> set[bytes]:
        return self.written.keys() - self.destroyed - self.loose

    def must_be_somewhere(self) -> set[bytes]:
        return self.written.keys() - self.destroyed


def named(content: bytes | None) -> str:
    """A content as people read it in a report."""
    if content is None:
        return "folder"
    head = content.split(b":", 1)[0]
    return f"{head.decode(errors='replace')}({len(content)})" if content else "empty"
