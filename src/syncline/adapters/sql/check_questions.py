"""The questions of `adapters.sql.check`, as statements: what must agree is joined by primary keys, pages go by key."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BindParameter, and_, bindparam, case, exists, func, or_, select, tuple_, union_all

from syncline.adapters.sql.rows import placed
from syncline.adapters.sql.schema import (
    block_copies,
    journal,
    namespace_blocks,
    namespaces,
    nodes,
    packs,
    raw_contents,
    revision_blocks,
    revisions,
    tombstones,
    uploads,
    users,
)
from syncline.adapters.sql.sharing.sources import serves

_HERE: Final[BindParameter[Any]] = bindparam("namespace")
_LIMIT: Final[BindParameter[Any]] = bindparam("limit")

_NAMESPACE: Final = select(
    namespaces.c.namespace_id,
    users.c.email,
    namespaces.c.name,
    namespaces.c.head_sequence,
    namespaces.c.pruned_sequence,
    namespaces.c.chain,
    namespaces.c.root,
    namespaces.c.name_key_version,
    namespaces.c.used_bytes,
).select_from(namespaces.outerjoin(users, users.c.user_id == namespaces.c.owner_id))
NAMESPACES: Final = (
    _NAMESPACE.where(namespaces.c.namespace_id > bindparam("after")).order_by(namespaces.c.namespace_id).limit(_LIMIT)
)
ONE_NAMESPACE: Final = _NAMESPACE.where(namespaces.c.namespace_id == _HERE)
FOLDERS: Final = (
    select(nodes.c.node_id, nodes.c.parent_id, nodes.c.name, nodes.c.deleted)
    .where(nodes.c.namespace_id == _HERE, nodes.c.node_id > bindparam("after"), nodes.c.kind == "dir")
    .order_by(nodes.c.node_id)
    .limit(_LIMIT)
)
_MOUNTS: Final = nodes.alias("mounts")
_INSIDE: Final = nodes.alias("inside")
_LEFT: Final = exists().where(
    _INSIDE.c.node_id == journal.c.node_id,
    _MOUNTS.c.namespace_id == journal.c.namespace_id,
    _MOUNTS.c.node_id == _INSIDE.c.namespace_id,
    _MOUNTS.c.mount.is_(True),
)
"""Whether a node lives in a shared folder that was a folder of this namespace."""
ROWS: Final = (
    select(
        *placed(journal),
        journal.c.chain,
        journal.c.root,
        func.coalesce(nodes.c.sequence, tombstones.c.sequence),
        case((nodes.c.sequence.is_(None), _LEFT), else_=False),
    )
    .select_from(
        journal.outerjoin(
            nodes, and_(nodes.c.namespace_id == journal.c.namespace_id, nodes.c.node_id == journal.c.node_id)
        ).outerjoin(
            tombstones, and_(tombstones.c.namespace_id == journal.c.namespace_id, tombstones.c.node_id == journal.c.node_id)
        )
    )
    .where(journal.c.namespace_id == _HERE, journal.c.sequence > bindparam("after"))
    .order_by(journal.c.sequence)
    .limit(_LIMIT)
)
NODES: Final = (
    select(*placed(nodes), nodes.c.name_key, *placed(journal), *placed(revisions))
    .select_from(
        nodes.outerjoin(
            journal, and_(journal.c.namespace_id == nodes.c.namespace_id, journal.c.sequence == nodes.c.sequence)
        ).outerjoin(
            revisions,
            and_(
                revisions.c.namespace_id == nodes.c.namespace_id,
                revisions.c.node_id == nodes.c.node_id,
                revisions.c.revision == nodes.c.revision,
            ),
        )
    )
    .where(nodes.c.namespace_id == _HERE, nodes.c.node_id > bindparam("after"))
    .order_by(nodes.c.node_id)
    .limit(_LIMIT)
)
TWINS: Final = (
    select(nodes.c.parent_id, nodes.c.name_key)
    .where(nodes.c.namespace_id == _HERE, nodes.c.name_key.is_not(None))
    .group_by(nodes.c.parent_id, nodes.c.name_key)
    .having(func.count() > 1)
    .limit(_LIMIT)
)
AT: Final = (
    select(nodes.c.node_id)
    .where(nodes.c.namespace_id == _HERE, nodes.c.parent_id == bindparam("parent"), nodes.c.name_key == bindparam("key"))
    .order_by(nodes.c.node_id)
    .limit(_LIMIT)
)
_WAITS: Final = exists().where(
    raw_contents.c.namespace_id == revisions.c.namespace_id,
    raw_contents.c.node_id == revisions.c.node_id,
    raw_contents.c.revision == revisions.c.revision,
    raw_contents.c.state == "waiting",
)
REVISIONS: Final = (
    select(*placed(revisions), *placed(journal), _WAITS)
    .select_from(
        revisions.outerjoin(
            journal, and_(journal.c.namespace_id == revisions.c.namespace_id, journal.c.sequence == revisions.c.sequence)
        )
    )
    .where(revisions.c.namespace_id == _HERE)
    .where(tuple_(revisions.c.node_id, revisions.c.revision) > tuple_(bindparam("node"), bindparam("revision")))
    .order_by(revisions.c.node_id, revisions.c.revision)
    .limit(_LIMIT)
)
_MAY_READ: Final = or_(block_copies.c.state == "verified", and_(block_copies.c.state == "claimed", serves(bindparam("reader"))))
_READABLE: Final = exists().where(
    block_copies.c.hash == revision_blocks.c.hash,
    block_copies.c.plain_size == revision_blocks.c.size,
    packs.c.pack_id == block_copies.c.pack_id,
    packs.c.state == "done",
    _MAY_READ,
)
BLOCKS: Final = (
    select(
        revision_blocks.c.node_id,
        revision_blocks.c.revision,
        revision_blocks.c.block_index,
        revision_blocks.c.hash,
        revision_blocks.c.size,
        namespace_blocks.c.size,
        namespace_blocks.c.state,
        _READABLE,
    )
    .select_from(
        revision_blocks.outerjoin(
            namespace_blocks,
            and_(
                namespace_blocks.c.namespace_id == revision_blocks.c.namespace_id,
                namespace_blocks.c.hash == revision_blocks.c.hash,
            ),
        )
    )
    .where(revision_blocks.c.namespace_id == _HERE)
    .where(
        tuple_(revision_blocks.c.node_id, revision_blocks.c.revision, revision_blocks.c.block_index)
        > tuple_(bindparam("node"), bindparam("revision"), bindparam("index"))
    )
    .order_by(revision_blocks.c.node_id, revision_blocks.c.revision, revision_blocks.c.block_index)
    .limit(_LIMIT)
)
HELD_BYTES: Final = select(func.coalesce(func.sum(namespace_blocks.c.size), 0)).where(
    namespace_blocks.c.namespace_id == _HERE, namespace_blocks.c.state != "condemned"
)
AMOUNT_OF_REVISIONS: Final = select(func.count(), func.coalesce(func.sum(revisions.c.size), 0)).where(
    revisions.c.namespace_id == _HERE
)
AMOUNT_OF_PACKS: Final = select(func.count(), func.coalesce(func.sum(packs.c.size), 0)).where(packs.c.state == "done")
_PACK: Final = select(*packs.c)
PACKS: Final = _PACK.where(packs.c.object_key > bindparam("after")).order_by(packs.c.object_key).limit(_LIMIT)
ONE_PACK: Final = _PACK.where(packs.c.pack_id == bindparam("pack"))
PACK_OF_OBJECT: Final = _PACK.where(packs.c.object_key == bindparam("object_key"))
_COPY: Final = (
    block_copies.c.hash,
    block_copies.c.pack_id,
    block_copies.c.block_offset,
    block_copies.c.length,
    block_copies.c.plain_size,
    block_copies.c.codec,
    block_copies.c.state,
)
RAWS: Final = (
    select(
        raw_contents.c.object_key,
        raw_contents.c.size,
        raw_contents.c.namespace_id,
        raw_contents.c.node_id,
        raw_contents.c.revision,
        raw_contents.c.state,
    )
    .where(raw_contents.c.object_key > bindparam("after"))
    .order_by(raw_contents.c.object_key)
    .limit(_LIMIT)
)
AWAITED: Final = union_all(
    select(raw_contents.c.object_key).where(raw_contents.c.object_key == bindparam("object_key")),
    select(uploads.c.object_key).where(uploads.c.object_key == bindparam("object_key"), uploads.c.state != "done"),
)
COPIES_IN: Final = select(*_COPY).where(block_copies.c.pack_id == bindparam("pack")).order_by(block_copies.c.block_offset)
MADE_OF: Final = (
    select(*placed(revisions))
    .select_from(
        revision_blocks.join(
            revisions,
            and_(
                revisions.c.namespace_id == revision_blocks.c.namespace_id,
                revisions.c.node_id == revision_blocks.c.node_id,
                revisions.c.revision == revision_blocks.c.revision,
            ),
        )
    )
    .where(revision_blocks.c.namespace_id == _HERE, revision_blocks.c.hash.in_(bindparam("hashes", expanding=True)))
    .distinct()
    .limit(_LIMIT)
)
COPIES_OF: Final = (
    select(*_COPY)
    .join(packs, packs.c.pack_id == block_copies.c.pack_id)
    .where(block_copies.c.hash.in_(bindparam("hashes", expanding=True)), packs.c.state == "done", _MAY_READ)
    .order_by(block_copies.c.hash, block_copies.c.pack_id)
)
