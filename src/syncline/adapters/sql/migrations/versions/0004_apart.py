"""PostgreSQL alone: rows that commits write by the hundred stand without foreign keys, and tables lie apart where Citus is there.

A foreign key asks again, row for row, what the commit knows: the namespace's row is there, since it holds its lock. Asking took a
quarter of what PostgreSQL spent on a commit. Namespaces are never deleted, so nothing else could break what the keys said; SQLite
keeps them. With the extension `citus` in the database, every table of a namespace's rows is distributed by `namespace_id`, all of
one namespace together; see `docs/operations/sharding.md`.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None

_WRITTEN_IN_BULK: Final = ("nodes", "journal", "revisions", "revision_blocks", "namespace_blocks", "idempotency", "bases")
_EVERYWHERE: Final = ("users", "devices", "server", "audit", "leases", "packs", "block_copies")
"""Reference tables, in the order of what refers to what."""
_APART: Final = (
    "namespaces",
    "members",
    "nodes",
    "journal",
    "revisions",
    "revision_blocks",
    "namespace_blocks",
    "idempotency",
    "uploads",
    "upload_parts",
    "raw_contents",
    "invitations",
    "grants",
    "block_sources",
    "links",
    "tombstones",
    "bases",
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for table in _WRITTEN_IN_BULK:
        op.drop_constraint(f"{table}_namespace_id_fkey", table, type_="foreignkey")
    if connection.scalar(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'citus'")):
        # A pack lies with its namespace in words only: its key does not name one, and foreign keys lead to users from all over.
        op.drop_constraint("packs_namespace_id_fkey", "packs", type_="foreignkey")
        for table in _EVERYWHERE:
            op.execute(f"SELECT create_reference_table('{table}')")
        for table in _APART:
            beside = "" if table == "namespaces" else ", colocate_with => 'namespaces'"
            op.execute(f"SELECT create_distributed_table('{table}', 'namespace_id'{beside})")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _WRITTEN_IN_BULK:
        op.create_foreign_key(f"{table}_namespace_id_fkey", table, "namespaces", ["namespace_id"], ["namespace_id"])
