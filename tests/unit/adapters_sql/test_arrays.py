"""Array literals are read by PostgreSQL as what they were made of, whatever the values hold."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from syncline.adapters.sql.arrays import array_text, spread


@pytest.mark.real
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", []),
        ("text", ["plain"]),
        ("text", ["", " ", "NULL", "null", None]),
        ("text", ['a "quoted" one', "back\\slash", "{braces}, and commas", "line\nbreak", "\t", "ümlaut", "%s", "'"]),
        ("text", ['","']),
        ("text", [None]),
        ("bigint", [0, -1, 2**63 - 1]),
        ("bigint", [None, 7]),
        ("boolean", [True, False, None]),
        ("boolean", [True, False]),
        ("bytea", [b"", bytes(range(256))]),
        ("bytea", [None, b"\\x"]),
    ],
)
def test_an_array_comes_back_as_it_was(postgres_url: str, kind: str, values: Sequence[object]) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute(f"SELECT %s::{kind}[]".encode(), (array_text(values),)).fetchone()
        assert row == (list(values),)


def test_a_statement_for_many_rows_keeps_what_is_the_same_for_all() -> None:
    text, parameters = spread(
        "UPDATE a SET x=%s, y=(SELECT z FROM b WHERE b.n = %s::VARCHAR) \nWHERE a.n = %s::VARCHAR AND a.id = %s::BIGINT",
        ["bytea", "text", "text", "bigint"],
        [False, True, True, False],
    )
    assert text == (
        "UPDATE a SET x=v.p0, y=(SELECT z FROM b WHERE b.n = %s::VARCHAR)"
        " FROM unnest(%s::bytea[], %s::bigint[]) AS v (p0, p3) WHERE a.n = %s::VARCHAR AND a.id = v.p3"
    )
    assert parameters == [(1, False), (0, True), (3, True), (2, False)]
