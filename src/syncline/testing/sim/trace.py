"""The trace of a run: every call that could have gone wrong, when and whose, every deed, and the end, as one hash.

Two runs of one seed must trace alike, whatever the hash seed of the process: that is what makes a failure a thing one can replay.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Final

_WORDS: Final = {
    "crash before": "dies before",
    "crash after": "dies after",
    "crash": "dies at",
    "power before": "loses power before",
    "power after": "loses power after",
    "act": "somebody acts during",
}


class Trace:
    """`heard` and `struck_at` for `Faults`, `note` for the rest. `say` is told in words of what struck."""

    def __init__(self, now: Callable[[], float], say: Callable[[str], None]) -> None:
        self._now = now
        self._say = say
        self._hash = hashlib.blake2b(digest_size=16)
        self._calls: Counter[tuple[str, str]] = Counter()

    def heard(self, actor: str, site: str) -> None:
        self._calls[actor, site] += 1
        self._hash.update(f"{self._now()!r} {actor} {site}\n".encode())

    def struck_at(self, actor: str, site: str, kind: str) -> None:
        """Says which call it was, counted by actor and site: "d1 dies before its 3. files.rename"."""
        self._say(f"{actor} {_WORDS.get(kind, f'{kind} at')} its {self._calls[actor, site]}. {site}")

    def note(self, what: str) -> None:
        self._hash.update(what.encode(errors="surrogatepass") + b"\n")

    def text(self) -> str:
        return self._hash.hexdigest()
