"""Each kind of damage, planted in a real device or its server, is named by its code and path; a sound device gives nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.unit.verify.conftest import DeviceAtRest, finding, left, named

from syncline.adapters.disk.files import LinuxFiles
from syncline.app import verifying
from syncline.ports.local_files import Stat

FILM = "docs/deep/film.bin"


@pytest.mark.parametrize("deep", [False, True])
async def test_a_sound_device_has_no_findings_and_says_what_was_compared(device: DeviceAtRest, deep: bool) -> None:
    before = device.world.home.state_db.read_bytes()
    report = await device.verify(deep=deep)
    assert (report.findings, report.pending, report.lost) == ([], [], None)
    hops = {hop.hop: hop for hop in report.hops}
    assert list(hops) == (["disk", "content", "trees", "server", "manifests"] if deep else ["disk", "trees", "server"])
    assert {hop.verdict for hop in report.hops} == {"ok"}
    assert hops["disk"].compared.startswith("7 entries")
    assert hops["server"].compared.startswith("the Merkle root of 7 remote nodes")
    if deep:
        assert hops["manifests"].compared.startswith("manifests of 5 files")
        assert device.progress[-1].bytes == device.progress[-1].bytes_total > 3_000_000
        assert device.progress[-1].files == 5
    assert device.world.home.state_db.read_bytes() == before


# -- disk ↔ local tree -----------------------------------------------------------------------------------------------------------


async def test_an_entry_lost_from_the_local_tree_is_named(device: DeviceAtRest) -> None:
    device.sql("DELETE FROM local WHERE name = 'plan.md'")
    report = await device.verify()
    assert named(report) == {"verify.not_in_tree": {"docs/plan.md"}}
    assert "was in sync" in report.findings[0].message


async def test_an_entry_of_the_local_tree_that_is_not_on_the_disk_is_named(device: DeviceAtRest) -> None:
    device.sql("INSERT INTO local SELECT 'ghost', parent, 'ghost.md', kind, device, 1, size, 1, 1, 1, content_hash, 0, 0 "
               "FROM local WHERE name = 'plan.md'")  # fmt: skip
    assert named(await device.verify()) == {"verify.not_on_disk": {"docs/ghost.md"}}


@pytest.mark.parametrize(("column", "word"), [("inode", "inode"), ("size", "size"), ("mtime_ns", "mtime"), ("ctime_ns", "ctime")])
async def test_a_changed_signature_is_named(device: DeviceAtRest, column: str, word: str) -> None:
    device.sql(f"UPDATE local SET {column} = {column} + 1 WHERE name = 'plan.md'")
    report = await device.verify()
    assert named(report) == {"verify.signature_differs": {"docs/plan.md"}}
    assert f"its {word} on the disk" in report.findings[0].message


async def test_another_device_number_is_another_boot_and_no_damage(device: DeviceAtRest) -> None:
    device.sql("UPDATE local SET device = device + 1")
    assert (await device.verify(deep=True)).findings == []


async def test_another_kind_than_on_the_disk_is_named(device: DeviceAtRest) -> None:
    for tree in ("local", "synced", "remote"):
        device.sql(f"UPDATE {tree} SET kind = 1 - kind WHERE name = 'letter.txt'")
    assert named(await device.verify())["verify.kind_differs"] == {"letter.txt"}


async def test_what_the_device_may_not_have_seen_yet_is_work_and_no_damage(own: DeviceAtRest) -> None:
    own.long_ago = False
    (own.folder / "new.txt").write_bytes(b"new")
    (own.folder / "letter.txt").write_bytes(b"changed")
    (own.folder / "docs" / "copy.md").unlink()
    (own.folder / "empty").unlink()
    (own.folder / "empty").mkdir()
    report = await own.verify(deep=True)
    assert report.findings == []
    assert left(report) == {
        "verify.new": {"new.txt"},
        "verify.changed": {"letter.txt", "empty"},
        "verify.gone": {"docs/copy.md"},
    }


async def test_what_is_never_synced_is_nobodys_business(own: DeviceAtRest) -> None:
    (own.folder / ".DS_Store").write_bytes(b"junk")
    (own.folder / "link").symlink_to("letter.txt")
    (own.folder / "a\\b").write_bytes(b"no name")
    (own.folder / "other" / ".syncline").mkdir(parents=True)
    (own.folder / "other" / ".syncline" / "root-id").write_text("another root\n")
    (own.folder / "other" / "its own.txt").write_bytes(b"synced by somebody else")
    (own.folder / "built").mkdir()
    (own.folder / "built" / ".synclineignore").write_text("*.o\n")
    (own.folder / "built" / "x.o").write_bytes(b"object")
    (own.folder / "docs" / "plan.md").unlink()
    (own.folder / "docs" / "plan.md").symlink_to("copy.md")
    report = await own.verify()
    assert named(report) == {"verify.not_in_tree": {"built"}}
    assert left(report) == {"verify.changed": {"docs/plan.md"}}


async def test_rules_that_changed_since_make_work_and_no_damage(own: DeviceAtRest) -> None:
    """An old file counts from now on, because of a young line in a file beside it."""
    (own.folder / ".synclineignore").write_text("*.log\n")
    (own.folder / "old.log").write_bytes(b"old")
    async with own.world.served():
        await own.world.sync()
    assert (await own.verify()).findings == []
    with (own.folder / ".synclineignore").open("r+") as rules:
        rules.write("*.tmp\n")
    looked_ns = (own.folder / ".synclineignore").stat().st_ctime_ns - 1
    own.long_ago = False
    written_ns = looked_ns + verifying.UNSEEN_NS
    os.utime(own.world.home.state_db, ns=(written_ns, written_ns))
    report = await own.verify()
    assert report.findings == []
    assert left(report) == {"verify.new": {"old.log"}, "verify.changed": {".synclineignore"}}


async def test_while_paused_nobody_looks(own: DeviceAtRest) -> None:
    (own.folder / "letter.txt").write_bytes(b"changed")
    own.world.home.remember_paused(True)
    report = await own.verify()
    assert (report.findings, left(report)) == ([], {"verify.changed": {"letter.txt"}})
    own.world.home.remember_paused(False)
    assert named(await own.verify()) == {"verify.signature_differs": {"letter.txt"}}


class BadSector(LinuxFiles):
    """A disk that cannot read one folder's entries and one file's bytes any more."""

    def list_folder(self, path: str) -> list[Stat]:
        if path == "docs/deep":
            raise OSError(errno.EIO, "Input/output error")
        return super().list_folder(path)

    def open_read(self, path: str) -> BinaryIO:
        if path == "letter.txt":
            raise OSError(errno.EIO, "Input/output error")
        return super().open_read(path)


async def test_what_cannot_be_read_is_not_proven(device: DeviceAtRest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "LinuxFiles", BadSector)
    assert named(await device.verify()) == {"verify.unreadable": {"docs/deep"}}
    assert named(await device.verify(deep=True)) == {"verify.unreadable": {"docs/deep", "letter.txt"}}


# -- bytes -----------------------------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    """One bit, the modification time put back: as far as a person's means go."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(found.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


async def test_a_flipped_bit_under_an_equal_signature_is_bit_rot(own: DeviceAtRest) -> None:
    _flip(own.folder / FILM)
    own.sql("UPDATE local SET ctime_ns = ? WHERE name = 'film.bin'", (own.folder / FILM).stat().st_ctime_ns)
    assert named(await own.verify()) == {}
    report = await own.verify(deep=True)
    assert named(report) == {"verify.bit_rot": {FILM}}
    assert "syncline get" in report.findings[0].advice


async def test_a_flipped_bit_with_its_times_put_back_is_named(own: DeviceAtRest) -> None:
    _flip(own.folder / FILM)
    own.long_ago = False
    report = await own.verify(deep=True)
    assert named(report) == {"verify.content_changed": {FILM}}
    assert left(report) == {"verify.changed": {FILM}}


async def test_a_changed_hash_in_the_local_tree_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE local SET content_hash = zeroblob(32) WHERE name = 'film.bin'")
    report = await device.verify(deep=True)
    assert named(report) == {"verify.bit_rot": {FILM}}
    assert left(report) == {"verify.unsent": {FILM}}


async def test_only_what_was_asked_for_is_read(own: DeviceAtRest) -> None:
    _flip(own.folder / FILM)
    own.sql("UPDATE local SET ctime_ns = ? WHERE name = 'film.bin'", (own.folder / FILM).stat().st_ctime_ns)
    report = await own.verify("docs/plan.md", "letter.txt", deep=True)
    assert report.findings == []
    assert [hop.compared.split(" ")[0] for hop in report.hops[:2]] == ["2", "2"]
    assert named(await own.verify("docs/deep", deep=True)) == {"verify.bit_rot": {FILM}}


# -- local ↔ synced ↔ remote -------------------------------------------------------------------------------------------------------


async def test_a_removed_base_is_work_that_is_named(device: DeviceAtRest) -> None:
    device.sql("DELETE FROM synced WHERE name = 'plan.md'")
    report = await device.verify()
    assert report.findings == []
    assert left(report) == {"verify.unagreed": {"docs/plan.md"}}


async def test_a_removed_folder_leaves_what_lay_in_it_without_one(device: DeviceAtRest) -> None:
    device.sql("DELETE FROM synced WHERE name = 'deep'")
    assert named(await device.verify()) == {"verify.parent_missing": {FILM}}


async def test_a_folder_inside_itself_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET parent = ? WHERE name = 'docs'", device.node("deep"))
    assert named(await device.verify()) == {"verify.tree_cycle": {"docs", "docs/deep"}}


async def test_two_nodes_at_one_place_are_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET name = 'plan.md' WHERE name = 'copy.md'")
    report = await device.verify()
    assert set(named(report)) == {"verify.name_taken"}
    assert finding(report, "verify.name_taken").path == "docs/plan.md"


async def test_a_node_that_is_no_child_of_a_folder_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET parent = ? WHERE name = 'plan.md'", device.node("letter.txt"))
    assert named(await device.verify()) == {"verify.parent_missing": {"docs/plan.md"}}


async def test_a_base_ahead_of_the_server_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET revision = 9 WHERE name = 'letter.txt'")
    assert named(await device.verify()) == {"verify.synced_ahead": {"letter.txt"}}


async def test_one_revision_with_two_contents_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET content_hash = zeroblob(32) WHERE name = 'letter.txt'")
    report = await device.verify()
    assert named(report) == {"verify.synced_differs": {"letter.txt"}}
    assert left(report) == {"verify.unsent": {"letter.txt"}}


async def test_a_node_with_two_kinds_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET kind = 1 - kind WHERE name = 'empty'")
    assert named(await device.verify()) == {"verify.kind_differs": {"empty"}}


async def test_nodes_that_differ_are_work(device: DeviceAtRest) -> None:
    device.sql("UPDATE synced SET revision = 0 WHERE name = 'plan.md'")
    device.sql("UPDATE synced SET name = 'old.bin' WHERE name = 'film.bin'")
    device.sql("DELETE FROM synced WHERE name = 'letter.txt'")
    device.sql("DELETE FROM remote WHERE name = 'letter.txt'")
    report = await device.verify()
    assert left(report) == {
        "verify.unfetched": {"docs/plan.md"},
        "verify.both_changed": {FILM},
        "verify.unsent": {"letter.txt"},
    }


# -- remote ↔ server -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("UPDATE remote SET name = 'plan2.md' WHERE name = 'plan.md'", "verify.remote_differs"),
        ("UPDATE remote SET content_hash = zeroblob(32) WHERE name = 'plan.md'", "verify.remote_differs"),
        ("UPDATE remote SET executable = 1 WHERE name = 'plan.md'", "verify.remote_differs"),
        ("DELETE FROM remote WHERE name = 'plan.md'", "verify.remote_missing"),
    ],
)
async def test_a_remote_tree_that_is_not_the_servers_is_named(device: DeviceAtRest, damage: str, code: str) -> None:
    device.sql(damage)
    assert named(await device.verify())[code] == {"docs/plan.md"}


async def test_a_node_that_the_server_does_not_have_is_named(device: DeviceAtRest) -> None:
    values = "namespace, parent, 'ghost.md', kind, revision, content_hash, size, executable, mtime_us, mount"
    device.sql(f"INSERT INTO remote SELECT '01J00000000000000000000000', {values} FROM remote WHERE name = 'plan.md'")
    assert named(await device.verify())["verify.remote_extra"] == {"docs/ghost.md"}


async def test_a_damaged_tree_is_found_though_the_server_went_on(device: DeviceAtRest) -> None:
    """The device is behind the head: its tree is carried on in memory before it is compared."""
    await _server_goes_on(device)
    assert (await device.verify()).findings == []
    device.sql("UPDATE remote SET name = 'plan2.md' WHERE name = 'plan.md'")
    assert named(await device.verify())["verify.remote_differs"] == {"docs/plan.md"}


async def _server_goes_on(device: DeviceAtRest) -> None:
    from syncline.app.session import connected
    from syncline.model.entries import Kind
    from syncline.model.ids import NodeId
    from syncline.protocol.commits import Change, CommitRequest, Op

    root = device.world.home.credentials().root_namespace
    made = Change(op=Op.CREATE, node_id=NodeId("01J00000000000000000000001"), parent_id=NodeId(root), name="later", kind=Kind.DIR)
    async with device.world.served(), connected(device.world.home) as remote:
        await remote.commit(CommitRequest(namespace=root, changes=[made]), key="later")


async def test_a_root_that_the_server_did_not_give_is_named(device: DeviceAtRest) -> None:
    device.sql("UPDATE cursor SET root = ?", "0" * 64)
    assert named(await device.verify()) == {"verify.root_differs": {""}}


async def test_a_server_whose_root_lies_is_named(device: DeviceAtRest) -> None:
    device.server_sql("UPDATE namespaces SET root = zeroblob(32)")
    report = await device.verify()
    assert "verify.server_root" in named(report)
    assert "syncline admin check" in finding(report, "verify.server_root").advice


async def test_a_server_whose_tree_is_damaged_is_named_down_to_the_path(device: DeviceAtRest) -> None:
    device.server_sql("UPDATE journal SET root = zeroblob(32) WHERE sequence = (SELECT max(sequence) FROM journal)")
    device.server_sql("UPDATE namespaces SET root = zeroblob(32)")
    device.server_sql("UPDATE nodes SET name = 'plan2.md', name_key = 'plan2.md' WHERE name = 'plan.md'")
    report = await device.verify()
    assert set(named(report)) == {"verify.server_root", "verify.remote_differs"}
    assert finding(report, "verify.remote_differs").path == "docs/plan2.md"


@pytest.mark.parametrize("damage", ["UPDATE namespaces SET chain = zeroblob(32)", "UPDATE namespaces SET epoch = 'another'"])
async def test_another_history_is_named(device: DeviceAtRest, damage: str) -> None:
    device.server_sql(damage)
    if "chain" in damage:
        device.server_sql("UPDATE journal SET chain = zeroblob(32)")
    assert named(await device.verify()) == {"verify.history_differs": {""}}


async def test_without_the_server_the_rest_is_checked_and_told(device: DeviceAtRest) -> None:
    device.sql("DELETE FROM local WHERE name = 'plan.md'")
    report = await device.verify_alone(deep=True)
    assert named(report) == {"verify.not_in_tree": {"docs/plan.md"}}
    assert report.lost == "unavailable"
    assert {hop.hop: hop.verdict for hop in report.hops} == {
        "disk": "wrong",
        "content": "ok",
        "trees": "ok",
        "server": "unreachable",
        "manifests": "unreachable",
    }


# -- manifests -------------------------------------------------------------------------------------------------------------------


Plant = Callable[[DeviceAtRest], None]


def _no_copies(device: DeviceAtRest) -> None:
    device.server_sql("DELETE FROM block_copies WHERE plain_size = (SELECT max(plain_size) FROM block_copies)")


def _other_content(device: DeviceAtRest) -> None:
    device.server_sql("UPDATE revisions SET content_hash = zeroblob(32) WHERE node_id = ?", device.node("film.bin"))


def _other_sizes(device: DeviceAtRest) -> None:
    device.server_sql("UPDATE revision_blocks SET size = size + 1 WHERE block_index = 1")


def _one_block_less(device: DeviceAtRest) -> None:
    device.server_sql("DELETE FROM revision_blocks WHERE block_index = 1")


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (_no_copies, "verify.manifest_missing"),
        (_other_content, "verify.manifest_differs"),
        (_other_sizes, "verify.manifest_differs"),
        (_one_block_less, "verify.manifest_differs"),
    ],
)
async def test_a_manifest_that_does_not_serve_is_named(
    device: DeviceAtRest, plant: Callable[[DeviceAtRest], None], code: str
) -> None:
    plant(device)
    assert named(await device.verify()) == {}
    assert named(await device.verify(deep=True)) == {code: {FILM}}
