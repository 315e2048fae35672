"""A slice of the random acts against the model of access; `python -m tests.property.access` plays as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.property.access.play import play
from tests.unit.server_metadata.world import World, fresh_database


@pytest.mark.parametrize("seed", range(1, 13))
async def test_the_server_answers_as_the_model_does(seed: int) -> None:
    await play(World.in_memory(), seed, 250)


@pytest.mark.parametrize("seed", range(101, 104))
async def test_so_does_the_database(seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path / "metadata.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as world:
        await play(world, seed, 120)
