from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member
from tests.unit.server_uploads.yard import Yard


@pytest.fixture
async def yard(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
    async with Yard.opened(tmp_path, tmp_path_factory) as opened:
        yield opened


@pytest.fixture
async def ada(yard: Yard) -> Member:
    return await yard.world.person("ada")
