"""How long plans take: the first sync of ten thousand files, and one changed file among a hundred thousand.

`python -m bench.planner` prints one line each; the limits are the design's (0.25 s, 2 ms).
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable

from syncline.client.plan.planner import PlanContext, plan
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId

ROOT = NodeId("root")
SIGNATURE = Signature(1, 1, 1, 1, 1)
FILES_PER_FOLDER = 100


def context() -> PlanContext:
    count = itertools.count()
    return PlanContext(device="bench", today="2026-01-01", fresh_id=lambda: NodeId(f"z{next(count):09d}"))


def names(files: int) -> list[tuple[NodeId, NodeId, str, Kind]]:
    """Folders of a hundred files each, parents first."""
    rows: list[tuple[NodeId, NodeId, str, Kind]] = []
    for index in range(files):
        folder = NodeId(f"d{index // FILES_PER_FOLDER:07d}")
        if index % FILES_PER_FOLDER == 0:
            rows.append((folder, ROOT, f"folder {index // FILES_PER_FOLDER}", Kind.DIR))
        rows.append((NodeId(f"f{index:07d}"), folder, f"file {index}.txt", Kind.FILE))
    return rows


def local(row: tuple[NodeId, NodeId, str, Kind], content: str | None) -> LocalNode:
    node_id, parent, name, kind = row
    hash_ = Digest(content) if content is not None and kind is Kind.FILE else None
    return LocalNode(id=node_id, parent=parent, name=name, kind=kind, signature=SIGNATURE, content_hash=hash_, executable=False)


def remote(row: tuple[NodeId, NodeId, str, Kind], content: str) -> RemoteNode:
    node_id, parent, name, kind = row
    return RemoteNode(
        id=node_id,
        namespace=NamespaceId(ROOT),
        parent=parent,
        name=name,
        kind=kind,
        revision=1,
        content_hash=Digest(content) if kind is Kind.FILE else None,
    )


def synced(node: RemoteNode) -> SyncedNode:
    return SyncedNode(
        id=node.id,
        namespace=node.namespace,
        parent=node.parent,
        name=node.name,
        kind=node.kind,
        revision=1,
        content_hash=node.content_hash,
    )


def first_upload(files: int) -> Trees:
    trees = Trees(NamespaceId(ROOT))
    for row in names(files):
        trees.put_local(local(row, None))
    return trees


def first_download(files: int) -> Trees:
    trees = Trees(NamespaceId(ROOT))
    for row in names(files):
        trees.put_remote(remote(row, row[0]))
    return trees


def converged(files: int) -> Trees:
    trees = Trees(NamespaceId(ROOT))
    rows = names(files)
    nodes = [remote(row, row[0]) for row in rows]
    trees.load(nodes, [local(row, row[0]) for row in rows], [synced(node) for node in nodes])
    return trees


def timed(label: str, run: Callable[[], int], limit_s: float) -> bool:
    gc.collect()
    start = time.process_time()
    steps = run()
    spent = time.process_time() - start
    print(f"{label:44} {steps:7d} steps {spent * 1e3:9.2f} ms (limit {limit_s * 1e3:.0f} ms)")
    return spent <= limit_s


def main() -> None:
    told = context()
    upload, download, big = first_upload(10_000), first_download(10_000), converged(100_000)
    timed("first sync, 10,000 new local files", lambda: len(plan(upload, context=told).steps), 0.25)
    timed("first sync, 10,000 new remote files", lambda: len(plan(download, context=told).steps), 0.25)
    busy = set(upload.local.ids())
    timed("10,000 transfers running", lambda: len(plan(upload, context=told, busy=busy).steps), 0.05)
    timed("closing 100,000 files in agreement", lambda: len(plan(big, context=told).steps), 1.0)
    big.put_local(local((NodeId("f0054321"), NodeId("d0000543"), "file 54321.txt", Kind.FILE), "new"))
    timed("one changed file among 100,000", lambda: len(plan(big, context=told).steps), 0.002)
    for node in big.local.descendants(NodeId("d0000001")):
        big.remove_local(node.id)
    big.remove_local(NodeId("d0000001"))
    timed("a folder of 100 deleted among 100,000", lambda: len(plan(big, context=told).steps), 0.01)


if __name__ == "__main__":
    main()
