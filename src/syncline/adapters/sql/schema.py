"""The tables: one schema for SQLite and PostgreSQL, without extensions.

Laws: every metadata table leads with `namespace_id`, its primary key too (the distribution column when a deployment shards).
Hashes, chains and roots are 32-byte blobs, times microseconds since 1970. A node's name key is NULL while it is deleted, and its
uniqueness is a partial index over the rows that have one, so names can swap inside a transaction. Its search key is the name folded
whatever the namespace's rule for names, NULL as well while it is deleted. A change here is a migration.
Migrations give partial indexes their condition on PostgreSQL too; naming that dialect here would load it into every process.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, Text, and_

from syncline.adapters.sql.tables.columns import PLACED_STATE as PLACED_STATE
from syncline.adapters.sql.tables.columns import blob, flag, namespace, number, per_namespace, placed_state, text
from syncline.adapters.sql.tables.columns import metadata as metadata
from syncline.adapters.sql.tables.past import bases as bases
from syncline.adapters.sql.tables.past import tombstones as tombstones
from syncline.adapters.sql.tables.sharing import block_sources as block_sources
from syncline.adapters.sql.tables.sharing import grants as grants
from syncline.adapters.sql.tables.sharing import invitations as invitations
from syncline.adapters.sql.tables.sharing import links as links
from syncline.adapters.sql.tables.uploads import raw_contents as raw_contents
from syncline.adapters.sql.tables.uploads import upload_parts as upload_parts
from syncline.adapters.sql.tables.uploads import uploads as uploads

# -- The server and its people ---------------------------------------------------------------------------------------------

server = Table("server", metadata, text("key", primary_key=True), text("value"))

users = Table(
    "users",
    metadata,
    text("user_id", primary_key=True),
    text("email", unique=True),
    text("name"),
    text("password_hash"),
    text("root_namespace"),
    number("quota_bytes", nullable=True),
    flag("disabled"),
    number("created_us"),
)

devices = Table(
    "devices",
    metadata,
    text("device_id", primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    text("name"),
    text("refresh_hash"),
    number("created_us"),
    number("last_seen_us", nullable=True),
    text("previous_refresh_hash", nullable=True),
    number("rotated_us", nullable=True),
    number("last_synced_us", nullable=True),
)
Index("devices_by_user", devices.c.user_id)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Integer, primary_key=True, autoincrement=True),
    number("time_us"),
    text("action"),
    text("user_id", nullable=True),
    text("device_id", nullable=True),
)

leases = Table(
    "leases",
    metadata,
    text("name", primary_key=True),
    text("holder"),
    number("expires_us"),
)

# -- Namespaces --------------------------------------------------------------------------------------------------------------

namespaces = Table(
    "namespaces",
    metadata,
    text("namespace_id", primary_key=True),
    Column("owner_id", Text, ForeignKey("users.user_id"), nullable=False),
    text("name"),
    flag("is_root"),
    text("epoch"),
    number("head_sequence"),
    number("published_sequence"),
    number("pruned_sequence"),
    blob("chain"),
    blob("root"),
    number("name_key_version"),
    number("used_bytes"),
    number("created_us"),
)
Index("namespaces_by_owner", namespaces.c.owner_id)
Index(
    "namespaces_unpublished",
    namespaces.c.namespace_id,
    sqlite_where=namespaces.c.head_sequence > namespaces.c.published_sequence,
)


members = per_namespace(
    "members",
    text("user_id"),
    text("access"),
    text("mount_parent_id", nullable=True),
    text("mount_name", nullable=True),
    number("since_us"),
    key=("user_id",),
)
Index("members_by_user", members.c.user_id)

nodes = per_namespace(
    "nodes",
    *placed_state(),
    text("name_key", nullable=True),
    text("mime_type", nullable=True),
    text("description", nullable=True),
    text("search_key", nullable=True),
    key=("node_id",),
)
Index(
    "nodes_live_names",
    nodes.c.namespace_id,
    nodes.c.parent_id,
    nodes.c.name_key,
    unique=True,
    sqlite_where=nodes.c.name_key.is_not(None),
)
Index(
    "nodes_deleted",
    nodes.c.namespace_id,
    nodes.c.parent_id,
    sqlite_where=nodes.c.name_key.is_(None),
)
Index(
    "nodes_in_trash",
    nodes.c.namespace_id,
    nodes.c.time_us,
    nodes.c.sequence,
    sqlite_where=nodes.c.name_key.is_(None),
)
Index(
    "nodes_by_search",
    nodes.c.namespace_id,
    nodes.c.search_key,
    nodes.c.time_us,
    sqlite_where=nodes.c.search_key.is_not(None),
)
Index(
    "nodes_folders",
    nodes.c.namespace_id,
    nodes.c.parent_id,
    nodes.c.name_key,
    sqlite_where=and_(nodes.c.kind == "dir", nodes.c.name_key.is_not(None)),
)

journal = per_namespace("journal", *placed_state(), blob("chain"), blob("root"), key=("sequence",))
Index("journal_by_node", journal.c.namespace_id, journal.c.node_id, journal.c.sequence)

revisions = per_namespace("revisions", *placed_state(), text("cut"), key=("node_id", "revision"))

revision_blocks = per_namespace(
    "revision_blocks",
    text("node_id"),
    number("revision"),
    number("block_index"),
    blob("hash"),
    number("size"),
    key=("node_id", "revision", "block_index"),
)
Index("revision_blocks_by_hash", revision_blocks.c.namespace_id, revision_blocks.c.hash)

namespace_blocks = per_namespace(
    "namespace_blocks",
    blob("hash"),
    number("size"),
    text("state"),
    number("since_us"),
    key=("hash",),
)

idempotency = per_namespace(
    "idempotency",
    text("device_id"),
    text("key"),
    blob("body_hash"),
    blob("answer"),
    number("time_us"),
    key=("device_id", "key"),
)
Index("idempotency_by_time", idempotency.c.time_us)

# -- Packs and the copies in them: stored once for all namespaces, seen only through a namespace's possession ---------------

packs = Table(
    "packs",
    metadata,
    text("pack_id", primary_key=True),
    namespace(),
    text("user_id"),
    text("object_key", unique=True),
    number("size"),
    blob("sha256"),
    blob("wrapped_key"),
    text("state"),
    text("storage_class"),
    number("expires_us"),
    number("created_us"),
)
Index(
    "packs_granted",
    packs.c.expires_us,
    sqlite_where=packs.c.state == "granted",
)

block_copies = Table(
    "block_copies",
    metadata,
    blob("hash"),
    Column("pack_id", Text, ForeignKey("packs.pack_id", ondelete="CASCADE"), nullable=False),
    number("block_offset"),
    number("length"),
    number("plain_size"),
    text("codec"),
    text("state"),
    PrimaryKeyConstraint("hash", "pack_id"),
    sqlite_with_rowid=False,
)
Index("block_copies_by_pack", block_copies.c.pack_id)

# -- What SQLite's planner goes by --------------------------------------------------------------------------------------------

_STATISTICS: Final = (
    ("nodes", "nodes", "1000000000 10000000 1"),
    ("nodes", "nodes_live_names", "1000000000 10000000 20 1"),
    ("nodes", "nodes_deleted", "100000000 1000000 20"),
    ("journal", "journal", "1000000000 10000000 1"),
    ("journal", "journal_by_node", "1000000000 10000000 20 1"),
    ("nodes", "nodes_folders", "10000000 100000 2 1"),
)
"""Namespaces are huge and folders small. Without these it would walk whole namespaces where an index by parent exists."""


def write_statistics(connection: Connection) -> None:
    """Writes the proportions down, for a new database; the first migration says why counting would not do."""
    connection.exec_driver_sql("ANALYZE")
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", list(_STATISTICS))
