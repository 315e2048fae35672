from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.send.kit import Device

from syncline.testing.content_remote import ContentRemote


@pytest.fixture
def remote() -> ContentRemote:
    return ContentRemote()


@pytest.fixture
def device(tmp_path: Path, remote: ContentRemote) -> Iterator[Device]:
    device = Device(tmp_path / "one", remote)
    yield device
    device.store.close()
    device.files.close()
