"""What the disk cannot promise is written down by no part of the engine: after a loss of power it would not be so."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.devices import Device, settle

from syncline.model.errors import LocalIo
from syncline.model.ids import NodeId
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import HOME, JournalRemote


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(checks_blocks=True)


def fail(*_: Any) -> None:
    raise OSError(errno.EIO, "Input/output error")


async def test_rounds_after_a_sync_that_failed_claim_nothing_until_it_succeeds(tmp_path: Path, remote: JournalRemote) -> None:
    device = Device(tmp_path, "A", remote)
    device.write("a", b"one")
    await settle(device)
    engine = device.start()
    held = dict(device.store.local)
    (node,) = held
    remote.change(Change(op=Op.MOVE, node_id=node, parent_id=NodeId(HOME), name="b"))
    device.files.before["sync_folders"] = fail
    for _ in range(3):
        with pytest.raises(LocalIo):
            await engine._round()
        assert device.tree() == {"b": b"one"}, "it was done"
        assert device.store.local == held
    del device.files.before["sync_folders"]
    await engine._round()
    assert device.store.local[node].name == "b"
