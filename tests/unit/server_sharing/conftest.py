from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database
from tests.unit.server_sharing.kit import Office


@pytest.fixture(params=["sql", "memory"])
async def office(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    if request.param == "memory":
        yield Office(World.in_memory())
        return
    path = tmp_path / "metadata.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as opened:
        yield Office(opened)


@pytest.fixture
async def ann(office: Office) -> Member:
    """Ann has a folder `work` with a file `f` of two blocks in two revisions, a folder `deep` with `g`, a deleted `gone`, and a
    file `own` beside it."""
    ann = await office.person("ann")
    await ann.put(b"one", b"two", b"three", b"mine")
    await ann.commit(ann.mkdir("work"), ann.create("own", data=b"mine"))
    await ann.commit(ann.create("f", "work", data=[b"one", b"two"]), ann.mkdir("deep", "work"), ann.create("gone", "work"))
    await ann.commit(ann.create("g", "deep", data=b"mine"), ann.edit("f", 1, b"three"))
    await ann.commit(ann.delete("gone", 1))
    return ann


@pytest.fixture
async def bob(office: Office) -> Member:
    return await office.person("bob")
