"""What keeps a file that came from being placed, and what is told of it."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

import pytest
from msgspec.structs import replace

from syncline.client.plan.steps import Fetch
from syncline.client.receive.apply import Fetched
from syncline.model.entries import Kind
from syncline.model.ids import NodeId

ROOT = NodeId("0" * 26)


def test_open_office_documents_wait(desk: Any) -> None:
    node, other = desk.known("plan.odt", b"one"), desk.known("document.docx", b"one")
    (desk.root / ".~lock.plan.odt#").write_bytes(b"me")
    (desk.root / "~$cument.docx").write_bytes(b"me")
    steps = [desk.fetched(node, b"two"), desk.fetched(other, b"two")]
    outcome = desk.applier.place(steps)
    assert [problem.code for problem in outcome.problems] == ["file.locked", "file.locked"]
    assert outcome.done == []
    (desk.root / ".~lock.plan.odt#").unlink()
    assert desk.applier.place(steps[:1]).done == [node]


def test_a_full_disk_holds_back_only_what_did_not_fit(desk: Any) -> None:
    nodes = [desk.known(f"{number}.txt", b"one") for number in range(3)]
    steps = [desk.fetched(node, b"two") for node in nodes]

    def full(one: str, other: str) -> None:
        if other == "1.txt":
            raise OSError(errno.ENOSPC, "No space left on device")

    desk.files.before["exchange"] = full
    outcome = desk.applier.place(steps)
    assert outcome.done == [nodes[0], nodes[2]]
    assert [(problem.code, problem.path) for problem in outcome.problems] == [("disk.full", "1.txt")]
    assert desk.tree() == {"0.txt": b"two", "1.txt": b"one", "2.txt": b"two"}
    assert desk.disk.stat(steps[1][1].temp_path).kind is Kind.FILE
    del desk.files.before["exchange"]
    desk.applier.place(steps[1:2])
    desk.check_no_echo()


def test_a_forbidden_folder_is_told_with_its_path(desk: Any) -> None:
    node = desk.known("d/a.txt", b"one")
    step = desk.fetched(node, b"two")

    def forbid(*_: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    desk.files.before["exchange"] = forbid
    outcome = desk.applier.place([step])
    assert [(problem.code, problem.path) for problem in outcome.problems] == [("file.unwritable", "d/a.txt")]
    assert desk.tree() == {"d": None, "d/a.txt": b"one"}


def test_a_failing_sync_holds_back_only_its_file(desk: Any) -> None:
    nodes = []
    for number in range(3):
        nodes.append(desk.fresh_id())
        desk.remote_has(nodes[-1], ROOT, f"{number}.txt", b"")
    steps = [desk.fetched(node, b"two") for node in nodes]
    bad = desk.disk.stat(steps[1][1].temp_path).signature.inode

    def fail(files: Any) -> None:
        if any(os.fstat(file.fileno()).st_ino == bad for file in files):
            raise OSError(errno.EIO, "Input/output error")

    desk.files.before["sync_files"] = fail
    outcome = desk.applier.place(steps)
    assert outcome.done == [nodes[0], nodes[2]]
    assert [problem.code for problem in outcome.problems] == ["file.io"]


@pytest.mark.parametrize("call", ["set_attributes", "fstat_signature"])
def test_a_disk_that_fails_before_the_sync_holds_back_the_file_and_closes_it(desk: Any, call: str) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    step, fetched = desk.fetched(node, b"two")
    # The same bytes came again as a newer revision while they were fetched.
    fetched = replace(fetched, revision=fetched.revision - 1) if call == "set_attributes" else fetched
    opened: list[Any] = []

    def fail(file: Any, **_: Any) -> None:
        opened.append(file)
        raise OSError(errno.EIO, "Input/output error")

    desk.files.before[call] = fail
    outcome = desk.applier.place([(step, fetched)])
    assert (outcome.done, [(problem.code, problem.path) for problem in outcome.problems]) == ([], [("file.io", "a.txt")])
    assert opened
    assert all(file.closed for file in opened)
    del desk.files.before[call]
    assert desk.applier.place([(step, fetched)]).done == [node]
    assert desk.tree() == {"a.txt": b"two"}


def test_disks_without_exchange(desk: Any) -> None:
    node = desk.known("a.txt", b"one")

    def refuse(*_: str) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    desk.files.before["exchange"] = refuse
    assert desk.applier.place([desk.fetched(node, b"two")]).done == [node]
    assert desk.tree() == {"a.txt": b"two"}
    assert list(desk.hidden().values()) == [b"one"]
    desk.check_no_echo()


def test_a_store_that_fails_loses_no_claim(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    step = desk.fetched(node, b"two")

    def fail(_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    desk.doubtful_store.before["write"] = fail
    with pytest.raises(OSError, match="full"):
        desk.applier.place([step])
    del desk.doubtful_store.before["write"]
    desk.save()
    desk.check_no_echo()


def test_a_thousand_new_files(desk: Any, capsys: Any) -> None:
    steps: list[tuple[Fetch, Fetched]] = []
    folder = desk.known("many")
    for number in range(1000):
        node = desk.fresh_id()
        desk.remote_has(node, folder, f"{number}.txt", b"")
        steps.append(desk.fetched(node, b"%d" % number))
    before = desk.store.writes
    started, processor = time.perf_counter(), time.process_time()
    outcome = desk.applier.place(steps)
    took, used = time.perf_counter() - started, time.process_time() - processor
    assert len(outcome.done) == 1000
    assert desk.store.writes == before + 2
    desk.check_no_echo()
    with capsys.disabled():
        print(f"\n1,000 placements: {took * 1e3:.0f} ms, {used * 1e3:.0f} µs of processor each")
