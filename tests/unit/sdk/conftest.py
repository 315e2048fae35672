"""A server in this process, and people who work with it through the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server import PASSWORD, RunningServer, running_server

from syncline import AsyncClient

ANN, BOB = "ann@example.org", "bob@example.org"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with running_server(tmp_path) as running:
        for email in (ANN, BOB):
            await running.add_user(email)
        yield running


@pytest.fixture
async def ann(server: RunningServer) -> AsyncIterator[AsyncClient]:
    async with await AsyncClient.sign_in(server.url, ANN, PASSWORD, device_name="ann's program") as client:
        yield client


@pytest.fixture
async def bob(server: RunningServer) -> AsyncIterator[AsyncClient]:
    async with await AsyncClient.sign_in(server.url, BOB, PASSWORD) as client:
        yield client
