from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_content.shelf import Shelf
from tests.unit.server_metadata.world import World, fresh_database


@pytest.fixture
async def shelf(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        yield Shelf(world, await world.person("ada"))
