"""Which partition carries a namespace's hints: the same one always, so that they keep their order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from syncline.model.ids import NamespaceId
from syncline.ports.bus import Hint


def partition_of(namespace: NamespaceId, count: int) -> int:
    """The same number in every process and release."""
    return int.from_bytes(hashlib.blake2b(namespace.encode(), digest_size=8).digest()) % count


def by_partition(hints: Sequence[Hint], count: int) -> dict[int, list[Hint]]:
    """The hints of each partition that has any, in the order given."""
    parted: dict[int, list[Hint]] = {}
    for hint in hints:
        parted.setdefault(partition_of(hint.namespace, count), []).append(hint)
    return parted
