"""Failpoints: what they are called, that each is a real place, and that a program without one is left as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syncline.adapters import failpoints
from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.failpoints import Failpoint, parse
from syncline.adapters.http.remote import HttpRemote
from syncline.adapters.objects.disk import DiskObjects, Draft
from syncline.adapters.sql.commits import SqlCommit
from syncline.adapters.sql.metadata import SqlMetadata
from syncline.adapters.sql.packs import SqlPacks
from syncline.adapters.sql.uploads.store import SqlUploads
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.model.errors import InvalidRequest
from syncline.ports.local_files import LocalFiles
from syncline.server.notify.hub import Hub

PLACES = {
    "files": (LinuxFiles,),
    "store": (SqliteTreeStore,),
    "remote": (HttpRemote,),
    "metadata": (SqlMetadata, SqlCommit),
    "packs": (SqlPacks,),
    "uploads": (SqlUploads,),
    "objects": (DiskObjects, Draft),
    "hub": (Hub,),
}
READING = {"root_stat", "list_folder", "stat", "birth_ns", "open_read", "fstat_signature", "read_once", "free_bytes"}


def test_every_name_is_a_method_of_the_adapter_it_is_for() -> None:
    for name in failpoints.NAMES:
        room, method = name.split(".")
        assert name == "files.write" or any(hasattr(place, method) for place in PLACES[room]), name


def test_every_method_that_changes_the_disk_is_a_failpoint() -> None:
    changing = {name for name in vars(LocalFiles) if not name.startswith("_")} - READING
    assert set(failpoints.POINTS["files"]) - {"write"} == changing


def test_a_failpoint_reads_as_it_is_written() -> None:
    assert parse("files.rename:before:3=kill") == Failpoint(room="files", method="rename", nth=3)
    assert parse("metadata.write:after=stop") == Failpoint(room="metadata", method="write", after=True, act="stop")
    assert parse("hub.publish:before=kill").text == "hub.publish:before:1=kill"


@pytest.mark.parametrize("text", ["files.rename", "files.rename:before:0=kill", "files.fly:before=kill", "sky.rename:after=kill"])
def test_what_names_no_failpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="names no failpoint"):
        failpoints.arm({failpoints.VARIABLE: text}, files=object())


def test_without_one_and_for_other_rooms_nothing_is_replaced(tmp_path: Path) -> None:
    files = LinuxFiles(tmp_path)
    failpoints.arm({}, files=files)
    failpoints.arm({failpoints.VARIABLE: "store.write:before=kill"}, files=files)
    assert not {"rename", "create"} & set(vars(files))
    files.close()


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("files.rename:before:2=kill", {"one", "b"}),
        ("files.rename:after:2=kill", {"one", "two"}),
        ("files.write:before:1=kill", {"a", "b", "made"}),
    ],
)
def test_the_process_ends_at_the_pass_it_names(tmp_path: Path, point: str, left: set[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    program = """
import sys
from pathlib import Path
from syncline.adapters import failpoints
from syncline.adapters.disk.files import LinuxFiles
files = LinuxFiles(Path(sys.argv[1]))
failpoints.arm(files=files)
if sys.argv[2] == "write":
    with files.create("made") as made:
        made.write(b"bytes")
files.rename("a", "one")
files.rename("b", "two")
files.rename("one", "three")
"""
    arguments = [sys.executable, "-c", program, str(tmp_path), point.split(".")[1].split(":")[0]]
    done = subprocess.run(arguments, env={**os.environ, failpoints.VARIABLE: point}, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert {path.name for path in tmp_path.iterdir()} == left
    assert all(path.stat().st_size for path in tmp_path.iterdir() if path.name != "made")
