"""A file that another program uploaded is left alone until the server knows its bytes, and nothing is claimed of it before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.client.kit import node_id
from tests.unit.client.test_engine import Device, until

from syncline.client.status import State
from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, NodeId, ulid
from syncline.model.journal import JournalEntry
from syncline.testing.journal_remote import HOME, JournalRemote

NODE = node_id(7)


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(checks_blocks=True)


@pytest.fixture
def device(tmp_path: Path, remote: JournalRemote) -> Device:
    return Device(tmp_path, remote)


def uploaded(remote: JournalRemote, *, revision: int = 1) -> JournalEntry:
    """Another program's upload is complete: a revision whose hash nobody knows yet."""
    row = JournalEntry(
        sequence=remote.head + 1,
        changeset=ChangesetId(ulid(9, remote.head.to_bytes(10, "big"))),
        op="create" if revision == 1 else "edit",
        node_id=NODE,
        parent_id=NodeId(HOME),
        name="film",
        kind=Kind.FILE,
        revision=revision,
        size=4,
    )
    remote._record(row)
    remote._moved.set()
    return row


def settle(remote: JournalRemote, row: JournalEntry, like: NodeId) -> None:
    """The server has taken it in: the same revision, with its hash and blocks."""
    known = remote.nodes[like]
    assert known.content_hash is not None
    remote._revisions[(HOME, NODE, row.revision)] = remote._revisions[(HOME, like, known.revision)]
    changeset = ChangesetId(ulid(9, remote.head.to_bytes(10, "big")))
    remote._record(
        replace(row, sequence=remote.head + 1, changeset=changeset, op="settled", content_hash=known.content_hash, size=known.size)
    )
    remote._moved.set()


def is_settling(device: Device) -> bool:
    state, _, reasons = device.engine.claim()
    return state is State.SYNCING and {reason.code for reason in reasons} == {"upload.settling"}


def node_of(remote: JournalRemote, name: str) -> NodeId:
    return next(row.node_id for row in remote.nodes.values() if row.name == name)


async def test_it_comes_once_the_server_knows_it_and_only_then_all_is_in_sync(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        device.write("seen", "seen")
        await until(lambda: engine.state() is State.IN_SYNC)
        row = uploaded(remote)
        await until(lambda: is_settling(device))
        device.write("other", "other")
        await until(lambda: "other" in {each.name for each in remote.nodes.values()})
        await until(lambda: is_settling(device))
        assert not (device.root / "film").exists()
        settle(remote, row, node_of(remote, "seen"))
        await until(lambda: engine.state() is State.IN_SYNC)
        assert (device.root / "film").read_text() == "seen"


async def test_a_wait_lasts_until_it_has_come(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        device.write("seen", "seen")
        await until(lambda: engine.state() is State.IN_SYNC)
        row = uploaded(remote)
        await until(lambda: is_settling(device))
        asked = asyncio.ensure_future(engine.wait(20))
        await until(lambda: is_settling(device))
        assert not asked.done()
        settle(remote, row, node_of(remote, "seen"))
        assert await asked
        assert (device.root / "film").read_text() == "seen"


async def test_an_edit_here_meanwhile_is_kept_and_neither_overwrites_the_other(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        device.write("first", "first")
        device.write("other", "other")
        await until(lambda: {"first", "other"} <= {row.name for row in remote.nodes.values()})
        settle(remote, uploaded(remote), node_of(remote, "first"))
        await until(lambda: (device.root / "film").exists() and engine.state() is State.IN_SYNC)
        newer = uploaded(remote, revision=2)
        await until(lambda: is_settling(device))
        device.write("film", "edited here")
        await until(lambda: engine.state() is State.SYNCING)
        settle(remote, newer, node_of(remote, "other"))
        await until(lambda: engine.state() is State.IN_SYNC)
        texts = sorted(path.read_text() for path in device.root.iterdir() if path.is_file())
        assert texts == ["edited here", "first", "other", "other"]
