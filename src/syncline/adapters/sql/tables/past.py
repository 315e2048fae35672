"""What outlives purging and pruning: tombstones of nodes that are gone for good, and how pruned rows had left changed nodes."""

from __future__ import annotations

from syncline.adapters.sql.tables.columns import number, per_namespace, placed_state, text

tombstones = per_namespace(
    "tombstones",
    text("node_id"),
    number("sequence"),
    number("revision"),
    number("purged_us"),
    key=("node_id",),
)

bases = per_namespace("bases", *placed_state(), key=("node_id",))
"""The last state that the pruned part of the journal gave to a node which later rows changed: where those rows began from."""
