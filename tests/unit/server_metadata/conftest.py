from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database


@pytest.fixture(params=["sql", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    if request.param == "memory":
        yield World.in_memory()
        return
    path = tmp_path / "metadata.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as opened:
        yield opened


@pytest.fixture
async def ada(world: World) -> Member:
    return await world.person("ada")
