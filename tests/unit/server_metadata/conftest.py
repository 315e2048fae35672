from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database


@pytest.fixture
async def world(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    path = tmp_path / "metadata.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as opened:
        yield opened


@pytest.fixture
async def ada(world: World) -> Member:
    return await world.person("ada")
