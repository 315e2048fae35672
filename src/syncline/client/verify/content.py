"""The deep half of the hop disk ↔ local tree: every file is read, and its hash compared with the one it is known by.

A file whose signature is what it was and whose bytes are not was changed by nobody: the disk lost it. Blocking, for a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from syncline.client.hashing import hash_file
from syncline.client.observe.notes import shown
from syncline.client.verify.disk import ToRead
from syncline.client.verify.held import Held
from syncline.client.verify.report import Notebook, Progress, Show
from syncline.model.errors import ChangedWhileRead, SynclineError
from syncline.model.ids import Digest
from syncline.ports.local_files import LocalFiles

ROT: Final = (
    "it is not sent as an edit. `syncline get` fetches the server's copy beside it: compare the two, put the good one in its "
    "place, and look after the disk"
)
QUIET: Final = "if you did not do this, `syncline get` fetches the server's copy; else it is sent as an edit at the next look"


class ContentCheck:
    def __init__(self, files: LocalFiles, held: Held, notes: Notebook, show: Show, is_over: Callable[[], bool]) -> None:
        self._files = files
        self._held = held
        self._notes = notes
        self._show = show
        self._is_over = is_over
        self.files = 0
        self.bytes = 0
        self.unknown = 0

    def check(self, to_read: Sequence[ToRead]) -> None:
        total, total_bytes = len(to_read), sum(each.signature.size for each in to_read)
        for number, each in enumerate(to_read):
            if self._is_over():
                return
            self._file(each, lambda read, number=number: self._shown(number, total, read, total_bytes))  # type: ignore[misc]
        self._shown(total, total, 0, total_bytes)

    def _shown(self, number: int, total: int, read: int, total_bytes: int) -> None:
        self.bytes += read
        self._show(Progress(files=number, files_total=total, bytes=self.bytes, bytes_total=total_bytes))

    def _file(self, each: ToRead, passed: Callable[[int], None]) -> None:
        known = self._known(each)
        if known is None:
            self.unknown += 1
            return
        try:
            found = hash_file(self._files, each.path, each.signature, self._is_over, passed)
        except ChangedWhileRead:
            if not self._is_over():
                self._notes.left("verify.changed", shown(each.path), "it changed while it was read")
            return
        except SynclineError as error:
            advice = "correct its permissions, or look after the disk"
            self._notes.found("verify.unreadable", shown(each.path), f"{error} Nothing is proven of it.", advice)
            return
        self.files += 1
        if found != known:
            self._differs(each)

    def _known(self, each: ToRead) -> Digest | None:
        """The hash the file should have. One that is not known yet stands in the synced tree, if the file was ever in sync."""
        if each.node.content_hash is not None:
            return each.node.content_hash
        base = self._held.trees.synced.get(each.node.id)
        settled = base is not None and not each.touched and each.node.id not in self._held.trees.open
        return base.content_hash if base is not None and settled else None

    def _differs(self, each: ToRead) -> None:
        path = shown(each.path)
        if each.touched:
            message = "its bytes changed, and its size and modification time did not"
            self._notes.found("verify.content_changed", path, message, QUIET)
        elif each.node.racy:
            self._notes.left("verify.changed", path, "it was written to in the instant in which it was looked at")
        else:
            message = "its bytes are not those it was known by, and nothing says that anybody changed it: bit rot"
            self._notes.found("verify.bit_rot", path, message, ROT)
