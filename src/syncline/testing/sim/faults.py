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

Struck = tuple[str, int, str]
"""Actor, call number, kind."""


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
        self._streams: dict[str, _Stream] = {}
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
        stream = self._streams.get(actor)
        if stream is None:
            stream = self._streams[actor] = _Stream(Random(f"{self._seed}/{actor}"), self._rate)
        stream.number += 1
        self.heard(actor, site)
        if not self.active:
            return None
        if self._planned is not None:
            kind = self._planned.get((actor, stream.number))
            if kind is None or kind not in kinds:
                return None
        else:
            if stream.number < stream.next:
                return None
            stream.draw_next()
            able = [kind for kind in kinds if kind in self._enabled]
            if not able:
                return None
            kind = able[int(stream.rng.random() * len(able))]
        self.struck.append((actor, stream.number, kind))
        self.seen[f"{site}:{kind}"] += 1
        self.struck_at(actor, site, kind)
        return kind

    def stop(self) -> None:
        """Nothing fails any more."""
        self.active = False


class _Stream:
    """One actor's calls, and the number of the next that fails."""

    __slots__ = ("_burst", "_rate", "next", "number", "rng")

    def __init__(self, rng: Random, rate: float) -> None:
        self.rng = rng
        self.number = 0
        self._rate = rate
        self._burst = 0
        self.next = 0
        self.draw_next()

    def draw_next(self) -> None:
        rng = self.rng
        if self._rate <= 0:
            self.next = 1 << 62
            return
        if self._burst > 0:
            self._burst -= 1
        elif rng.random() < Faults.BURST_SHARE:
            self._burst = rng.randint(2, 6)
        rate = min(0.5, self._rate * (Faults.BURST_FACTOR if self._burst else 1.0))
        self.next = self.number + 1 + int(log(1.0 - rng.random()) / log(1.0 - rate))
