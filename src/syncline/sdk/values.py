"""What the client answers where the wire's own structs are not what a program thinks in: paths, counts, progress.

Everything else comes as `protocol` has it: versions, people, links, activity. All of these are frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from syncline.app.remote_files import Found
from syncline.model.entries import Kind
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.paths import name_of, parent_of
from syncline.protocol.changes import Entry
from syncline.protocol.past import PurgeResult, TravelAnswer
from syncline.protocol.views import Update

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The times of the top folder, of which nothing is recorded."""


class Item(Struct, frozen=True, kw_only=True):
    """A remote file or folder, as it stood when it was asked for.

    `size` is in bytes, 0 for folders. `mtime` is when the content was last modified where it was written, `changed` when the server
    last saw a change. `content_hash` is the SHA-256 of the content in hexadecimal; None for folders, and for a file that another
    program uploaded a moment ago. `mount` says that a shared folder lies there. `namespace` is where its journal row stands.
    """

    path: str
    kind: Kind
    size: int
    mtime: datetime
    changed: datetime
    revision: int
    content_hash: Digest | None
    executable: bool
    mount: bool
    node_id: NodeId
    namespace: NamespaceId

    @property
    def name(self) -> str:
        return name_of(self.path)

    @property
    def is_folder(self) -> bool:
        return self.kind is Kind.DIR

    @classmethod
    def of(cls, path: str, namespace: NamespaceId, entry: Entry) -> Item:
        return cls(
            path=path,
            kind=entry.kind,
            size=entry.size,
            mtime=entry.mtime,
            changed=entry.time,
            revision=entry.revision,
            content_hash=entry.content_hash,
            executable=entry.executable,
            mount=entry.mount,
            node_id=entry.node_id,
            namespace=namespace,
        )

    @classmethod
    def found(cls, found: Found) -> Item:
        if found.entry is not None:
            # Under the name it has: the same may have been asked for in another Unicode form.
            return cls.of(f"{parent_of(found.path)}/{found.entry.name}", found.namespace, found.entry)
        return cls(
            path="/",
            kind=Kind.DIR,
            size=0,
            mtime=NEVER,
            changed=NEVER,
            revision=0,
            content_hash=None,
            executable=False,
            mount=False,
            node_id=found.id,
            namespace=found.namespace,
        )


class Progress(Struct, frozen=True, kw_only=True):
    """How far a transfer is, in plain bytes of the files. `items` is how many files (of an upload: and folders) there are."""

    items: int
    total_bytes: int
    done_bytes: int


OnProgress = Callable[[Progress], None]
"""Called at the start, and whenever bytes have gone by. Must return soon: the transfer waits for it."""


class Meter:
    """Counts bytes and tells whoever wants to know."""

    def __init__(self, items: int, total_bytes: int, tell: OnProgress | None) -> None:
        self._items = items
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._tell = tell
        self(0)

    def __call__(self, count: int) -> None:
        self._done_bytes += count
        if self._tell is not None:
            self._tell(Progress(items=self._items, total_bytes=self._total_bytes, done_bytes=self._done_bytes))


class Uploaded(Struct, frozen=True, kw_only=True):
    """What an upload did: files with a new version, files that were there already, byte for byte; blocks sent, and blocks that the
    server had; `left_out` symbolic links and special files, of which there is no remote kind."""

    uploaded: int = 0
    unchanged: int = 0
    sent_blocks: int = 0
    known_blocks: int = 0
    left_out: int = 0


class Downloaded(Struct, frozen=True, kw_only=True):
    """What a download did: files that came, and files that were there already, byte for byte."""

    downloaded: int
    unchanged: int


class Copied(Struct, frozen=True, kw_only=True):
    """A copy, how many files and folders it has, and how many shared folders in it were left out."""

    item: Item
    nodes: int
    left_out: int


class Changed(Struct, frozen=True, kw_only=True):
    """What changed below a path, one entry a file or folder. `since` is for the next question: it misses nothing and repeats
    nothing."""

    path: str
    entries: list[Update]
    since: str


class Purged(Struct, frozen=True, kw_only=True):
    """How many files and folders went for good, how many bytes that freed, and what was refused, with the reason."""

    purged: int
    freed_bytes: int
    refused: list[PurgeResult]


class Undone(Struct, frozen=True, kw_only=True):
    """What an undo did in the account's own tree (`name` is empty), or in the shared folder of that name."""

    name: str
    is_root: bool
    answer: TravelAnswer
