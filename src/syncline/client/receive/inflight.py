"""What an inflight row says, kind by kind: enough to finish or undo a side effect after a crash without guessing.

Places below `.syncline` are exact, since only Syncline moves things there. Places of the user's are where a thing stood when the
row was written, and are believed only where the inode still answers.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from syncline.model.entries import Signature
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.local_files import Stat
from syncline.ports.tree_store import InflightRow


class Mark(Struct, frozen=True, kw_only=True):
    """What a thing was when it was last looked at: its signature, spelt out."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def signature(self) -> Signature:
        return Signature(self.device, self.inode, self.size, self.mtime_ns, self.ctime_ns)


class Moving(Mark, frozen=True, kw_only=True):
    """A rename of `node` from `source` to `name` in `parent`, by way of `stage` where that is given. Without `parent` only the hop
    to the stage is known. `fresh` is a JSON list of pairs of ids. `conflict` is a `Reason`, `beside` what keeps the place;
    `left` says that what left its place was taken away by a person."""

    node: NodeId
    source: str
    stage: str | None = None
    parent: NodeId | None = None
    name: str | None = None
    new_id: NodeId | None = None
    fresh: str | None = None
    conflict: str | None = None
    beside: NodeId | None = None
    left: bool = False


class Discarding(Mark, frozen=True, kw_only=True):
    """`origin` goes to the trash as `trash`."""

    node: NodeId
    origin: str
    trash: str
    content_hash: Digest | None = None


class Arrival(Mark, frozen=True, kw_only=True):
    """A revision comes to `origin` as inode `arriving`, a file that was made at `born_ns`: once it lies there, it is the base,
    whatever the server has by then. Without `revision` (rows of older versions) nothing is known of it but the inode; without
    `born_ns` its file system tells files of one inode number not apart."""

    node: NodeId
    origin: str
    arriving: int
    namespace: NamespaceId = NamespaceId("")
    parent: NodeId = NodeId("")
    revision: int = 0
    arriving_hash: Digest | None = None
    executable: bool = False
    born_ns: int | None = None


class Arriving(Arrival, frozen=True, kw_only=True):
    """A place that is free gets a file."""


class Replacing(Arrival, frozen=True, kw_only=True):
    """The file at `origin` is exchanged with the new one, which waits at `trash`, where it then lies itself."""

    trash: str
    content_hash: Digest | None = None


class Setting(Arrival, frozen=True, kw_only=True):
    """The file at `origin` becomes `aside`, as node `aside_id`; the new one takes its place."""

    aside: str
    aside_id: NodeId


class Making(Struct, frozen=True, kw_only=True):
    """A folder of the server's is made as `name` in `parent`. Found there after a crash, it is that folder and nobody's new one."""

    node: NodeId
    namespace: NamespaceId
    parent: NodeId
    name: str


class Dressing(Mark, frozen=True, kw_only=True):
    """A file gets the executable bit the server has. Found with it after a crash, it is no edit of anybody's."""

    node: NodeId
    executable: bool


class Removing(Struct, frozen=True, kw_only=True):
    """The empty folder at `origin`, made at `born_ns`, goes, as the server's word has it. Gone after a crash, nobody here deleted
    it; `born_ns` tells it from one made there since, where the file system gives inode numbers again."""

    node: NodeId
    origin: str
    born_ns: int | None = None


class Trashed(Mark, frozen=True, kw_only=True):
    """A file in the trash, and what it was when it came: a writer that held it open may still have written since."""

    origin: str
    trash: str
    content_hash: Digest | None = None


Effect = Moving | Discarding | Making | Removing | Arriving | Replacing | Setting | Dressing | Trashed
_KINDS: Final[dict[str, type[Effect]]] = {
    "move": Moving,
    "arrive": Arriving,
    "discard": Discarding,
    "dress": Dressing,
    "make": Making,
    "remove": Removing,
    "replace": Replacing,
    "aside": Setting,
    "trash": Trashed,
}
_NAMES: Final = {effect: kind for kind, effect in _KINDS.items()}


def row_of(row_id: str, effect: Effect) -> InflightRow:
    return InflightRow(id=row_id, kind=_NAMES[type(effect)], fields=msgspec.structs.asdict(effect))


def effect_of(row: InflightRow) -> Effect | None:
    """What a row says; None for a kind this version does not know."""
    kind = _KINDS.get(row.kind)
    return None if kind is None else msgspec.convert(row.fields, kind)


def same_thing(one: Signature, other: Signature) -> bool:
    """The same inode, whatever its bytes."""
    return one.inode == other.inode and one.device == other.device


def same_bytes(one: Signature, other: Signature) -> bool:
    """The same file with the same bytes, before and after a rename (which changes nothing but the ctime)."""
    return one.inode == other.inode and one.size == other.size and one.mtime_ns == other.mtime_ns and one.device == other.device


def mark_of(stat: Stat | Signature) -> dict[str, int]:
    """The fields of a `Mark`."""
    seen = stat.signature if isinstance(stat, Stat) else stat
    return {
        "device": seen.device,
        "inode": seen.inode,
        "size": seen.size,
        "mtime_ns": seen.mtime_ns,
        "ctime_ns": seen.ctime_ns,
    }
