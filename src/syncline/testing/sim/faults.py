"""Where things go wrong, drawn from a stream of its own or played back from a tape.

Each place in the world where something may fail is a site ("files.rename", "net.commit", "store.write"); each actor counts its
calls over all sites. A fault strikes at a call number; which kind, of those the site can suffer and this run has switched on, is
drawn then. What struck is written to the tape, and a tape played back strikes at the same numbers, so a run can be made smaller by
leaving faults out without anything else being drawn anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log
from random import Random
from typing import Final

Struck = tuple[str, int, str]
"""Actor, call number, kind."""
SELDOM: Final = frozenset(
    (
        *(f"files.{op}" for op in ("create", "write", "settle", "sync_files", "sync_folders", "set_attributes", "set_executable")),
        *(f"files.{op}" for op in ("rename", "exchange", "remove_folder", "remove_file", "copy_range", "read_once", "free_bytes")),
        *(
            f"net.{call}"
            for call in ("commit", "grant", "put_pack", "packs_done", "missing", "manifests", "read_object", "snapshot")
        ),
        *(f"server.{step}" for step in ("lock", "locked", "commit.before", "commit.after")),
        "store.spool_put",
        "store.spool_remove",
    )
)
"""Sites that are called seldom, and matter."""
SELDOM_FACTOR: Final = 8.0
RAREST: Final = frozenset(("files.set_executable", "files.read_once"))
"""Of these those that most worlds never call, and the others a handful of times."""
RAREST_FACTOR: Final = 40.0


class Faults:
    """`at` is asked at every site. `enabled` names the kinds of this run; `rate` is the chance of a fault at a call, many times
    higher during a burst."""

    BURST_FACTOR = 12.0
    BURST_SHARE = 0.25

    def __init__(self, seed: str, *, enabled: frozenset[str], rate: float, tape: Sequence[Struck] | None = None) -> None:
        self._seed = seed
        self._enabled = enabled
        self._rate = rate
        self._planned: Mapping[tuple[str, int], str] | None = (
            None if tape is None else {(actor, number): kind for actor, number, kind in tape}
        )
        self._streams: dict[tuple[str, str], _Stream] = {}
        self.calls: Counter[str] = Counter()
        self.struck: list[Struck] = []
        self.seen: Counter[str] = Counter()
        """How often each "site:kind" struck."""
        self.active = True
        self.heard: Callable[[str, str], None] = lambda actor, site: None
        """Told of every call, by actor and site."""
        self.struck_at: Callable[[str, str, str], None] = lambda actor, site, kind: None
        """Told of every fault that struck."""

    def at(self, actor: str, site: str, kinds: Sequence[str]) -> str | None:
        """The kind of fault that strikes this call, None for most. Every call counts."""
        number = self.calls[actor] = self.calls[actor] + 1
        self.heard(actor, site)
        if not self.active:
            return None
        if self._planned is not None:
            kind = self._planned.get((actor, number))
            if kind is None or kind not in kinds:
                return None
        else:
            stream = self._streams.get((actor, site))
            if stream is None:
                stream = self._streams[actor, site] = _Stream(Random(f"{self._seed}/{actor}/{site}"), self._rate * weight(site))
            if not stream.strikes():
                return None
            able = [kind for kind in kinds if kind in self._enabled]
            if not able:
                return None
            kind = able[int(stream.rng.random() * len(able))]
        self.struck.append((actor, number, kind))
        self.seen[f"{site}:{kind}"] += 1
        self.struck_at(actor, site, kind)
        return kind

    def stop(self) -> None:
        """Nothing fails any more."""
        self.active = False


def weight(site: str) -> float:
    """How much likelier than others a site's calls fail. Most calls only look; what changes something would seldom be struck."""
    if site in RAREST:
        return RAREST_FACTOR
    return SELDOM_FACTOR if site in SELDOM else 1.0


class _Stream:
    """The calls of one actor at one site, and how many go well before the next that fails."""

    __slots__ = ("_burst", "_left", "_rate", "rng")

    def __init__(self, rng: Random, rate: float) -> None:
        self.rng = rng
        self._rate = rate
        self._burst = 0
        self._left = self._draw()

    def strikes(self) -> bool:
        """Counts a call; whether it fails."""
        self._left -= 1
        if self._left > 0:
            return False
        self._left = self._draw()
        return True

    def _draw(self) -> int:
        rng = self.rng
        if self._rate <= 0:
            return 1 << 62
        if self._burst > 0:
            self._burst -= 1
        elif rng.random() < Faults.BURST_SHARE:
            self._burst = rng.randint(2, 6)
        rate = min(0.5, self._rate * (Faults.BURST_FACTOR if self._burst else 1.0))
        return 1 + int(log(1.0 - rng.random()) / log(1.0 - rate))
