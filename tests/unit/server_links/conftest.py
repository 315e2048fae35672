from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server import RunningServer, SignedIn, running_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with running_server(tmp_path) as running:
        yield running


@pytest.fixture
async def ann(server: RunningServer) -> SignedIn:
    return await server.newcomer("ann@example.org", device_name="ann's laptop")


@pytest.fixture
async def bob(server: RunningServer) -> SignedIn:
    return await server.newcomer("bob@example.org")
