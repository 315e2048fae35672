"""Times the metadata service on a fresh SQLite database: commits, journal pages, `missing`, snapshots, single commits.

`python -m bench.metadata [FILES]`; figures are milliseconds (median of the calls made).
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.blocks import Codec, PackEntry
from syncline.model.entries import Kind
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, PackId, UserId
from syncline.ports.account_store import User
from syncline.ports.clock import Ids
from syncline.ports.pack_store import PackRow
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.server.caller import Caller
from syncline.server.metadata.service import CursorCodec, Metadata

BATCH = 1000
SINGLES = 50
T = TypeVar("T")


class Stopwatch:
    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._times: dict[str, list[float]] = {}

    async def time(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        start = self._clock()
        result = await call()
        self._times.setdefault(what, []).append((self._clock() - start) * 1000)
        return result

    def report(self) -> None:
        for what, times in self._times.items():
            print(f"{what:<38} {statistics.median(times):8.1f} ms   worst {max(times):8.1f}   of {len(times)}")


async def main(files: int) -> None:
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        stores = await watch.time("open a new database", lambda: open_stores(Path(folder) / "metadata.db"))
        await stores.close()
        stores = await watch.time("open it again", lambda: open_stores(Path(folder) / "metadata.db"))
        try:
            await _run(stores, watch, files)
        finally:
            await stores.close()
    watch.report()


async def _run(stores: Stores, watch: Stopwatch, files: int) -> None:
    clock, chance = MachineClock(), MachineChance()
    ids = Ids(clock, chance)
    metadata = Metadata(stores.metadata, CursorCodec(chance.token(32)), clock, ids, lambda _namespace, _head: None)
    caller, namespace = Caller(UserId(ids.fresh()), DeviceId(ids.fresh())), NamespaceId(ids.fresh())
    user = User(id=caller.user_id, email="b@x", name="b", password_hash="", root_namespace=namespace, created_us=clock.now_us())
    await stores.accounts.add_user(user)
    nodes: list[NodeId] = []
    for batch in range(files // BATCH):
        hashes = [Digest(hashlib.sha256(b"%d" % (batch * BATCH + number)).hexdigest()) for number in range(BATCH)]
        await watch.time("missing(1,000), all missing", lambda h=hashes: stores.packs.missing(namespace, caller.user_id, h))  # type: ignore[misc]
        pack = _pack(ids, namespace, caller, clock.now_us())
        entries = [PackEntry(block, 0, 100, 90, Codec.RAW) for block in hashes]
        await watch.time("grant a pack of 1,000 blocks", lambda p=pack, e=entries: stores.packs.add_packs([(p, e)]))  # type: ignore[misc]
        await watch.time("finish it", lambda p=pack: stores.packs.finish([p.id], clock.now_us()))  # type: ignore[misc]
        await watch.time("missing(1,000), none missing", lambda h=hashes: stores.packs.missing(namespace, caller.user_id, h))  # type: ignore[misc]
        await watch.time("copies(1,000)", lambda h=hashes: stores.packs.copies(namespace, h))  # type: ignore[misc]
        folder = NodeId(ids.fresh())
        changes = [Change(op=Op.CREATE, node_id=folder, parent_id=NodeId(namespace), name=f"d{batch}", kind=Kind.DIR)]
        changes += [_file(ids, folder, number, block) for number, block in enumerate(hashes[1:])]
        nodes += [change.node_id for change in changes[1:]]
        request = CommitRequest(namespace=namespace, changes=changes)
        await watch.time("commit of 1,000 creates", lambda r=request, b=batch: metadata.commit(caller, r, f"create {b}"))  # type: ignore[misc]
        await watch.time("the same again, replayed", lambda r=request, b=batch: metadata.commit(caller, r, f"create {b}"))  # type: ignore[misc]
    await _read(metadata, watch, caller, namespace, nodes)
    await _change(metadata, watch, caller, namespace, nodes)


async def _read(metadata: Metadata, watch: Stopwatch, caller: Caller, namespace: NamespaceId, nodes: list[NodeId]) -> None:
    cursor: str | None = None
    while True:
        page = await watch.time("page of 1,000 changes", lambda c=cursor: metadata.changes(caller, namespace, c, BATCH))  # type: ignore[misc]
        cursor = page.cursor
        if not page.has_more:
            break
    after: str | None = None
    while True:
        snapshot = await watch.time("page of 1,000 nodes", lambda a=after: metadata.snapshot(caller, namespace, a, BATCH))  # type: ignore[misc]
        after = snapshot.next
        if after is None:
            break
    refs = [RevisionRef(node_id=node, revision=1) for node in nodes[:BATCH]]
    await watch.time("blocks of 1,000 revisions", lambda: metadata.revision_blocks(caller, namespace, refs))
    for _ in range(SINGLES):
        await watch.time("an empty page of changes", lambda: metadata.changes(caller, namespace, cursor, BATCH))


async def _change(metadata: Metadata, watch: Stopwatch, caller: Caller, namespace: NamespaceId, nodes: list[NodeId]) -> None:
    async def commit(what: str, changes: list[Change]) -> Any:
        request = CommitRequest(namespace=namespace, changes=changes)
        return await watch.time(what, lambda: metadata.commit(caller, request, what + changes[0].node_id))

    for number, node in enumerate(nodes[:SINGLES]):
        await commit("commit of one rename", [Change(op=Op.MOVE, node_id=node, name=f"renamed {number}")])
    some = nodes[:BATCH]
    await commit("commit of 1,000 moves", [Change(op=Op.MOVE, node_id=node, parent_id=NodeId(namespace)) for node in some])
    await commit("commit of 1,000 chmods", [Change(op=Op.EDIT, node_id=node, base_revision=1, executable=True) for node in some])
    await commit("commit of 1,000 deletes", [Change(op=Op.DELETE, node_id=node, base_revision=2) for node in some])
    answer = await metadata.latest(caller, namespace)
    children = await metadata.children(caller, namespace, NodeId(namespace))
    folder = children.entries[-1].node_id
    whole = Change(op=Op.DELETE, node_id=folder, recursive=True, subtree_as_of=answer.sequence)
    await commit("delete of a folder of 1,000", [whole])
    await commit("undelete of a folder of 1,000", [Change(op=Op.UNDELETE, node_id=folder, recursive=True)])


def _file(ids: Ids, folder: NodeId, number: int, block: Digest) -> Change:
    return Change(
        op=Op.CREATE,
        node_id=NodeId(ids.fresh()),
        parent_id=folder,
        name=f"file {number}.txt",
        kind=Kind.FILE,
        content_hash=block,
        size=90,
        blocks=[block],
        cut="fastcdc-1",
    )


def _pack(ids: Ids, namespace: NamespaceId, caller: Caller, now_us: int) -> PackRow:
    return PackRow(
        id=PackId(ids.fresh()),
        namespace=namespace,
        user=caller.user_id,
        object_key=ids.fresh(),
        size=1,
        sha256=Digest("0" * 64),
        wrapped_key=bytes(60),
        state="granted",
        expires_us=now_us,
        created_us=now_us,
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
