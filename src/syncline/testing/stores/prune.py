"""Forgetting in memory: stored answers and journal rows past their time, whole changesets, and never a namespace's newest."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.testing.stores.space import Space


def prune_answers(spaces: Sequence[Space], before_us: int, limit: int) -> int:
    old = [(answer.time_us, space, key) for space in spaces for key, answer in space.answers.items() if answer.time_us < before_us]
    old.sort(key=lambda one: one[0])
    for _, space, key in old[:limit]:
        del space.answers[key]
    return min(len(old), limit)


def prune_journals(spaces: Sequence[Space], before_us: int, limit: int) -> int:
    pruned = 0
    for space in spaces:
        if pruned < limit and space.journal and space.journal[0].entry.time_us < before_us:
            count = _prunable(space, before_us, limit - pruned)
            del space.journal[:count]
            space.pruned += count
            pruned += count
    return pruned


def _prunable(space: Space, before_us: int, limit: int) -> int:
    """How many rows go: about `limit`, up to where a changeset begins."""
    rows = [row.entry for row in space.journal]
    bound = len(rows) - 1
    while bound and rows[bound - 1].changeset == rows[-1].changeset:
        bound -= 1
    bound = next((index for index in range(bound) if rows[index].time_us >= before_us), bound)
    end = min(limit, bound)
    while end < bound and rows[end].changeset == rows[end - 1].changeset:
        end += 1
    return end
