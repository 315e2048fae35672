from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_content.shelf import Shelf
from tests.unit.server_metadata.world import World, fresh_database


@pytest.fixture(params=["sql", pytest.param("postgres", marks=pytest.mark.real)])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    where: Path | str = tmp_path / "metadata.db"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    else:
        await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(where) as world:
        yield Shelf(world, await world.person("ada"))
