"""The root's marker, and what the local trash promises."""

from __future__ import annotations

import os
from typing import Any

import pytest

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.plan.steps import Discard
from syncline.client.receive.apply import Applier
from syncline.model.errors import NeedsDecision, RootChanged, RootMissing
from syncline.model.ids import NodeId, is_ulid


def test_a_root_is_made_once(desk: Any) -> None:
    root_id = desk.applier.prepare_root(None)
    assert is_ulid(root_id)
    assert desk.applier.prepare_root(None) == root_id
    assert desk.applier.prepare_root(root_id) == root_id
    for folder in ("", "tmp", "trash", "stage"):
        assert (desk.root / ".syncline" / folder).stat().st_mode & 0o777 == 0o700
    desk.applier.check_root(root_id)


def test_a_root_without_its_marker_is_missing_and_not_made_anew(desk: Any) -> None:
    root_id = desk.applier.prepare_root(None)
    (desk.root / ".syncline/root-id").unlink()
    for ask in (desk.applier.check_root, desk.applier.prepare_root):
        with pytest.raises(RootMissing) as caught:
            ask(root_id)
        assert caught.value.code == "root.missing"
        assert isinstance(caught.value, NeedsDecision)
    assert not (desk.root / ".syncline/root-id").exists()


def test_what_was_removed_of_the_state_folder_is_made_again(desk: Any) -> None:
    """Somebody may empty the trash by removing it while the engine runs."""
    root_id = desk.applier.prepare_root(None)
    for folder in ("tmp", "trash", "stage"):
        (desk.root / ".syncline" / folder).rmdir()
    desk.applier.check_root(root_id)
    assert all((desk.root / ".syncline" / folder).is_dir() for folder in ("tmp", "trash", "stage"))


def test_another_root_is_told(desk: Any) -> None:
    with pytest.raises(RootChanged) as caught:
        desk.applier.prepare_root("0" * 26)
    assert caught.value.code == "root.changed"


def test_a_root_moved_away_is_missing(desk: Any) -> None:
    root_id = desk.applier.prepare_root(None)
    desk.root.rename(desk.root.with_name("gone"))
    with pytest.raises(RootMissing):
        desk.applier.check_root(root_id)
    desk.root.mkdir()
    with pytest.raises(RootMissing):
        desk.applier.check_root(root_id)


def test_a_link_in_place_of_the_state_folder_is_refused(desk: Any, tmp_path: Any) -> None:
    root = tmp_path / "other"
    root.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / ".syncline").symlink_to(outside, target_is_directory=True)
    files = LinuxFiles(root)
    with pytest.raises(RootChanged):
        Applier(files, desk.store, desk.trees, desk.ids, desk.clock).prepare_root(None)
    assert list(outside.iterdir()) == []
    files.close()


def discard(desk: Any, path: str, data: bytes) -> NodeId:
    node: NodeId = desk.known(path, data)
    assert desk.applier.disk([Discard(node=node, why="")]).done == [node]
    return node


def test_the_trash_is_emptied_by_age(desk: Any) -> None:
    discard(desk, "a", b"one")
    assert desk.applier.purge_trash(0).files == 0
    desk.clock.ahead_s = 61
    assert desk.applier.purge_trash(3600).files == 0
    purged = desk.applier.purge_trash(0)
    assert (purged.files, purged.bytes, purged.revived) == (1, 3, [])
    assert desk.hidden() == {}
    assert desk.store.inflight == {}


def test_a_writer_that_held_on_gets_a_copy_beside_the_origin(desk: Any) -> None:
    node = desk.known("d/a.txt", b"one")
    with open(desk.root / "d/a.txt", "r+b", buffering=0) as held:
        assert desk.applier.place([desk.fetched(node, b"two")]).done == [node]
        held.write(b"late")
    desk.clock.ahead_s = 3600
    purged = desk.applier.purge_trash(0)
    assert len(purged.revived) == 1
    assert desk.tree() == {"d": None, "d/a.txt": b"two", purged.revived[0]: b"late"}
    assert purged.revived[0].startswith("d/a (laptop's conflicted copy ")
    assert desk.store.inflight == {}


def test_that_holds_after_a_restart(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    with open(desk.root / "a.txt", "r+b", buffering=0) as held:
        desk.applier.place([desk.fetched(node, b"two")])
        assert desk.recover() == []
        held.write(b"late")
    desk.clock.ahead_s = 3600
    assert len(desk.applier.purge_trash(0).revived) == 1


def test_a_touched_file_whose_bytes_are_the_same_goes(desk: Any) -> None:
    discard(desk, "a", b"one")
    (path,) = (desk.root / ".syncline/trash").iterdir()
    os.utime(path)
    desk.clock.ahead_s = 3600
    assert desk.applier.purge_trash(0).files == 1


def test_contents_to_keep_stay(desk: Any) -> None:
    node = desk.known("a", b"one")
    content = desk.trees.local[node].content_hash
    desk.applier.disk([Discard(node=node, why="")])
    desk.clock.ahead_s = 3600
    assert desk.applier.purge_trash(0, keep={content}).files == 0
    assert desk.applier.purge_trash(0).files == 1


def test_a_copy_whose_folder_is_gone_comes_to_the_nearest_above(desk: Any) -> None:
    discard(desk, "d/e/a", b"one")
    (path,) = (desk.root / ".syncline/trash").iterdir()
    path.write_bytes(b"changed")
    (desk.root / "d/e").rmdir()
    desk.clock.ahead_s = 3600
    (revived,) = desk.applier.purge_trash(0).revived
    assert revived.startswith("d/a (laptop's")


def test_a_trash_whose_rows_were_lost_keeps_what_was_written_to(desk: Any) -> None:
    discard(desk, "a", b"one")
    discard(desk, "b", b"two")
    desk.store.inflight.clear()
    desk.recover()
    one, _ = sorted((desk.root / ".syncline/trash").iterdir())
    os.utime(one, (desk.clock.now_us() / 1e6 + 5,) * 2)
    desk.clock.ahead_s = 3600
    purged = desk.applier.purge_trash(0)
    assert (purged.files, len(purged.revived)) == (1, 1)


def test_strangers_in_the_trash_are_not_touched(desk: Any) -> None:
    (desk.root / ".syncline/trash/notes").write_bytes(b"x")
    desk.clock.ahead_s = 1e9
    assert desk.applier.purge_trash(0).files == 0
    assert desk.hidden() == {"trash/notes": b"x"}
