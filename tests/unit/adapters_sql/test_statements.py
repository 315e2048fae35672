"""What the walk over every statement holds for bound to a namespace, and that what is distributed is what it walks."""

from __future__ import annotations

from importlib import import_module

import pytest
from tests.statements import DISTRIBUTED, GLOBAL, unbound


@pytest.mark.parametrize(
    ("statement", "loose"),
    [
        ("SELECT users.name FROM users WHERE users.user_id = %s", set()),
        ("SELECT nodes.name FROM nodes WHERE nodes.namespace_id = %s::VARCHAR AND nodes.node_id = %s", set()),
        ("SELECT nodes.name FROM nodes WHERE nodes.node_id = %s", {"nodes"}),
        ("SELECT nodes.name FROM nodes WHERE nodes.namespace_id != %s", {"nodes"}),
        ("DELETE FROM nodes WHERE nodes.namespace_id IN (?, ?)", set()),
        ("UPDATE nodes SET name=%s WHERE nodes.node_id = %s", {"nodes"}),
        ("INSERT INTO nodes (namespace_id, node_id) SELECT * FROM unnest(%s::text[], %s::text[])", set()),
        ("SELECT 1 FROM nodes JOIN journal ON journal.namespace_id = nodes.namespace_id", {"nodes", "journal"}),
        ("SELECT 1 FROM nodes JOIN journal ON journal.namespace_id = nodes.namespace_id WHERE nodes.namespace_id = ?", set()),
        ("SELECT 1 FROM journal AS older WHERE journal.namespace_id = ?", {"older"}),
        ("SELECT 1 FROM wanted LEFT OUTER JOIN journal ON journal.namespace_id = wanted.a", set()),
        ("SELECT 1 FROM nodes, revisions WHERE nodes.namespace_id = ? AND revisions.node_id = nodes.node_id", {"revisions"}),
    ],
)
def test_a_statement_says_whose_rows_it_touches(statement: str, loose: set[str]) -> None:
    assert unbound(statement) == loose


def test_the_migration_distributes_what_belongs_to_namespaces_and_nothing_else() -> None:
    migration = import_module("syncline.adapters.sql.migrations.versions.0004_apart")
    assert set(migration._APART) == set(DISTRIBUTED)
    assert set(migration._EVERYWHERE) == GLOBAL
