"""Tables of the plain doors: uploads in parts, sharing, and what outlives purging; and what looking about a tree goes by."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from syncline.model.paths import name_key

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None
_FILLED_AT_ONCE: Final = 10_000

_STATISTICS: Final = (
    ("journal", "journal", "1000000000 10000000 1"),
    ("journal", "journal_by_node", "1000000000 10000000 20 1"),
)
"""Namespaces have long journals and a node few rows in it: without these the planner would walk the whole of one for each node."""


def upgrade() -> None:
    _uploads()
    _sharing()
    _past()
    _views()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1 WHERE tbl = 'journal'")
    op.drop_index("nodes_in_trash", "nodes")
    op.drop_index("journal_by_node", "journal")
    for name in (
        "bases",
        "tombstones",
        "links",
        "block_sources",
        "grants",
        "invitations",
        "raw_contents",
        "upload_parts",
        "uploads",
    ):
        op.drop_table(name)
    for index, table in (("nodes_folders", "nodes"), ("nodes_by_search", "nodes")):
        op.drop_index(index, table)
    op.drop_column("nodes", "search_key")
    op.drop_column("devices", "last_synced_us")


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _blob(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _per_namespace(name: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(
        name,
        _text("namespace_id"),
        *columns,
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.namespace_id"]),
        sa.PrimaryKeyConstraint("namespace_id", *key),
        sqlite_with_rowid=False,
    )


def _uploads() -> None:
    _per_namespace(
        "uploads",
        _text("upload_id"),
        _text("user_id"),
        _text("device_id"),
        _text("link_id", nullable=True),
        _text("node_id"),
        _text("parent_id"),
        _text("name"),
        _number("size"),
        _blob("sha256", nullable=True),
        _text("mime_type", nullable=True),
        _text("description", nullable=True),
        _number("base_revision", nullable=True),
        sa.Column("executable", sa.Boolean(), nullable=False),
        _number("mtime_us", nullable=True),
        _text("object_key"),
        _text("store_upload_id"),
        _number("part_bytes"),
        _number("part_count"),
        _text("state"),
        _text("problem", nullable=True),
        _number("revision", nullable=True),
        _number("created_us"),
        _number("signed_until_us"),
        _number("expires_us"),
        key=("upload_id",),
    )
    op.create_index("uploads_by_id", "uploads", ["upload_id"], unique=True)
    op.create_index("uploads_by_user", "uploads", ["user_id", "sha256"], unique=False)
    op.create_index("uploads_by_state", "uploads", ["namespace_id", "state"], unique=False)
    op.create_index("uploads_by_object", "uploads", ["object_key"], unique=True)
    op.create_index("uploads_by_expiry", "uploads", ["state", "expires_us"], unique=False)
    _per_namespace(
        "upload_parts",
        _text("upload_id"),
        _number("part_number"),
        _text("etag"),
        _number("size"),
        _blob("sha256", nullable=True),
        _number("verified_us"),
        key=("upload_id", "part_number"),
    )
    _per_namespace(
        "raw_contents",
        _text("node_id"),
        _number("revision"),
        _text("object_key"),
        _number("size"),
        _number("packed_bytes"),
        _blob("sha256", nullable=True),
        _text("state"),
        _number("attempts"),
        _number("due_us"),
        _number("created_us"),
        key=("node_id", "revision"),
    )
    op.create_index("raw_contents_by_object", "raw_contents", ["object_key"], unique=True)
    op.create_index("raw_contents_by_state", "raw_contents", ["namespace_id", "state"], unique=False)
    op.create_index("raw_contents_due", "raw_contents", ["state", "due_us"], unique=False)


def _sharing() -> None:
    _per_namespace(
        "invitations",
        _text("user_id"),
        _text("access"),
        _text("invited_by"),
        _number("created_us"),
        key=("user_id",),
    )
    op.create_index("invitations_by_user", "invitations", ["user_id"], unique=False)
    _per_namespace(
        "grants",
        _text("node_id"),
        _text("user_id"),
        _text("access"),
        _text("granted_by"),
        _number("created_us"),
        key=("node_id", "user_id"),
    )
    op.create_index("grants_by_user", "grants", ["user_id"], unique=False)
    _per_namespace("block_sources", _blob("hash"), _text("source_id"), key=("hash", "source_id"))
    _per_namespace(
        "links",
        _text("link_id"),
        _blob("token_hash"),
        _text("node_id"),
        _text("kind"),
        _text("password_hash", nullable=True),
        _number("expires_us", nullable=True),
        _number("downloads_max", nullable=True),
        _number("downloads"),
        _text("created_by"),
        _number("created_us"),
        key=("link_id",),
    )
    op.create_index("links_by_token", "links", ["namespace_id", "token_hash"], unique=True)
    op.create_index("links_by_id", "links", ["link_id"], unique=True)
    op.create_index("links_by_node", "links", ["node_id"], unique=False)
    op.create_index("links_by_creator", "links", ["created_by", "link_id"], unique=False)


def _past() -> None:
    _per_namespace(
        "tombstones",
        _text("node_id"),
        _number("sequence"),
        _number("revision"),
        _number("purged_us"),
        key=("node_id",),
    )
    _per_namespace(
        "bases",
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
        sa.Column("executable", sa.Boolean(), nullable=False),
        _number("mtime_us"),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("mount", sa.Boolean(), nullable=False),
        _text("actor", nullable=True),
        _text("device", nullable=True),
        _number("time_us"),
        key=("node_id",),
    )
    gone = sa.text("name_key IS NULL")
    op.create_index(
        "nodes_in_trash",
        "nodes",
        ["namespace_id", "time_us", "sequence"],
        unique=False,
        sqlite_where=gone,
        postgresql_where=gone,
    )
    op.create_index("journal_by_node", "journal", ["namespace_id", "node_id", "sequence"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.bulk_insert(
            sa.table("sqlite_stat1", *map(sa.column, ("tbl", "idx", "stat"))),
            [dict(zip(("tbl", "idx", "stat"), row, strict=True)) for row in _STATISTICS],
        )


def _views() -> None:
    op.add_column("devices", _number("last_synced_us", nullable=True))
    op.add_column("nodes", _text("search_key", nullable=True))
    _fill_search_keys()
    named, folder = sa.text("search_key IS NOT NULL"), sa.text("kind = 'dir' AND name_key IS NOT NULL")
    search = ["namespace_id", "search_key", "time_us"]
    op.create_index("nodes_by_search", "nodes", search, unique=False, sqlite_where=named, postgresql_where=named)
    parents = ["namespace_id", "parent_id", "name_key"]
    op.create_index("nodes_folders", "nodes", parents, unique=False, sqlite_where=folder, postgresql_where=folder)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('nodes', 'nodes_folders', '10000000 100000 2 1')")


def _fill_search_keys() -> None:
    """Folds the names that are there, a bounded number at a time: no dialect's own folding is ours."""
    nodes = sa.table("nodes", *(sa.column(name) for name in ("namespace_id", "node_id", "name", "name_key", "search_key")))
    place = sa.tuple_(nodes.c.namespace_id, nodes.c.node_id)
    one = (nodes.c.namespace_id == sa.bindparam("of_namespace"), nodes.c.node_id == sa.bindparam("of_node"))
    fill = sa.update(nodes).where(*one).values(search_key=sa.bindparam("key"))
    live = sa.select(nodes.c.namespace_id, nodes.c.node_id, nodes.c.name).where(nodes.c.name_key.is_not(None))
    live = live.order_by(nodes.c.namespace_id, nodes.c.node_id).limit(_FILLED_AT_ONCE)
    bind, after = op.get_bind(), ("", "")
    while rows := bind.execute(live.where(place > sa.tuple_(*after))).all():
        keys = [{"of_namespace": namespace, "of_node": node, "key": name_key(name)} for namespace, node, name in rows]
        bind.execute(fill, keys)
        after = (rows[-1][0], rows[-1][1])
