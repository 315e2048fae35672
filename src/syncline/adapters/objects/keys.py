"""Keys of objects: drawn at random, so that they tell nothing, lie spread over any store and never meet."""

from __future__ import annotations

from typing import Final

from syncline.ports.clock import Chance

_KEY_BYTES: Final = 20


def drawn_key(chance: Chance) -> str:
    """40 hexadecimal digits."""
    return chance.token(_KEY_BYTES).hex()
