"""The check of the disk, where it gives names back in another spelling than the tree's."""

from __future__ import annotations

from random import Random

import pytest
from tests.unit.observe.world import WoundClock

from syncline.client.trees.trees import Trees
from syncline.client.verify.disk import DiskCheck
from syncline.client.verify.held import Held
from syncline.client.verify.report import Notebook
from syncline.model.entries import Kind, LocalNode
from syncline.model.ids import NamespaceId, NodeId, ulid
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.profile import DiskProfile, Names

ROOT = NamespaceId(ulid(1, bytes(10)))
COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


@pytest.mark.parametrize(
    ("names", "codes"), [("nfd", set()), ("insensitive", set()), ("sensitive", {"verify.not_in_tree", "verify.not_on_disk"})]
)
def test_a_name_that_the_disk_finds_under_both_spellings_is_one(names: Names, codes: set[str]) -> None:
    disk = SimDisk(Random(1), WoundClock(), DiskProfile(names=names))
    disk.user.write(DECOMPOSED, b"text")
    files, trees, notes = disk.files(), Trees(ROOT), Notebook(deep=False)
    [stat] = files.list_folder("")
    node = LocalNode(id=NodeId("1" * 26), parent=NodeId(ROOT), name=COMPOSED, kind=Kind.FILE, signature=stat.signature, links=1)
    trees.put_local(node)
    check = DiskCheck(files, Held(trees=trees, cursors=[], seen_until_ns=1 << 62), notes, (), lambda: False)
    check.check()
    assert {finding.code for finding in notes.report.findings} == codes
    assert [to_read.path for to_read in check.to_read] == ([] if codes else [COMPOSED])
