"""The tables: one schema for SQLite and PostgreSQL, without extensions.

Laws: every metadata table leads with `namespace_id`, its primary key too (the distribution column when a deployment shards).
Hashes, chains and roots are 32-byte blobs, times microseconds since 1970. A node's name key is NULL while it is deleted, and its
uniqueness is a partial index over the rows that have one, so names can swap inside a transaction. A change here is a migration.
Migrations give partial indexes their condition on PostgreSQL too; naming that dialect here would load it into every process.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

metadata: Final = MetaData()


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=options.pop("nullable", False), **options)


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=options.pop("nullable", False), **options)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _blob(name: str, **options: Any) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=options.pop("nullable", False), **options)


# -- The server and its people ---------------------------------------------------------------------------------------------

server = Table("server", metadata, _text("key", primary_key=True), _text("value"))

users = Table(
    "users",
    metadata,
    _text("user_id", primary_key=True),
    _text("email", unique=True),
    _text("name"),
    _text("password_hash"),
    _text("root_namespace"),
    _number("quota_bytes", nullable=True),
    _flag("disabled"),
    _number("created_us"),
)

devices = Table(
    "devices",
    metadata,
    _text("device_id", primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    _text("name"),
    _text("refresh_hash"),
    _number("created_us"),
    _number("last_seen_us", nullable=True),
    _text("previous_refresh_hash", nullable=True),
    _number("rotated_us", nullable=True),
)
Index("devices_by_user", devices.c.user_id)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Integer, primary_key=True, autoincrement=True),
    _number("time_us"),
    _text("action"),
    _text("user_id", nullable=True),
    _text("device_id", nullable=True),
)

leases = Table(
    "leases",
    metadata,
    _text("name", primary_key=True),
    _text("holder"),
    _number("expires_us"),
)

# -- Namespaces --------------------------------------------------------------------------------------------------------------

namespaces = Table(
    "namespaces",
    metadata,
    _text("namespace_id", primary_key=True),
    Column("owner_id", Text, ForeignKey("users.user_id"), nullable=False),
    _text("name"),
    _flag("is_root"),
    _text("epoch"),
    _number("head_sequence"),
    _number("published_sequence"),
    _number("pruned_sequence"),
    _blob("chain"),
    _blob("root"),
    _number("name_key_version"),
    _number("used_bytes"),
    _number("created_us"),
)
Index("namespaces_by_owner", namespaces.c.owner_id)
Index(
    "namespaces_unpublished",
    namespaces.c.namespace_id,
    sqlite_where=namespaces.c.head_sequence > namespaces.c.published_sequence,
)

_NAMESPACE: Final = "namespaces.namespace_id"


def _namespace() -> Column[str]:
    return Column("namespace_id", Text, ForeignKey(_NAMESPACE), nullable=False)


def _per_namespace(name: str, *parts: Any, key: tuple[str, ...]) -> Table:
    """A table whose rows belong to one namespace: every statement on it names which."""
    return Table(name, metadata, _namespace(), *parts, PrimaryKeyConstraint("namespace_id", *key), sqlite_with_rowid=False)


members = _per_namespace(
    "members",
    _text("user_id"),
    _text("access"),
    _text("mount_parent_id", nullable=True),
    _text("mount_name", nullable=True),
    _number("since_us"),
    key=("user_id",),
)
Index("members_by_user", members.c.user_id)


def _placed_state() -> list[Column[Any]]:
    """The columns of `model.journal.JournalEntry`, in its order."""
    return [
        _number("sequence"),
        _text("changeset"),
        _text("op"),
        _text("node_id"),
        _text("parent_id"),
        _text("name"),
        _text("kind"),
        _number("revision"),
        _blob("content_hash", nullable=True),
        _number("size"),
        _flag("executable"),
        _number("mtime_us"),
        _flag("deleted"),
        _flag("mount"),
        _text("actor", nullable=True),
        _text("device", nullable=True),
        _number("time_us"),
    ]


PLACED_STATE: Final = tuple(column.name for column in _placed_state())

nodes = _per_namespace(
    "nodes",
    *_placed_state(),
    _text("name_key", nullable=True),
    _text("mime_type", nullable=True),
    _text("description", nullable=True),
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

journal = _per_namespace("journal", *_placed_state(), _blob("chain"), _blob("root"), key=("sequence",))

revisions = _per_namespace("revisions", *_placed_state(), _text("cut"), key=("node_id", "revision"))

revision_blocks = _per_namespace(
    "revision_blocks",
    _text("node_id"),
    _number("revision"),
    _number("block_index"),
    _blob("hash"),
    _number("size"),
    key=("node_id", "revision", "block_index"),
)
Index("revision_blocks_by_hash", revision_blocks.c.namespace_id, revision_blocks.c.hash)

namespace_blocks = _per_namespace(
    "namespace_blocks",
    _blob("hash"),
    _number("size"),
    _text("state"),
    _number("since_us"),
    key=("hash",),
)

idempotency = _per_namespace(
    "idempotency",
    _text("device_id"),
    _text("key"),
    _blob("body_hash"),
    _blob("answer"),
    _number("time_us"),
    key=("device_id", "key"),
)
Index("idempotency_by_time", idempotency.c.time_us)

# -- Packs and the copies in them: stored once for all namespaces, seen only through a namespace's possession ---------------

packs = Table(
    "packs",
    metadata,
    _text("pack_id", primary_key=True),
    _namespace(),
    _text("user_id"),
    _text("object_key", unique=True),
    _number("size"),
    _blob("sha256"),
    _blob("wrapped_key"),
    _text("state"),
    _text("storage_class"),
    _number("expires_us"),
    _number("created_us"),
)
Index(
    "packs_granted",
    packs.c.expires_us,
    sqlite_where=packs.c.state == "granted",
)

block_copies = Table(
    "block_copies",
    metadata,
    _blob("hash"),
    Column("pack_id", Text, ForeignKey("packs.pack_id", ondelete="CASCADE"), nullable=False),
    _number("block_offset"),
    _number("length"),
    _number("plain_size"),
    _text("codec"),
    _text("state"),
    PrimaryKeyConstraint("hash", "pack_id"),
    sqlite_with_rowid=False,
)
Index("block_copies_by_pack", block_copies.c.pack_id)

# -- What SQLite's planner goes by --------------------------------------------------------------------------------------------

_STATISTICS: Final = (
    ("nodes", "nodes", "1000000000 10000000 1"),
    ("nodes", "nodes_live_names", "1000000000 10000000 20 1"),
    ("nodes", "nodes_deleted", "100000000 1000000 20"),
)
"""Namespaces are huge and folders small. Without these it would walk whole namespaces where an index by parent exists."""


def write_statistics(connection: Connection) -> None:
    """Writes the proportions down, for a new database; the first migration says why counting would not do."""
    connection.exec_driver_sql("ANALYZE")
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", list(_STATISTICS))
