"""Between rows and values: hashes are blobs in the tables and hexadecimal outside; bulk statements take plain tuples.

Bulk writes go to SQLite as one `executemany` of tuples (a thousand rows: 3 ms; 7 ms as dictionaries through Core), to PostgreSQL as
one statement over arrays, and what is asked often goes to the driver as text and values. Text is compiled once from tables and
statements, so it fits the dialect.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Executable,
    Select,
    Table,
    Text,
    bindparam,
    column,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import CTE
from sqlalchemy.sql.visitors import replacement_traverse

from syncline.adapters.sql.arrays import array_text, insert_arrays, kind_of, spread
from syncline.adapters.sql.schema import PLACED_STATE
from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, DeviceId, Digest, NodeId, UserId
from syncline.model.journal import JournalEntry

_KINDS: Final = {kind.value: kind for kind in Kind}

Row = tuple[Any, ...]


def placed(table: Table) -> list[Any]:
    """The columns that `entry_of` reads, in order."""
    return [table.c[name] for name in PLACED_STATE]


def entry_of(row: Sequence[Any]) -> JournalEntry:
    """A journal entry from the first columns of a row, as `placed` selects them."""
    content_hash: bytes | None = row[8]
    return JournalEntry(
        sequence=row[0],
        changeset=ChangesetId(row[1]),
        op=row[2],
        node_id=NodeId(row[3]),
        parent_id=NodeId(row[4]),
        name=row[5],
        kind=_KINDS[row[6]],
        revision=row[7],
        content_hash=None if content_hash is None else Digest(content_hash.hex()),
        size=row[9],
        # The driver's own rows have numbers for truths.
        executable=row[10] == 1,
        mtime_us=row[11],
        deleted=row[12] == 1,
        mount=row[13] == 1,
        actor=None if row[14] is None else UserId(row[14]),
        device=None if row[15] is None else DeviceId(row[15]),
        time_us=row[16],
    )


def row_of(entry: JournalEntry) -> Row:
    """The values of `PLACED_STATE`."""
    return (
        entry.sequence,
        entry.changeset,
        entry.op,
        entry.node_id,
        entry.parent_id,
        entry.name,
        entry.kind.value,
        entry.revision,
        None if entry.content_hash is None else bytes.fromhex(entry.content_hash),
        entry.size,
        entry.executable,
        entry.mtime_us,
        entry.deleted,
        entry.mount,
        entry.actor,
        entry.device,
        entry.time_us,
    )


def blobs(hashes: Iterable[Digest]) -> list[bytes]:
    return list(map(bytes.fromhex, hashes))


@lru_cache(maxsize=64)
def insert_text(table: Table, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The dialect's INSERT of every column of a table, and the columns in the order of its placeholders."""
    names = tuple(column.name for column in table.columns if column.autoincrement is not True)
    return str(insert(table).values({name: bindparam(name) for name in names}).compile(dialect=dialect)), names


def insert_rows(connection: Connection, table: Table, names: tuple[str, ...], rows: list[Row]) -> None:
    """Inserts tuples whose values stand in the order of `names`, which must be the table's own order."""
    if not rows:
        return
    arrays = connection.dialect.name == "postgresql"
    statement, order = insert_arrays(table) if arrays else insert_text(table, connection.dialect)
    assert names == order, f"{table.name} takes {order}"
    if arrays:
        connection.exec_driver_sql(statement, tuple(map(array_text, zip(*rows, strict=True))))
    else:
        connection.exec_driver_sql(statement, rows)


def execute_many(connection: Connection, statement: Executable, order: tuple[str, ...], rows: list[Row]) -> None:
    """Runs a statement for each tuple; `order` names its bind parameters as they stand in the text."""
    if not rows:
        return
    compiled = _compiled(statement, connection.dialect)
    assert compiled.order == order, f"the statement takes {compiled.order}"
    connection.exec_driver_sql(compiled.text, rows)


def execute_all(connection: Connection, statement: Executable, order: tuple[str, ...], rows: list[Row]) -> None:
    """The same for rows that each mean another row of the table: on PostgreSQL by one statement. What is named `…_namespace` is one
    for all, so that the statement says whose rows it touches."""
    if connection.dialect.name != "postgresql" or not rows:
        execute_many(connection, statement, order, rows)
        return
    given = _spread(statement, connection.dialect)
    assert given.order == order, f"the statement takes {given.order}"
    columns = list(zip(*rows, strict=True))
    values = tuple(array_text(columns[at]) if is_array else columns[at][0] for at, is_array in given.parameters)
    connection.exec_driver_sql(given.text, values)


def fetch(connection: Connection, statement: Executable, **parameters: Any) -> Sequence[Any]:
    """All rows of a statement that is made once and kept, as the driver gives them: truths are numbers. A list fills an expanding
    parameter."""
    return connection.exec_driver_sql(*_filled(statement, connection.dialect, parameters)).all()


def execute(connection: Connection, statement: Executable, **parameters: Any) -> None:
    """Runs such a statement that gives no rows."""
    connection.exec_driver_sql(*_filled(statement, connection.dialect, parameters))


def _filled(statement: Executable, dialect: Dialect, parameters: dict[str, Any]) -> tuple[str, Row]:
    text, order, preset = _compiled(statement, dialect)
    values: list[Any] = []
    for name in order:
        value = parameters[name] if name in parameters else preset[name]
        if isinstance(value, list):
            listed, filled = _listed(dialect.name, value)
            text = text.replace(f"IN (__[POSTCOMPILE_{name}])", listed)
            values += filled
        else:
            values.append(value)
    return text, tuple(values)


def _listed(dialect: str, value: list[Any]) -> tuple[str, list[Any]]:
    """What stands for IN and a list, and its parameters: on PostgreSQL one array, so that the text is one whatever the length, and
    the server plans it once."""
    if dialect == "postgresql":
        kind = "bytea" if value and isinstance(value[0], bytes) else "text"
        return f"= ANY (%s::{kind}[])", [array_text(value)]
    return f"IN ({', '.join('?' * len(value)) or 'NULL'})", value


class _Compiled(NamedTuple):
    text: str
    order: tuple[str, ...]
    preset: dict[str, Any]


@lru_cache(maxsize=256)
def _compiled(statement: Executable, dialect: Dialect) -> _Compiled:
    spelt: Any = statement
    if dialect.name == "postgresql":
        spelt = replacement_traverse(spelt, {}, _spelt)
    compiled: Any = spelt.compile(dialect=dialect)
    return _Compiled(str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params))


def _spelt(element: Any, **_: Any) -> Any:
    """A constant word of the statement as a part of its text: a plan for all parameters finds a partial index only so."""
    if not isinstance(element, BindParameter) or element.required:
        return None
    words = element.value if isinstance(element.value, list) else [element.value]
    if not words or not all(isinstance(word, str) and word.isidentifier() for word in words):
        return None
    spelt = ", ".join(f"'{word}'" for word in words)
    return literal_column(f"({spelt})" if element.expanding else spelt, element.type)


class _Spread(NamedTuple):
    text: str
    order: tuple[str, ...]
    parameters: list[tuple[int, bool]]


@lru_cache(maxsize=64)
def _spread(statement: Executable, dialect: Dialect) -> _Spread:
    compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    order = tuple(compiled.positiontup or ())
    kinds = [kind_of(compiled.binds[name]) for name in order]
    text, parameters = spread(str(compiled), kinds, [name.endswith("_namespace") for name in order])
    return _Spread(text, order, parameters)


# -- Lists as tables: one parameter however long, where a list of placeholders has a bound and a row-value IN finds no index ----

_LISTS: Final = {
    "sqlite": ("SELECT value AS a FROM json_each({0})", "SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_each({0})"),
    "postgresql": (
        "SELECT value AS a FROM jsonb_array_elements_text(CAST({0} AS jsonb))",
        "SELECT value ->> 0 AS a, CAST(value ->> 1 AS {1}) AS b FROM jsonb_array_elements(CAST({0} AS jsonb))",
    ),
}
"""The one place where the text differs by dialect."""


def texts(dialect: str, parameter: str) -> CTE:
    """The texts in a JSON list as a table with column `a`."""
    return (
        text(_LISTS[dialect][0].format(f":{parameter}")).bindparams(bindparam(parameter)).columns(column("a", Text)).cte(parameter)
    )


def pairs(dialect: str, parameter: str, *, numbers: bool = False) -> CTE:
    """The pairs in a JSON list of lists as a table with columns `a` (text) and `b` (text, or integers)."""
    statement = _LISTS[dialect][1].format(f":{parameter}", "bigint" if numbers else "text")
    kind = BigInteger if numbers else Text
    return text(statement).bindparams(bindparam(parameter)).columns(column("a", Text), column("b", kind)).cte(parameter)


def listed(table: CTE) -> Select[Any]:
    """The texts of `texts(...)`, for an IN."""
    return select(table.c.a)


def as_json(values: Sequence[Any]) -> str:
    """A list as one parameter. A NUL, which is in no id and no name, becomes what is in none either: PostgreSQL reads no NUL."""
    return json.dumps(values, ensure_ascii=False).replace("\\u0000", "\ufffd")
