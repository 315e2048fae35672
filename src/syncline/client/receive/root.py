"""The synced root itself: its state folder, and the marker that tells it from any other folder at the same path.

An unmounted disk leaves an empty folder behind, and a restored backup another one: taken for the synced folder, either would read
as everything deleted. So a root that was linked must show its marker before anything in it is believed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from syncline.client.local_errors import writing_error
from syncline.model.entries import Kind
from syncline.model.errors import RootChanged, RootMissing
from syncline.model.ids import is_ulid
from syncline.model.paths import STATE_FOLDER
from syncline.ports.clock import Ids
from syncline.ports.local_files import LocalFiles

TMP: Final = f"{STATE_FOLDER}/tmp"
TRASH: Final = f"{STATE_FOLDER}/trash"
STAGE: Final = f"{STATE_FOLDER}/stage"
_WORKING: Final = (TMP, TRASH, STAGE)
MARKER: Final = f"{STATE_FOLDER}/root-id"
_MARKER_READ_BYTES: Final = 64


def prepare_root(files: LocalFiles, ids: Ids, expect_id: str | None) -> str:
    """The id of the root, its state folder made and its marker there. With `expect_id` the marker must be that one, and is never
    made anew. Raises `RootMissing`, `RootChanged`, `LocalIo`."""
    if expect_id is not None:
        check_root(files, expect_id)
    try:
        files.root_stat()
        for folder in (STATE_FOLDER, *_WORKING):
            with suppress(FileExistsError):
                files.make_folder(folder)
            if files.stat(folder).kind is not Kind.DIR:
                raise RootChanged(path=folder, reason="something else stands where Syncline keeps its state")
        found = _marker(files)
        if found is None:
            found = ids.fresh()
            _write_marker(files, f"{TMP}/{found}", found)
        elif not is_ulid(found):
            raise RootChanged(path=MARKER, reason="it does not name a root")
        files.sync_folders(["", STATE_FOLDER])
    except FileNotFoundError as error:
        raise RootMissing(path=error.filename or "", reason=error.strerror or "gone") from error
    except OSError as error:
        raise writing_error(error, STATE_FOLDER) from error
    return found


def check_root(files: LocalFiles, expect_id: str) -> None:
    """The folder at the root's path is the one that was linked. What somebody removed of its state folder while the engine runs
    (its trash, to have the room back) is made again, or nothing could be put in place any more. Raises `RootMissing`,
    `RootChanged`, `LocalIo`."""
    try:
        files.root_stat()
        found = _marker(files)
        for folder in _WORKING if found == expect_id else ():
            with suppress(FileExistsError):
                files.make_folder(folder)
    except FileNotFoundError as error:
        raise RootMissing(path=error.filename or "", reason=error.strerror or "gone") from error
    except OSError as error:
        raise writing_error(error, MARKER) from error
    if found is None:
        raise RootMissing(path=MARKER, reason="its marker is missing")
    if found != expect_id:
        raise RootChanged(path=MARKER, reason="its marker names another root")


def _marker(files: LocalFiles) -> str | None:
    try:
        with files.open_read(MARKER) as file:
            return file.read(_MARKER_READ_BYTES).decode("ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write_marker(files: LocalFiles, temporary: str, root_id: str) -> None:
    with files.create(temporary) as file:
        file.write(f"{root_id}\n".encode())
        files.sync_files([file])
    files.rename(temporary, MARKER)
