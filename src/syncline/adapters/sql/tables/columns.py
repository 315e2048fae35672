"""What tables are made of: the one collection they belong to, and columns of the kinds we use."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text

metadata: Final = MetaData()


def text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=options.pop("nullable", False), **options)


def number(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=options.pop("nullable", False), **options)


def flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def blob(name: str, **options: Any) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=options.pop("nullable", False), **options)


def namespace() -> Column[str]:
    return Column("namespace_id", Text, ForeignKey("namespaces.namespace_id"), nullable=False)


def per_namespace(name: str, *parts: Any, key: tuple[str, ...]) -> Table:
    """A table whose rows belong to one namespace: every statement on it names which."""
    return Table(name, metadata, namespace(), *parts, PrimaryKeyConstraint("namespace_id", *key), sqlite_with_rowid=False)


def placed_state() -> list[Column[Any]]:
    """The columns of `model.journal.JournalEntry`, in its order."""
    return [
        number("sequence"),
        text("changeset"),
        text("op"),
        text("node_id"),
        text("parent_id"),
        text("name"),
        text("kind"),
        number("revision"),
        blob("content_hash", nullable=True),
        number("size"),
        flag("executable"),
        number("mtime_us"),
        flag("deleted"),
        flag("mount"),
        text("actor", nullable=True),
        text("device", nullable=True),
        number("time_us"),
    ]


PLACED_STATE: Final = tuple(column.name for column in placed_state())
