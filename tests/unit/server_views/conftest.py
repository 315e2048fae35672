from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database


@pytest.fixture(params=["sql", pytest.param("postgres", marks=pytest.mark.real)])
async def world(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    if request.param == "postgres":
        async with World.opened(request.getfixturevalue("postgres_url")) as opened:
            yield opened
        return
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as opened:
        yield opened


@pytest.fixture
async def ada(world: World) -> Member:
    return await world.person("ada")
