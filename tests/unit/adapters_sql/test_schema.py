"""The schema's laws: migrations make exactly the tables we name, and every statement on a namespace's rows says which namespace."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from tests.statements import GLOBAL
from tests.unit.server_metadata.world import START_US, World, fresh_database

from syncline.adapters.sql import trees
from syncline.adapters.sql.migrate import HEAD, migrate
from syncline.adapters.sql.schema import metadata
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.adapters.sql.upgrade import MIGRATIONS, upgrade
from syncline.adapters.sql.views import names, past, sizes
from syncline.model.entries import Kind
from syncline.model.errors import Corrupt, InvalidRequest, Unavailable
from syncline.model.ids import DeviceId, NamespaceId
from syncline.ports.view_store import Wanted
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.changes import to_time
from syncline.protocol.past import PurgeRequest, RewindRequest, Undelete, UndeleteRequest, UndoRequest
from syncline.server.past.service import Past, Retention

ACROSS = {
    "members_by_user",
    "idempotency_by_time",
    "namespaces_by_owner",
    "uploads_by_id",
    "uploads_by_user",
    "uploads_by_object",
    "uploads_by_expiry",
    "raw_contents_by_object",
    "raw_contents_due",
    "invitations_by_user",
    "grants_by_user",
    "links_by_id",
    "links_by_node",
    "links_by_creator",
}
"""Indexes that answer questions across namespaces: whose am I a member of, what is shared with me, what does an owner use, what has
expired or is due."""


def test_migrations_make_the_schema_that_a_new_database_gets(tmp_path: Path) -> None:
    migrated, fresh = tmp_path / "migrated.db", tmp_path / "fresh.db"
    upgrade(migrated)
    migrate(fresh)
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    assert described(migrated) == described(fresh)


def described(path: Path) -> dict[str, object]:
    """Everything a database is made of: tables and indexes with all their parts, the migration it stands at, the statistics."""
    with sqlite3.connect(path) as connection:
        master = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        found: dict[str, object] = {name: (kind, table) for kind, name, table, _ in master}
        for kind, name, _, text in master:
            if kind == "table":
                found[f"{name} columns"] = connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
                found[f"{name} references"] = connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()
                found[f"{name} indexes"] = sorted(row[1:] for row in connection.execute(f"PRAGMA index_list({name})"))
                found[f"{name} rowid"] = "WITHOUT ROWID" in text
            else:
                found[f"{name} columns"] = connection.execute(f"PRAGMA index_xinfo({name})").fetchall()
                found[f"{name} where"] = None if text is None else text.partition(" WHERE ")[2]
        found["version"] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        found["statistics"] = sorted(connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1"))
    connection.close()
    return found


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


async def test_devices_of_an_older_schema_stay_signed_in(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    migrate(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO users VALUES ('u', 'a@x', '', '', 'n', NULL, 0, 1)")
        connection.execute(
            "INSERT INTO devices (device_id, user_id, name, refresh_hash, created_us) VALUES ('d', 'u', '', 'old', 1)"
        )
        connection.execute("DROP INDEX nodes_in_trash")
        connection.execute("DROP INDEX journal_by_node")
        connection.execute("DELETE FROM sqlite_stat1 WHERE tbl = 'journal'")
        for later in (
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
            connection.execute(f"DROP TABLE {later}")
        for index in ("nodes_folders", "nodes_by_search"):
            connection.execute(f"DROP INDEX {index}")
        connection.execute("ALTER TABLE nodes DROP COLUMN search_key")
        connection.execute("ALTER TABLE devices DROP COLUMN last_synced_us")
        connection.execute("ALTER TABLE devices DROP COLUMN rotated_us")
        connection.execute("ALTER TABLE devices DROP COLUMN previous_refresh_hash")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    stores = await open_stores(path)
    assert await stores.accounts.rotate_refresh(DeviceId("d"), "old", "new", now_us=1, grace_us=1)
    await stores.close()


def test_every_namespaced_table_leads_with_its_namespace() -> None:
    for table in metadata.sorted_tables:
        if table.name in GLOBAL:
            continue
        assert next(iter(table.primary_key.columns)).name == "namespace_id", table.name
        for index in table.indexes - {index for index in table.indexes if index.name in ACROSS}:
            assert next(iter(index.columns)).name == "namespace_id", index.name


@pytest.mark.parametrize("is_new", [True, False])
def test_a_database_opens_without_alembic_in_the_process(tmp_path: Path, is_new: bool) -> None:
    path = tmp_path / "metadata.db"
    if not is_new:
        migrate(path)
    program = f"""
import sys, asyncio
from pathlib import Path
from syncline.adapters.sql.stores import Stores, open_stores
async def main():
    await (await open_stores(Path({str(path)!r}))).close()
asyncio.run(main())
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_two_may_open_a_new_database_together(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    first, second = await asyncio.gather(open_stores(path), open_stores(path))
    assert await first.accounts.server_id() == await second.accounts.server_id()
    await first.close()
    await second.close()


async def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "metadata.db"
    stores = await open_stores(path)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    await stores.close()


def test_what_cannot_be_created_or_upgraded_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (of_another TEXT)")
    with pytest.raises(Unavailable) as caught:
        migrate(path)
    assert "already exists" in caught.value.fields["reason"]
    with connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
    connection.close()
    with pytest.raises(Unavailable) as caught:
        migrate(path)
    assert "devices" in caught.value.fields["reason"]
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable) as caught:
        migrate(path)
    assert caught.value.fields["reason"] == "its upgrade ended with 1"


async def test_a_newer_or_broken_database_is_refused(tmp_path: Path) -> None:
    newer, broken = tmp_path / "newer.db", tmp_path / "broken.db"
    migrate(newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(InvalidRequest):
        await open_stores(newer)
    broken.write_bytes(b"this is no database" * 1000)
    with pytest.raises(Corrupt):
        await open_stores(broken)


# -- Statements ------------------------------------------------------------------------------------------------------------------


@contextmanager
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_every_statement_on_a_namespaces_rows_says_which(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Runs everything a caller can ask for, and looks at each statement: where it names a namespaced table there is a condition
    (or an inserted value, or a join) on that table's `namespace_id`. (Pruning is nobody's request, and goes across.)"""
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        with statements() as seen:
            await _use_everything(world, ada)
    namespaced = [table.name for table in metadata.sorted_tables if table.name not in {*GLOBAL, "namespaces"}]
    checked = 0
    for statement in {re.sub(r"\s+", " ", statement) for statement in seen}:
        for table in namespaced:
            if re.search(rf"(?:FROM|JOIN|UPDATE|INTO|,) {table}\b(?!\.)", statement):
                checked += 1
                scoped = rf"{table}\.namespace_id (?:=|!=|IN)|= {table}\.namespace_id|INTO {table} \(namespace_id"
                assert re.search(scoped, statement), statement
    assert checked > 30


async def _use_everything(world: World, ada) -> None:  # type: ignore[no-untyped-def]
    await ada.put(b"x", b"y")
    await ada.commit(ada.mkdir("d"), ada.create("f", "d", data=b"x"), ada.create("g"), ada.mkdir("e"))
    await ada.commit(ada.edit("f", 1, executable=True, description="t"), ada.move("d", "e"))
    await ada.commit(ada.delete("e", recursive=True, subtree_as_of=100), ada.delete("g", 1))
    await ada.commit(ada.undelete("e", recursive=True))
    await ada.refused(ada.create("h", data=b"none"), ada.delete("e"))
    await ada.live()
    metadata_, caller = world.metadata, ada.caller
    cursor = (await metadata_.changes(caller, None, None, 1)).cursor
    await metadata_.positions(caller, [cursor])
    await metadata_.namespaces(caller)
    await metadata_.metadata_by_path(caller, "/e/d/f")
    await metadata_.metadata_by_id(caller, world.id("f"))
    await metadata_.children(caller, None, ada.root)
    await metadata_.versions(caller, None, world.id("f"))
    await metadata_.revision_blocks(caller, ada.namespace, [RevisionRef(node_id=world.id("f"), revision=1)])
    await metadata_.usage(caller)
    await world.stores.packs.missing(ada.namespace, caller.user_id, ["00" * 32])
    await world.stores.packs.copies(ada.namespace, ["00" * 32])
    past, start = Past(metadata_, world.stores.past, world.machine, Retention()), to_time(START_US)
    await past.versions.page(caller, None, world.id("f"), None)
    await past.retention.explain(caller, "/e/d/f", None, None)
    await past.travel.rewind(caller, RewindRequest(to=to_time(world.machine.time_us)), "r")
    undone = await past.travel.undo(caller, UndoRequest(device=caller.device_id, since=start), "u")
    assert undone.changeset is not None
    await past.travel.undo(caller, UndoRequest(changeset=undone.changeset, dry_run=True), "v")
    await past.trash.page(caller, None, None)
    await past.trash.undelete(caller, UndeleteRequest(files=[Undelete(node_id=world.id("e"))]), "w")
    await _look_about(world, ada)
    await past.trash.purge(caller, PurgeRequest(all=True))


WHOLE = re.compile(r"S(CAN|EARCH) (journal|older|nodes)( USING .*\(namespace_id=\?\))?( LEFT-JOIN)?")


async def test_a_window_of_the_journal_is_read_by_its_range(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """However long a journal is, going back reads what was changed since, and of each node only its own rows."""
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        past, start = Past(world.metadata, world.stores.past, world.machine, Retention()), to_time(START_US)
        await ada.commit(ada.mkdir("d"))
        with statements() as seen:
            await past.travel.rewind(ada.caller, RewindRequest(to=start), "r")
            await past.travel.undo(ada.caller, UndoRequest(device=ada.caller.device_id, since=start), "u")
    asked = {statement for statement in seen if "touched" in statement}
    assert len(asked) >= 7
    with sqlite3.connect(tmp_path / "metadata.db") as connection:
        for statement in asked:
            values = (None,) * statement.count("?")
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
            for step in plan:
                assert not re.fullmatch(r"S(CAN|EARCH) (journal|older|nodes)( USING .*\(namespace_id=\?\))?( LEFT-JOIN)?", step), (
                    plan
                )
    connection.close()


async def _look_about(world: World, ada) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(world.stores, Stores)
    views, here, node, who = world.stores.views, ada.namespace, world.id("f"), ada.caller
    await views.position_at(here, world.machine.now_us())
    await views.folded(here, 0, 100, 100)
    await views.lineages(here, [(node, 1), (node, 100)])
    await views.node_rows(here, node, 0, 10)
    await views.rows(here, 0, 10, 10)
    await views.unchanged_below(here, world.id("e"), 100, None, 10)
    await views.homes(who.user_id, node)
    await views.search(here, Wanted(whole="f", words=["f"], globs=["f*"], kind=Kind.FILE, below=world.id("e")), (0, 1, node), 10)
    await views.people([who.user_id], [who.device_id])
    await views.sizes(here, world.id("e"), 1)
    await views.sizes(here, ada.root, 1)
    await views.shares(here)
    for given in ({}, {"actor": who.user_id}, {"device": who.device_id}, {"actor": who.user_id, "device": who.device_id}):
        await views.deeds(here, 100, 10, **({"actor": None, "device": None} | given))


QUESTIONS = ("nodes_by_id", "above", "at_places", "below", "deleted_with", "child_counts", "heights")
LISTS = ("chains", "revisions_by_ref", "blocks_by_ref")
WALK = re.compile(r"S(CAN|EARCH) (nodes|journal|revisions|revision_blocks|members)( USING .*\(namespace_id=\?\))?")


@pytest.mark.parametrize("question", QUESTIONS + LISTS)
def test_no_question_walks_a_whole_namespace(tmp_path: Path, question: str) -> None:
    path = tmp_path / "metadata.db"
    migrate(path)
    engine = create_engine(f"sqlite:///{path}")
    compiled = getattr(trees, question)("sqlite").compile(dialect=engine.dialect)
    values = [{"limit": 10, "namespace": "n", "user": "u"}.get(name, "[]") for name in compiled.positiontup]
    with engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(values)).all()]
    engine.dispose()
    for step in plan:
        assert not WALK.fullmatch(step), plan
        assert "BLOOM" not in step, plan


VIEWS = {
    "folded": (past._FOLDED, "journal_by_node"),
    "states": (past._states("sqlite"), "journal_by_node"),
    "node rows": (past.NODE_ROWS, "journal_by_node"),
    "unchanged below": (past.UNCHANGED_BELOW, "nodes_live_names"),
    "folders": (sizes._FOLDERS, "nodes_folders"),
    "files of folders": (sizes._FILES, "nodes_live_names"),
}


@pytest.mark.parametrize("question", VIEWS)
def test_views_find_their_index(tmp_path: Path, question: str) -> None:
    path = tmp_path / "metadata.db"
    migrate(path)
    engine = create_engine(f"sqlite:///{path}")
    statement, index = VIEWS[question]
    compiled = statement.compile(dialect=engine.dialect)
    with engine.connect() as connection:
        plan = [
            row[3]
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple("[]" for _ in compiled.positiontup)).all()
        ]
    engine.dispose()
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if re.fullmatch(r"SEARCH \w+ USING .*\(namespace_id=\?\)", step)], plan


def test_search_reads_nothing_but_its_index(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    migrate(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection, statements() as seen:
        names.search(connection, NamespaceId("n"), Wanted(whole="a", words=["a"], globs=["*b"]), None, 10)
        (statement,) = seen
        values = tuple("n" for _ in range(statement.count("?")))
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()]
    engine.dispose()
    assert any("names USING COVERING INDEX nodes_by_search" in step for step in plan), plan
