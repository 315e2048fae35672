"""Remote files without a synced folder: the tree by path, for `ls`, `mkdir`, `mv`, `rm`, and as footing for put and get.

Paths start with "/". Every change is one changeset, made against what was looked at a moment before: when somebody else was
faster the server refuses it, and that is said, never overwritten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NoReturn, Protocol

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import AlreadyExists, CommitRefused, Conflict, Forbidden, InvalidRequest, LimitExceeded, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.paths import join, name_of, parent_of, split_path
from syncline.ports.clock import Ids
from syncline.ports.remote import Remote
from syncline.ports.remote_people import RemoteDoors
from syncline.protocol.changes import Entry
from syncline.protocol.commits import Change, CommitAnswer, CommitRequest, Op
from syncline.protocol.doors import Move
from syncline.protocol.problems import from_problem

PAGES_MAX: Final = 10_000


class Overtaken(Conflict):
    """{path} was changed by somebody else meanwhile ({reason}); look at it and try again."""

    code = "remote.overtaken"


class NotAFolder(Conflict):
    """{path} is a file, not a folder."""

    code = "remote.not_a_folder"


class NotAFile(Conflict):
    """{path} is a folder, not a file."""

    code = "remote.not_a_file"


class FolderNotEmpty(Conflict):
    """{path} is a folder; delete it and everything in it with `syncline rm --recursive`."""

    code = "remote.folder"


class Found(Struct, frozen=True, kw_only=True):
    """A node at a path. The root folder of everything has no entry."""

    namespace: NamespaceId
    path: str
    entry: Entry | None

    @property
    def id(self) -> NodeId:
        return NodeId(self.namespace) if self.entry is None else self.entry.node_id

    @property
    def inside(self) -> NamespaceId:
        """The namespace of what lies in it: of a mount the shared folder's own."""
        return NamespaceId(self.entry.node_id) if self.entry is not None and self.entry.mount else self.namespace

    @property
    def needed(self) -> Entry:
        """The entry, where it cannot be the root."""
        assert self.entry is not None
        return self.entry

    @property
    def is_folder(self) -> bool:
        return self.entry is None or self.entry.kind is Kind.DIR


class RemoteTree(Remote, Protocol):
    """The server, with the plain doors to its tree."""

    @property
    def doors(self) -> RemoteDoors: ...


class RemoteFiles:
    """The tree of one account, by path."""

    def __init__(self, remote: RemoteTree, ids: Ids) -> None:
        self.remote = remote
        self.ids = ids

    async def find(self, path: str) -> Found:
        """What is at `path`. Raises `NotFound`, `InvalidName`."""
        clean = "/" + "/".join(split_path(path))
        try:
            answer = await self.remote.metadata(clean)
        except NotFound:
            raise NotFound(what=clean) from None
        return Found(namespace=answer.namespace, path=clean, entry=answer.entry)

    async def find_or_none(self, path: str) -> Found | None:
        try:
            return await self.find(path)
        except NotFound:
            return None

    async def folder(self, path: str) -> Found:
        """The folder at `path`. Raises `NotFound`, `NotAFolder`."""
        found = await self.find(path)
        if not found.is_folder:
            raise NotAFolder(path=found.path)
        return found

    async def file(self, path: str) -> Found:
        """The file at `path`. Raises `NotFound`, `NotAFile`."""
        found = await self.find(path)
        if found.is_folder:
            raise NotAFile(path=found.path)
        return found

    async def children(self, folder: Found) -> list[Entry]:
        """What is in a folder, by name."""
        entries: list[Entry] = []
        page: str | None = None
        for _ in range(PAGES_MAX):
            answer = await self.remote.children(folder.inside, folder.id, page)
            entries += answer.entries
            page = answer.next
            if page is None:
                return sorted(entries, key=lambda entry: entry.name)
        raise LimitExceeded(what=f"The listing of {folder.path}", limit=PAGES_MAX)

    async def walk(self, folder: Found) -> AsyncIterator[tuple[str, NamespaceId, Entry]]:
        """Everything below a folder: path relative to it, namespace, entry; parents first."""
        waiting = [("", folder)]
        while waiting:
            at, parent = waiting.pop()
            for entry in await self.children(parent):
                path = join(at, entry.name)
                yield path, parent.inside, entry
                if entry.kind is Kind.DIR:
                    waiting.append((path, inside(parent, entry)))

    async def make_folder(self, path: str, *, parents: bool) -> Found:
        """A new folder; with `parents` also those missing above it, and it may exist. Raises `AlreadyExists`, `NotFound`."""
        names = split_path(path)
        there = await self.find_or_none(path)
        if there is not None:
            if parents and there.is_folder:
                return there
            raise AlreadyExists(what=there.path)
        at, missing = await self._deepest(names[:-1]) if parents else (await self.folder("/" + "/".join(names[:-1])), ())
        changes, parent = [], at.id
        for name in (*missing, names[-1]):
            node = NodeId(self.ids.fresh())
            changes.append(Change(op=Op.CREATE, node_id=node, parent_id=parent, name=name, kind=Kind.DIR))
            parent = node
        await self.commit(at.inside, changes, path)
        return await self.find(path)

    async def _deepest(self, names: tuple[str, ...]) -> tuple[Found, tuple[str, ...]]:
        """The deepest folder that exists on the way down, and the names still to be made."""
        for depth in range(len(names), -1, -1):
            found = await self.find_or_none("/" + "/".join(names[:depth]))
            if found is not None:
                if not found.is_folder:
                    raise NotAFolder(path=found.path)
                return found, names[depth:]
        raise NotFound(what="/")

    async def move(self, source: str, target: str) -> Found:
        """`source` at `target`, or inside it where that is a folder. Nothing is ever replaced. Raises `AlreadyExists`."""
        what = await self.find(source)
        if what.entry is None:
            raise InvalidRequest(message="/ cannot be moved.")
        place = await self.find_or_none(target)
        into_itself = place is not None and place.id == what.id
        if place is not None and place.is_folder and not into_itself:
            target = f"{place.path.rstrip('/')}/{what.entry.name}"
            place = await self.find_or_none(target)
        if place is not None and (place.id != what.id or place.path == what.path == _clean(target)):
            raise AlreadyExists(what=place.path)
        parent, name = await self.folder(parent_of(_clean(target))), name_of(_clean(target))
        if parent.inside != what.namespace:
            await self._move_over(what, target)
            return await self.find(target)
        await self.commit(what.namespace, [_move(what.entry, parent.id, name)], target)
        return await self.find(target)

    async def _move_over(self, what: Found, target: str) -> None:
        """Into or out of a shared folder: a copy and a delete on the server, as one. Raises what stood in the way."""
        move = Move(node_id=what.id, namespace=what.namespace, to_path=_clean(target))
        moved = (await self.remote.doors.move([move], key=self.ids.fresh())).files[0]
        if moved.error is not None:
            raise from_problem({"code": moved.error, "detail": moved.detail, "what": target, "path": target, "reason": moved.error})

    async def remove(self, path: str, *, recursive: bool) -> Found:
        """Moves a file, or with `recursive` a folder and all in it, to the server's trash, or takes a shared folder out of the
        tree; what it was."""
        what = await self.find(path)
        if what.entry is None:
            raise InvalidRequest(message="/ cannot be deleted.")
        if not what.is_folder:
            change = Change(op=Op.DELETE, node_id=what.id, base_revision=what.entry.revision)
        elif what.entry.mount:
            # It only goes from this tree: what is in it stays.
            change = Change(op=Op.DELETE, node_id=what.id)
        else:
            head = await self.remote.latest(what.namespace)
            if not recursive and await self.children(what):
                raise FolderNotEmpty(path=what.path)
            change = Change(op=Op.DELETE, node_id=what.id, recursive=True, subtree_as_of=head.sequence)
        await self.commit(what.namespace, [change], what.path)
        return what

    async def commit(self, namespace: NamespaceId, changes: Sequence[Change], path: str) -> CommitAnswer:
        """One changeset. Refusals come out as `AlreadyExists`, `Forbidden`, `Overtaken` … naming `path`."""
        try:
            return await self.remote.commit(CommitRequest(namespace=namespace, changes=list(changes)), key=self.ids.fresh())
        except CommitRefused as refusal:
            _explain(refusal, path)


def _explain(refusal: CommitRefused, path: str) -> NoReturn:
    failures = refusal.fields.get("failures") or [{}]
    code, detail = str(failures[0].get("code", "refused")), str(failures[0].get("detail") or "")
    if code == "name.taken":
        raise AlreadyExists(what=path) from refusal
    if code == "access.denied":
        raise Forbidden(what=f"change {path}") from refusal
    if code in ("name.invalid", "limit.exceeded", "request.invalid", "tree.cycle"):
        raise InvalidRequest(message=f"{path}: {detail or code}.") from refusal
    raise Overtaken(path=path, reason=code) from refusal


def inside(folder: Found, entry: Entry) -> Found:
    """What `entry`, a child of `folder`, is by path."""
    return Found(namespace=folder.inside, path=f"{folder.path.rstrip('/')}/{entry.name}", entry=entry)


def _move(entry: Entry, parent: NodeId, name: str) -> Change:
    revision = entry.revision if entry.kind is Kind.FILE else None
    return Change(op=Op.MOVE, node_id=entry.node_id, base_revision=revision, parent_id=parent, name=name)


def _clean(path: str) -> str:
    return "/" + "/".join(split_path(path))
