from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.seaweed import Seaweed, binary, running_seaweed


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """One S3 server for all tests of this process."""
    program = binary()
    if program is None:
        pytest.skip("SeaweedFS is not installed, so nothing is known of S3: `make setup` brings it")
    with running_seaweed(tmp_path_factory.mktemp("seaweed"), program) as running:
        yield running
