"""What outlives purging: the tombstones of nodes whose rows and revisions are gone."""

from __future__ import annotations

from syncline.adapters.sql.tables.columns import number, per_namespace, text

tombstones = per_namespace(
    "tombstones",
    text("node_id"),
    number("sequence"),
    number("revision"),
    number("purged_us"),
    key=("node_id",),
)
