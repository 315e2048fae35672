"""A request that should be answered well, for every operation: made of what the world has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tests.fuzz.feeds import links, moving, past, people, tree
from tests.fuzz.world import Ask, World

Feed: TypeAlias = Callable[[World], Ask]

FEEDS: dict[str, Feed] = {**people.FEEDS, **tree.FEEDS, **moving.FEEDS, **past.FEEDS, **links.FEEDS}
