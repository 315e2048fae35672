"""Long files pass through memory without filling it, and without emptying it of what others keep there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.adapters.disk.files import LinuxFiles
from syncline.model.limits import MIB

DATA = os.urandom(5 * MIB + 77)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LinuxFiles]:
    made = LinuxFiles(tmp_path)
    yield made
    made.close()


def in_memory(path: Path) -> bool:
    """Whether the file's second MiB is in the page cache."""
    with path.open("rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(4096)], MIB, os.RWF_NOWAIT) == 4096
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                pytest.skip("this file system does not say what is in memory")
            return False


def test_what_was_settled_is_durable_and_leaves_memory(files: LinuxFiles) -> None:
    with files.create("long") as file:
        for start in range(0, len(DATA), MIB):
            file.write(DATA[start : start + MIB])
        assert in_memory(files.root / "long")
        files.settle(file, 0, 4 * MIB)
        assert not in_memory(files.root / "long")
    assert (files.root / "long").read_bytes() == DATA


@pytest.mark.parametrize("hot", [True, False])
def test_reading_once_leaves_memory_as_it_was(files: LinuxFiles, hot: bool) -> None:
    with files.create("long") as file:
        file.write(DATA)
        files.sync_files([file])
        if not hot:
            files.settle(file, 0, len(DATA))
    in_memory(files.root / "long")
    into = bytearray(3 * MIB)
    with files.open_read("long") as file:
        assert files.read_once(file, MIB, memoryview(into)) == 3 * MIB
        assert into == DATA[MIB : 4 * MIB]
        assert files.read_once(file, 4 * MIB, memoryview(into)) == MIB + 77
        assert into[: MIB + 77] == DATA[4 * MIB :]
        assert files.read_once(file, len(DATA), memoryview(into)) == 0
    if hot:
        assert in_memory(files.root / "long")


def test_a_file_half_in_memory_is_read_whole(files: LinuxFiles) -> None:
    with files.create("long") as file:
        file.write(DATA)
        files.settle(file, 0, len(DATA))
        os.preadv(file.fileno(), [bytearray(100_000)], 0)
        into = bytearray(len(DATA))
        assert files.read_once(file, 0, memoryview(into)) == len(DATA)
        assert into == DATA
