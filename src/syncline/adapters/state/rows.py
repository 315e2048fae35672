"""Between nodes and rows of the state file: digests as blobs, kinds as numbers, 64-bit inodes as the signed integers SQLite has."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from syncline.model.conflicts import OpenConflict
from syncline.model.entries import Access, Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.tree_store import CursorRow, InflightRow

Row = tuple[Any, ...]

_KINDS: Final = (Kind.FILE, Kind.DIR)
_SIGN: Final = 1 << 63
_WRAP: Final = 1 << 64

REMOTE_COLUMNS: Final = "id, namespace, parent, name, kind, revision, content_hash, size, executable, mtime_us, mount"
LOCAL_COLUMNS: Final = "id, parent, name, kind, device, inode, size, mtime_ns, ctime_ns, links, content_hash, executable, racy"
SYNCED_COLUMNS: Final = "id, namespace, parent, name, kind, revision, content_hash, executable"
CURSOR_COLUMNS: Final = "namespace, name, access, is_root, cursor, epoch, sequence, chain, root"


def remote_row(node: RemoteNode) -> Row:
    return (
        node.id,
        node.namespace,
        node.parent,
        node.name,
        node.kind is Kind.DIR,
        node.revision,
        None if node.content_hash is None else bytes.fromhex(node.content_hash),
        node.size,
        node.executable,
        node.mtime_us,
        node.mount,
    )


def remote_node(row: Row) -> RemoteNode:
    id, namespace, parent, name, kind, revision, content_hash, size, executable, mtime_us, mount = row
    return RemoteNode(
        id=id,
        namespace=namespace,
        parent=parent,
        name=name,
        kind=_KINDS[kind],
        revision=revision,
        content_hash=None if content_hash is None else Digest(content_hash.hex()),
        size=size,
        executable=executable == 1,
        mtime_us=mtime_us,
        mount=mount == 1,
    )


def local_row(node: LocalNode) -> Row:
    signature = node.signature
    device, inode = signature.device, signature.inode
    return (
        node.id,
        node.parent,
        node.name,
        node.kind is Kind.DIR,
        device if device < _SIGN else device - _WRAP,
        inode if inode < _SIGN else inode - _WRAP,
        signature.size,
        signature.mtime_ns,
        signature.ctime_ns,
        node.links,
        None if node.content_hash is None else bytes.fromhex(node.content_hash),
        node.executable,
        node.racy,
    )


def local_node(row: Row) -> LocalNode:
    id, parent, name, kind, device, inode, size, mtime_ns, ctime_ns, links, content_hash, executable, racy = row
    return LocalNode(
        id=id,
        parent=parent,
        name=name,
        kind=_KINDS[kind],
        signature=Signature(
            device if device >= 0 else device + _WRAP, inode if inode >= 0 else inode + _WRAP, size, mtime_ns, ctime_ns
        ),
        links=links,
        content_hash=None if content_hash is None else Digest(content_hash.hex()),
        executable=None if executable is None else executable == 1,
        racy=racy == 1,
    )


def synced_row(node: SyncedNode) -> Row:
    return (
        node.id,
        node.namespace,
        node.parent,
        node.name,
        node.kind is Kind.DIR,
        node.revision,
        None if node.content_hash is None else bytes.fromhex(node.content_hash),
        node.executable,
    )


def synced_node(row: Row) -> SyncedNode:
    id, namespace, parent, name, kind, revision, content_hash, executable = row
    return SyncedNode(
        id=id,
        namespace=namespace,
        parent=parent,
        name=name,
        kind=_KINDS[kind],
        revision=revision,
        content_hash=None if content_hash is None else Digest(content_hash.hex()),
        executable=executable == 1,
    )


def cursor_row(row: CursorRow) -> Row:
    chain = bytes.fromhex(row.chain)
    return row.namespace, row.name, row.access.value, row.is_root, row.cursor, row.epoch, row.sequence, chain, row.root


def cursor_from(row: Row) -> CursorRow:
    namespace, name, access, is_root, cursor, epoch, sequence, chain, root = row
    return CursorRow(
        namespace=NamespaceId(namespace),
        name=name,
        access=Access(access),
        is_root=is_root == 1,
        cursor=cursor,
        epoch=epoch,
        sequence=sequence,
        chain=Digest(chain.hex()),
        root=root,
    )


def inflight_row(row: InflightRow) -> Row:
    return row.id, row.kind, msgspec.json.encode(row.fields).decode()


def inflight_from(row: Row) -> InflightRow:
    id, kind, fields = row
    return InflightRow(id=id, kind=kind, fields=msgspec.json.decode(fields, type=dict[str, str | int | bool | None]))


def conflict_row(conflict: OpenConflict) -> Row:
    return conflict.copy, msgspec.json.encode(conflict).decode()


def conflict_from(row: Row) -> OpenConflict:
    _, fields = row
    return msgspec.json.decode(fields, type=OpenConflict)


def key_rows(ids: list[NodeId] | list[NamespaceId] | list[str]) -> list[Row]:
    return [(id,) for id in ids]
