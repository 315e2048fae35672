"""Each kind of damage, planted in the data of a real server, is named by its code and its place; a sound server gives nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.server_check.conftest import Data

from syncline.app.accounts import with_people
from syncline.model.errors import InvalidRequest
from syncline.server.check import checker, content, metadata, store


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_server_has_no_findings_and_says_what_was_compared(data: Data, deep: bool) -> None:
    checked = data.check(deep=deep)
    assert checked.findings == []
    hops = {hop.hop: hop.compared for hop in checked.hops}
    assert list(hops) == ["database", "journal", "tree", "revisions", "store", *(["packs", "content"] if deep else [])]
    assert hops["journal"].startswith(f"{data.one('SELECT count(*) FROM journal')} rows of 1 namespace:")
    assert hops["store"].startswith(f"{data.one('SELECT count(*) FROM packs')} pack")
    if deep:
        last = {step.what: step for step in checked.progress}
        assert {what: step.done_bytes == step.total_bytes > 0 for what, step in last.items()} == {"packs": True, "files": True}


@pytest.mark.parametrize("deep", [False, True])
def test_pages_of_one_row_find_the_same(data: Data, deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for room, bound in ((metadata, "PAGE"), (metadata, "BLOCKS_PAGE"), (store, "OBJECTS_PAGE"), (checker, "NAMESPACES_PAGE")):
        monkeypatch.setattr(room, bound, 1)
    for copies_at_once in (1, 2):
        monkeypatch.setattr(content, "COPIES_AT_ONCE", copies_at_once)
        assert data.check(deep=deep).findings == []
    assert data.check(deep=deep).hops[0].hop == "database"
    data.sql("DELETE FROM revisions WHERE node_id = ?", data.node("film.bin"))
    data.sql("DELETE FROM journal WHERE sequence = 3")
    (stray := data.path / "objects" / "zz" / ("z" * 32)).parent.mkdir()
    stray.write_bytes(b"whose?")
    codes = [finding.code for finding in data.check(deep=deep).findings if finding.code != "check.node_differs"]
    assert sorted({*codes} - {"check.revision_differs"}) == [
        "check.blocks_orphaned",
        "check.journal_gap",
        "check.object_stray",
        "check.revision_missing",
    ]
    assert codes.count("check.blocks_orphaned") == codes.count("check.object_stray") == 1


def test_every_namespace_is_checked(data: Data) -> None:
    bob = asyncio.run(with_people(data.path, lambda people: people.add("bob@example.org", "correct horse battery")))
    checked = data.check()
    assert (checked.findings, checked.hops[1].compared.split(" ")[3]) == ([], "2")
    data.sql("UPDATE namespaces SET root = ? WHERE namespace_id = ?", bytes([1] * 32), bob.root_namespace)
    assert {finding.owner for finding in data.check().findings} == {"bob@example.org"}


# -- journal -------------------------------------------------------------------------------------------------------------------


def test_a_dropped_journal_row_is_a_gap(data: Data) -> None:
    data.sql("DELETE FROM journal WHERE sequence = 2")
    checked = data.check()
    assert [finding.sequence for finding in checked.named("check.journal_gap")] == [2]
    assert checked.codes <= {"check.journal_gap", "check.node_differs", "check.revision_differs"}


def test_dropped_rows_at_the_journals_end_are_a_gap(data: Data) -> None:
    head = data.one("SELECT head_sequence FROM namespaces")
    data.sql("DELETE FROM journal WHERE sequence = ?", head)
    assert [finding.sequence for finding in data.check().named("check.journal_gap")] == [head]


def test_a_changed_journal_row_breaks_the_chain_at_its_path(data: Data) -> None:
    data.sql("UPDATE journal SET name = 'latter.txt' WHERE name = 'letter.txt' AND op = 'create'")
    checked = data.check()
    assert checked.paths("check.chain_broken") == {"/latter.txt"}
    assert len(checked.named("check.chain_broken")) == 1
    assert "check.row_root_wrong" not in checked.codes


def test_a_changed_chain_is_named(data: Data) -> None:
    data.sql("UPDATE journal SET chain = zeroblob(32) WHERE name = 'plan.md'")
    assert "/docs/plan.md" in data.check().paths("check.chain_broken")


def test_a_changed_root_of_a_row_is_named_at_its_row_and_the_next(data: Data) -> None:
    data.sql("UPDATE journal SET root = zeroblob(32) WHERE name = 'plan.md'")
    checked = data.check()
    assert checked.codes == {"check.row_root_wrong"}
    assert "/docs/plan.md" in checked.paths("check.row_root_wrong")


def test_a_head_that_lies_is_named(data: Data) -> None:
    data.sql("UPDATE namespaces SET root = zeroblob(32)")
    assert data.check().codes == {"check.head_wrong", "check.root_wrong"}
    data.sql("UPDATE namespaces SET chain = zeroblob(32)")
    assert len(data.check().named("check.head_wrong")) == 2


def test_a_head_behind_its_journal_is_named(data: Data) -> None:
    data.sql("UPDATE namespaces SET head_sequence = head_sequence - 1")
    assert "check.head_wrong" in data.check().codes


def test_a_journal_whose_beginning_was_forgotten_in_order_is_sound(data: Data) -> None:
    data.sql("DELETE FROM journal WHERE sequence <= 4")
    data.sql("UPDATE namespaces SET pruned_sequence = 4")
    assert data.check().findings == []
    data.sql("UPDATE journal SET size = size + 1 WHERE name = 'letter.txt' AND op = 'edit'")
    assert data.check().paths("check.chain_broken") == {"/letter.txt"}


# -- tree ----------------------------------------------------------------------------------------------------------------------


def test_a_renamed_row_differs_from_the_journal_and_from_the_root(data: Data) -> None:
    data.sql("UPDATE nodes SET name = 'latter.txt', name_key = 'latter.txt' WHERE name = 'letter.txt'")
    checked = data.check()
    assert checked.codes == {"check.node_differs", "check.root_wrong"}
    assert checked.paths("check.node_differs") == {"/latter.txt"}
    assert "in name" in checked.named("check.node_differs")[0].message


def test_a_changed_hash_differs_from_journal_and_revision(data: Data) -> None:
    data.sql("UPDATE nodes SET content_hash = zeroblob(32) WHERE name = 'plan.md'")
    checked = data.check()
    assert checked.codes == {"check.node_differs", "check.root_wrong", "check.revision_differs"}
    assert checked.paths("check.revision_differs") == {"/docs/plan.md"}


def test_a_removed_node_is_missing(data: Data) -> None:
    data.sql("DELETE FROM nodes WHERE name = 'plan.md'")
    assert data.check().paths("check.node_missing") == {"/docs/plan.md"}


def test_a_node_that_stayed_behind_its_journal_is_named(data: Data) -> None:
    columns = [row[1] for row in data.sql("PRAGMA table_info(journal)") if row[1] not in ("namespace_id", "chain", "root")]
    old = ", ".join(f"{column} = journal.{column}" for column in columns)
    data.sql(f"UPDATE nodes SET {old} FROM journal WHERE journal.node_id = nodes.node_id AND nodes.name = 'letter.txt' AND "
             "journal.op = 'create'")  # fmt: skip
    checked = data.check()
    assert checked.codes == {"check.node_differs", "check.root_wrong"}
    assert checked.paths("check.node_differs") == {"/letter.txt"}
    assert "a later row of it" in checked.named("check.node_differs")[0].message


def test_an_orphan_is_named(data: Data) -> None:
    data.sql("UPDATE nodes SET parent_id = ? WHERE name = 'plan.md'", data.node("gone.txt"))
    assert data.check().paths("check.parent_missing") == {"…/plan.md"}
    data.sql("UPDATE nodes SET deleted = 1, name_key = NULL WHERE name = 'deep'")
    assert "/docs/deep/film.bin" in data.check().paths("check.parent_missing")


def test_a_cycle_is_named(data: Data) -> None:
    data.sql("UPDATE nodes SET parent_id = ? WHERE name = 'docs'", data.node("deep"))
    named = data.check().named("check.tree_cycle")
    assert {finding.node for finding in named} == {data.node("docs"), data.node("deep")}


def test_two_live_children_with_one_key_are_named(data: Data) -> None:
    data.sql("DROP INDEX nodes_live_names")
    data.sql("UPDATE nodes SET name = 'plan.md', name_key = 'plan.md' WHERE name = 'copy.md'")
    checked = data.check()
    assert checked.paths("check.name_taken") == {"/docs/plan.md"}


def test_a_wrong_name_key_is_named(data: Data) -> None:
    data.sql("UPDATE nodes SET name_key = 'else' WHERE name = 'plan.md'")
    data.sql("UPDATE nodes SET name_key = 'gone.txt' WHERE name = 'gone.txt'")
    checked = data.check()
    assert checked.codes == {"check.name_key_wrong"}
    assert checked.paths("check.name_key_wrong") == {"/docs/plan.md", "/gone.txt"}


# -- revisions and blocks --------------------------------------------------------------------------------------------------------


def test_a_removed_revision_is_missing_and_leaves_orphaned_blocks(data: Data) -> None:
    node = data.node("film.bin")
    data.sql("DELETE FROM revisions WHERE node_id = ?", node)
    checked = data.check()
    assert checked.codes == {"check.revision_missing", "check.blocks_orphaned"}
    assert checked.paths("check.revision_missing") == {"/docs/deep/film.bin"}
    assert [finding.node for finding in checked.named("check.blocks_orphaned")] == [node]


def test_a_changed_revision_is_named(data: Data) -> None:
    data.sql("UPDATE revisions SET content_hash = zeroblob(32) WHERE node_id = ? AND revision = 1", data.node("letter.txt"))
    checked = data.check()
    assert checked.codes == {"check.revision_differs", "check.content_wrong"}
    assert {finding.revision for finding in checked.findings} == {1}


def test_a_missing_block_of_a_revision_is_named(data: Data) -> None:
    data.sql("DELETE FROM revision_blocks WHERE node_id = ? AND block_index = 1", data.node("film.bin"))
    named = data.check().named("check.blocks_missing")
    assert len(named) == 2
    assert {finding.path for finding in named} == {"/docs/deep/film.bin"}


def test_the_hash_of_nothing_is_that_of_nothing_alone(data: Data) -> None:
    node = data.node("empty")
    for table in ("nodes", "revisions", "journal"):
        data.sql(f"UPDATE {table} SET content_hash = zeroblob(32) WHERE node_id = ?", node)
    assert data.check().paths("check.content_wrong") == {"/empty"}


def test_lost_possession_is_named_for_every_file_it_concerns(data: Data) -> None:
    data.sql(
        "DELETE FROM namespace_blocks WHERE hash = (SELECT hash FROM revision_blocks WHERE node_id = ? LIMIT 1)",
        data.node("plan.md"),
    )
    checked = data.check()
    assert checked.codes == {"check.block_not_held", "check.usage_wrong"}
    assert checked.paths("check.block_not_held") == {"/docs/plan.md", "/docs/copy.md"}


def test_a_condemned_block_that_is_named_is_told(data: Data) -> None:
    data.sql("UPDATE namespace_blocks SET state = 'condemned' WHERE size = (SELECT max(size) FROM namespace_blocks)")
    assert data.check().paths("check.block_condemned") == {"/docs/deep/film.bin"}


def test_a_block_without_a_readable_copy_is_named(data: Data) -> None:
    data.sql(
        "DELETE FROM block_copies WHERE hash IN (SELECT hash FROM revision_blocks WHERE node_id = ?)",
        data.node("film.bin"),
    )
    checked = data.check()
    assert checked.codes == {"check.block_unreadable"}
    assert checked.paths("check.block_unreadable") == {"/docs/deep/film.bin"}


def test_a_pack_that_is_not_done_serves_nobody(data: Data) -> None:
    data.sql("UPDATE packs SET state = 'granted' WHERE object_key = ?", data.object_of("letter.txt").name)
    assert "/letter.txt" in data.check().paths("check.block_unreadable")


# -- object store ----------------------------------------------------------------------------------------------------------------


def test_a_removed_object_is_missing(data: Data) -> None:
    path = data.object_of("film.bin")
    path.unlink()
    named = data.check().named("check.object_missing")
    assert [finding.object for finding in named] == [path.name]
    assert "it holds blocks of " in named[0].message
    assert "/docs/deep/film.bin" in named[0].message
    assert "/docs/deep/film.bin" in data.check(deep=True).paths("check.revision_damaged")


def test_a_store_that_is_not_mounted_is_not_an_empty_one(data: Data) -> None:
    (data.path / "objects").rename(data.path / "elsewhere")
    assert len(data.check().named("check.object_missing")) == data.one("SELECT count(*) FROM packs")


def test_a_shortened_object_is_named(data: Data) -> None:
    path = data.object_of("film.bin")
    path.write_bytes(path.read_bytes()[:-1])
    assert [finding.object for finding in data.check().named("check.object_size")] == [path.name]


def test_a_stray_object_is_named_and_a_granted_one_is_not(data: Data) -> None:
    stray = data.path / "objects" / "zz" / ("z" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"whose?")
    data.sql("UPDATE packs SET state = 'granted', expires_us = 1 WHERE object_key = ?", data.object_of("letter.txt").name)
    checked = data.check()
    assert [finding.object for finding in checked.named("check.object_stray")] == [stray.name]


# -- the bytes themselves --------------------------------------------------------------------------------------------------------


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_is_named_down_to_the_file(data: Data) -> None:
    offset = data.one(
        "SELECT block_offset FROM block_copies JOIN revision_blocks USING (hash) WHERE node_id = ? ORDER BY block_index LIMIT 1",
        data.node("film.bin"),
    )
    _flip(data.object_of("film.bin"), offset + 100)
    assert data.check().findings == []
    checked = data.check(deep=True)
    assert checked.codes == {"check.pack_damaged", "check.block_damaged", "check.revision_damaged"}
    assert checked.paths("check.revision_damaged") == {"/docs/deep/film.bin"}
    assert checked.named("check.block_damaged")[0].block == checked.named("check.revision_damaged")[0].block


def test_a_damaged_index_costs_no_file(data: Data) -> None:
    path = data.object_of("film.bin")
    _flip(path, path.stat().st_size - 30)
    checked = data.check(deep=True)
    assert checked.codes == {"check.pack_damaged"}
    assert len(checked.findings) == 2


def test_a_copy_recorded_elsewhere_than_the_index_says_is_named(data: Data) -> None:
    data.sql(
        "UPDATE block_copies SET block_offset = block_offset + 1 WHERE hash = (SELECT hash FROM revision_blocks WHERE node_id = ?)",
        data.node("plan.md"),
    )
    checked = data.check(deep=True)
    assert checked.codes == {"check.copy_differs", "check.block_damaged", "check.revision_damaged"}
    assert checked.paths("check.revision_damaged") == {"/docs/plan.md", "/docs/copy.md"}


def test_copies_of_blocks_that_are_not_there_or_not_recorded_are_named(data: Data) -> None:
    data.sql("UPDATE block_copies SET hash = zeroblob(32) WHERE hash = (SELECT hash FROM revision_blocks WHERE node_id = ?)",
             data.node("plan.md"))  # fmt: skip
    checked = data.check(deep=True)
    assert len(checked.named("check.copy_differs")) == 2
    assert "check.block_unreadable" in checked.codes


def test_a_content_hash_that_its_blocks_do_not_have_is_named(data: Data) -> None:
    node = data.node("film.bin")
    for table in ("nodes", "revisions", "journal"):
        data.sql(f"UPDATE {table} SET content_hash = zeroblob(32) WHERE node_id = ?", node)
    assert data.check(deep=True).paths("check.revision_damaged") == {"/docs/deep/film.bin"}


def test_without_its_key_no_pack_can_be_opened(data: Data) -> None:
    (data.path / "keys" / "pack-keys.json").unlink()
    checked = data.check(deep=True)
    assert len(checked.named("check.pack_damaged")) == data.one("SELECT count(*) FROM packs")
    assert "/letter.txt" in checked.paths("check.revision_damaged")
    assert not (data.path / "keys" / "pack-keys.json").exists()


# -- the database itself ---------------------------------------------------------------------------------------------------------


def test_damaged_pages_are_named(data: Data) -> None:
    data.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    page = data.one("SELECT rootpage FROM sqlite_master WHERE name = 'audit'")
    size = data.one("PRAGMA page_size")
    with (data.path / "metadata.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 16)
    assert data.check().codes == {"check.database_damaged"}


def test_a_row_that_no_program_wrote_is_damage_and_ends_no_check(data: Data) -> None:
    data.sql("UPDATE nodes SET kind = 'pipe' WHERE name = 'plan.md'")
    checked = data.check()
    assert checked.codes == {"check.database_damaged"}
    assert [hop.hop for hop in checked.hops][-1] == "store"


def test_a_database_of_another_version_is_left_alone(data: Data) -> None:
    data.sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(InvalidRequest, match="0001"):
        data.check()
    assert data.one("SELECT version_num FROM alembic_version") == "0001"


# -- raw contents ----------------------------------------------------------------------------------------------------------------


def _raw(data: Data, key: str, size: int) -> None:
    """The newest revision of a file as if it had just been uploaded plainly, and nobody had taken it in yet."""
    node = data.node("film.bin")
    revision = data.one("SELECT revision FROM nodes WHERE node_id = ?", node)
    namespace = data.one("SELECT namespace_id FROM nodes WHERE node_id = ?", node)
    data.sql(
        "INSERT INTO raw_contents "
        "(namespace_id, node_id, revision, object_key, size, packed_bytes, state, attempts, due_us, created_us) "
        "VALUES (?, ?, ?, ?, ?, 0, 'waiting', 0, 0, 0)",
        namespace,
        node,
        revision,
        key,
        size,
    )


def test_a_raw_object_is_no_stray_and_is_missed_when_it_is_gone(data: Data) -> None:
    key = "z" * 32
    place = data.path / "objects" / "zz" / key
    place.parent.mkdir()
    place.write_bytes(b"raw bytes")
    assert data.check().codes == {"check.object_stray"}
    _raw(data, key, 9)
    checked = data.check()
    assert checked.findings == []
    assert "1 raw content" in {hop.hop: hop.compared for hop in checked.hops}["store"]
    place.write_bytes(b"raw")
    (finding,) = data.check().findings
    assert (finding.code, finding.node, finding.object) == ("check.object_size", data.node("film.bin"), key)
    place.unlink()
    (finding,) = data.check().findings
    assert (finding.code, finding.object) == ("check.object_missing", key)


def test_an_object_of_an_upload_under_way_is_no_stray(data: Data) -> None:
    key, namespace = "z" * 32, data.one("SELECT namespace_id FROM namespaces LIMIT 1")
    place = data.path / "objects" / "zz" / key
    place.parent.mkdir()
    place.mkdir()
    (place / "00001-x").write_bytes(b"1234")
    (place / "list").write_bytes(b'[{"number": 1, "etag": "x", "size": 4}]')
    columns = "upload_id, user_id, device_id, node_id, parent_id, name, size, executable, object_key, store_upload_id, part_bytes"
    data.sql(
        f"INSERT INTO uploads (namespace_id, {columns}, part_count, state, created_us, signed_until_us, expires_us) "
        f"VALUES (?, 'u', 'u', 'd', 'f', 'p', 'n', 4, 0, ?, '', 8, 1, 'completing', 0, 0, 0)",
        namespace,
        key,
    )
    assert data.check().findings == []
    data.sql("UPDATE uploads SET state = 'done'")
    assert data.check().codes == {"check.object_stray"}


def test_a_revision_without_a_hash_needs_a_raw_object(data: Data) -> None:
    node = data.node("film.bin")
    data.sql("UPDATE revisions SET content_hash = NULL WHERE node_id = ?", node)
    assert "check.content_unknown" in data.check().codes
    _raw(data, "z" * 32, data.one("SELECT size FROM nodes WHERE node_id = ?", node))
    assert "check.content_unknown" not in data.check().codes
