"""The state file keeps what it was given, says so when it is damaged, and answers transfer threads while the engine writes."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.adapters.state import rows
from syncline.adapters.state.schema import MIGRATIONS
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.model.blocks import Block, Manifest
from syncline.model.conflicts import OpenConflict, Reason
from syncline.model.entries import Access, Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.errors import Corrupt, NeedsDecision
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId, ulid
from syncline.ports.tree_store import BlockSource, Changes, CursorRow, InflightRow, SpoolRow

ROOT = NamespaceId(ulid(1, bytes(10)))
LARGEST = (1 << 64) - 1


def digest(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def node_id(number: int) -> NodeId:
    return NodeId(ulid(2, number.to_bytes(10, "big")))


def local(number: int, content: Digest | None = None, size: int = 7) -> LocalNode:
    return LocalNode(
        id=node_id(number),
        parent=NodeId(ROOT),
        name=f"file-{number}",
        kind=Kind.FILE,
        signature=Signature(66306, number, size, 1_700_000_000_000_000_000 + number, 1_700_000_000_000_000_001),
        content_hash=content,
        executable=False,
    )


def remote(number: int) -> RemoteNode:
    return RemoteNode(
        id=node_id(number),
        namespace=ROOT,
        parent=NodeId(ROOT),
        name=f"file-{number}",
        kind=Kind.FILE,
        revision=3,
        content_hash=digest(str(number)),
        size=7,
        mtime_us=1_700_000_000_000_000,
    )


def synced(number: int) -> SyncedNode:
    return SyncedNode(
        id=node_id(number),
        namespace=ROOT,
        parent=NodeId(ROOT),
        name=f"file-{number}",
        kind=Kind.FILE,
        revision=3,
        content_hash=digest(str(number)),
        executable=True,
    )


CURSOR = CursorRow(
    namespace=ROOT,
    name="Home",
    access=Access.OWNER,
    is_root=True,
    cursor="opaque",
    epoch="e1",
    sequence=9,
    chain=digest("chain"),
    root="0" * 64,
)


def manifest(name: str, *sizes: int) -> Manifest:
    blocks = tuple(Block(digest(f"{name}-{index}"), size) for index, size in enumerate(sizes))
    return Manifest(digest(name), sum(sizes), "fastcdc-1", blocks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteTreeStore]:
    store = SqliteTreeStore(path)
    yield store
    store.close()


def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    inflight = InflightRow(id="op", kind="replace", fields={"tmp": "x", "size": 4, "exec": True, "none": None})
    changes = Changes(
        remote_put=[remote(1), remote(2)],
        local_put=[local(1, digest("1")), local(2)],
        synced_put=[synced(1)],
        cursor_put=[CURSOR],
        inflight_put=[inflight],
        meta_put={"root": "r", "device": "ü"},
    )
    first = SqliteTreeStore(path)
    first.write(changes)
    first.close()
    second = SqliteTreeStore(path)
    remembered = second.load()
    second.close()
    assert remembered.remote == changes.remote_put
    assert remembered.local == changes.local_put
    assert remembered.synced == changes.synced_put
    assert remembered.cursors == [CURSOR]
    assert remembered.inflight == [inflight]
    assert remembered.meta == changes.meta_put


def test_puts_replace_and_removes_remove(store: SqliteTreeStore) -> None:
    store.write(Changes(local_put=[local(1), local(2)], synced_put=[synced(1)], cursor_put=[CURSOR]))
    edited = local(1, digest("new"), size=9)
    store.write(Changes(local_put=[edited], local_remove=[node_id(2)], synced_remove=[node_id(1)], cursor_remove=[ROOT]))
    remembered = store.load()
    assert remembered.local == [edited]
    assert remembered.synced == []
    assert remembered.cursors == []


def test_a_write_that_fails_leaves_nothing_behind(store: SqliteTreeStore) -> None:
    broken = Manifest(digest("m"), 3, "fastcdc-1", (Block(digest("a"), 1),))
    with pytest.raises(Corrupt):
        store.write(Changes(local_put=[local(1)], manifest_put=[broken]))
    assert store.load().local == []
    store.write(Changes(local_put=[local(2)]))
    assert [node.id for node in store.load().local] == [node_id(2)]


def test_only_the_owner_may_read_the_files(path: Path, store: SqliteTreeStore) -> None:
    store.write(Changes(meta_put={"a": "b"}))
    assert store.manifest(digest("none")) is None
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_manifests_and_their_blocks(store: SqliteTreeStore) -> None:
    held, unheld = manifest("held", 10, 20, 30), manifest("unheld", 5, 5)
    store.write(Changes(manifest_put=[held, unheld, held], local_put=[local(1, held.content_hash, size=60)]))
    assert store.manifest(held.content_hash) == held
    assert store.manifest(unheld.content_hash) == unheld
    assert store.manifest(digest("other")) is None
    wanted = [block.hash for block in (*held.blocks, *unheld.blocks)]
    sources = store.block_sources(wanted)
    assert sources == {
        held.blocks[0].hash: BlockSource(held.content_hash, 0, 10),
        held.blocks[1].hash: BlockSource(held.content_hash, 10, 20),
        held.blocks[2].hash: BlockSource(held.content_hash, 30, 30),
    }, "blocks of a content that no file holds are nowhere"


def test_a_small_file_is_its_own_block(store: SqliteTreeStore) -> None:
    content = digest("small")
    store.write(Changes(local_put=[local(1, content, size=5)]))
    assert store.block_sources([content]) == {content: BlockSource(content, 0, 5)}


def test_more_hashes_than_one_query_takes(store: SqliteTreeStore) -> None:
    big = manifest("big", *([1] * 1_700))
    store.write(Changes(manifest_put=[big], local_put=[local(1, big.content_hash)]))
    assert len(store.block_sources([block.hash for block in big.blocks])) == 1_700


def test_prune_forgets_only_what_no_tree_names_and_not_at_once(store: SqliteTreeStore) -> None:
    held, gone = manifest("held", 1, 2), manifest("gone", 3, 4)
    store.write(Changes(manifest_put=[held, gone], local_put=[local(1, held.content_hash)]))
    assert store.prune() == 0, "a manifest may be older than the node it is for"
    assert store.prune() == 1
    assert store.manifest(gone.content_hash) is None
    assert store.manifest(held.content_hash) == held
    store.write(Changes(local_put=[local(2, gone.content_hash)]))
    assert set(store.block_sources([block.hash for block in gone.blocks])) == set()
    store.write(Changes(manifest_put=[gone]))
    assert len(store.block_sources([block.hash for block in gone.blocks])) == 2


def test_the_spool(store: SqliteTreeStore) -> None:
    one = SpoolRow(file_name="a.pack", namespace=ROOT, offer=b"{}")
    two = SpoolRow(file_name="b.pack", namespace=ROOT, offer=b"[]", pack_id=PackId(ROOT))
    store.spool_put([two, one])
    assert store.spooled() == [one, two]
    store.spool_remove(["a.pack", "never"])
    assert store.spooled() == [two]


@pytest.mark.parametrize("damage", [b"not a database at all" * 300, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_named_with_what_to_do(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(Corrupt) as caught:
        SqliteTreeStore(path)
    assert str(path) in str(caught.value)
    assert "start again" in str(caught.value)


def test_damage_in_the_middle_is_found(path: Path) -> None:
    store = SqliteTreeStore(path)
    store.write(Changes(local_put=[local(number, digest(str(number))) for number in range(2_000)]))
    store.check()
    store.close()
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\xa5" * (len(content) - 12288)
    path.write_bytes(content)
    with pytest.raises(Corrupt):
        _open_and_check(path)


def _open_and_check(path: Path) -> None:
    damaged = SqliteTreeStore(path)
    try:
        damaged.check()
    finally:
        damaged.close()


def test_a_damaged_manifest_is_told(path: Path) -> None:
    store = SqliteTreeStore(path)
    some = manifest("some", 1, 2)
    store.write(Changes(manifest_put=[some]))
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE manifests SET packed = zeroblob(length(packed))")
    raw.close()
    store = SqliteTreeStore(path)
    with pytest.raises(Corrupt):
        store.manifest(some.content_hash)
    store.close()


def test_a_newer_file_and_a_foreign_one_are_refused(path: Path, tmp_path: Path) -> None:
    SqliteTreeStore(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    raw.close()
    with pytest.raises(NeedsDecision):
        SqliteTreeStore(path)
    foreign = tmp_path / "other.db"
    with sqlite3.connect(foreign) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(Corrupt):
        SqliteTreeStore(foreign)


def test_transfer_threads_read_while_the_engine_writes(store: SqliteTreeStore) -> None:
    some = manifest("some", 1, 2, 3)
    store.write(Changes(manifest_put=[some], local_put=[local(0, some.content_hash)]))
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            if store.manifest(some.content_hash) != some or len(store.block_sources([some.blocks[1].hash])) != 1:
                wrong.append("lost")

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for batch in range(1, 30):
        store.write(Changes(local_put=[local(number) for number in range(batch * 50, batch * 50 + 50)]))
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(store.load().local) == 29 * 50 + 1


def test_batches_are_fast(store: SqliteTreeStore) -> None:
    """Bounds with room for a busy machine; the aims are 25 ms for a batch and 150 ms to load."""
    started = time.perf_counter()
    for batch in range(10):
        span = range(batch * 1000, batch * 1000 + 1000)
        content = [local(number, digest(str(number))) for number in span]
        store.write(Changes(remote_put=[remote(n) for n in span], local_put=content, synced_put=[synced(n) for n in span]))
    wrote_s = time.perf_counter() - started
    started = time.perf_counter()
    remembered = store.load()
    loaded_s = time.perf_counter() - started
    assert len(remembered.local) == 10_000
    assert wrote_s < 2.5
    assert loaded_s < 1.0


def conflict(number: int, **options: object) -> OpenConflict:
    return OpenConflict(
        copy=node_id(number),
        original=node_id(number + 1),
        reason=Reason.NAME_TAKEN,
        path="d/ä",
        copy_path="d/ä (copy)",
        device="laptop",
        time_us=1_700_000_000_000_000,
        base=digest("base"),
        **options,  # type: ignore[arg-type]
    )


def test_conflicts_are_kept_with_what_they_came_with(tmp_path: Path) -> None:
    store = SqliteTreeStore(tmp_path / "state.db")
    store.write(Changes(local_put=[local(1)], conflict_put=[conflict(1), conflict(3)]))
    store.write(Changes(conflict_put=[conflict(1, is_kept=True)], conflict_remove=[node_id(3)]))
    store.close()
    again = SqliteTreeStore(tmp_path / "state.db")
    assert again.load().conflicts == [conflict(1, is_kept=True)]
    again.close()


def test_a_file_from_before_conflicts_were_kept_is_brought_up(tmp_path: Path) -> None:
    store = SqliteTreeStore(tmp_path / "state.db")
    store.write(Changes(local_put=[local(1)]))
    store.close()
    raw = sqlite3.connect(tmp_path / "state.db")
    raw.executescript("DROP TABLE conflicts; PRAGMA user_version = 1;")
    raw.close()
    again = SqliteTreeStore(tmp_path / "state.db")
    assert again.load().local == [local(1)]
    again.write(Changes(conflict_put=[conflict(1)]))
    assert again.load().conflicts == [conflict(1)]
    again.close()


signatures = st.builds(
    Signature,
    st.integers(0, LARGEST),
    st.integers(0, LARGEST),
    st.integers(0, 1 << 42),
    st.integers(-(1 << 62), 1 << 62),
    st.integers(-(1 << 62), 1 << 62),
)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=40)


@given(signatures, names, st.booleans(), st.none() | st.booleans(), st.integers(1, 1 << 31))
def test_any_local_node_survives_its_row(signature: Signature, name: str, racy: bool, executable: bool | None, links: int) -> None:
    node = LocalNode(
        id=node_id(1),
        parent=NodeId(ROOT),
        name=name,
        kind=Kind.DIR,
        signature=signature,
        links=links,
        content_hash=digest(name),
        executable=executable,
        racy=racy,
    )
    connection = sqlite3.connect(":memory:")
    connection.executescript(MIGRATIONS[0])
    marks = ",".join("?" * (rows.LOCAL_COLUMNS.count(",") + 1))
    connection.execute(f"INSERT INTO local ({rows.LOCAL_COLUMNS}) VALUES ({marks})", rows.local_row(node))
    assert rows.local_node(connection.execute(f"SELECT {rows.LOCAL_COLUMNS} FROM local").fetchone()) == node
    connection.close()
