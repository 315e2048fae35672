"""Where files are to lie: paths of the caller's tree become a namespace, a folder and a name; missing folders are made.

Each folder of a batch is looked up once. Whatever is wrong with a path is that entry's own error and spoils no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import (
    CommitRefused,
    Forbidden,
    InvalidRequest,
    LimitExceeded,
    NameTaken,
    NotFound,
    SynclineError,
    Unavailable,
)
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX, DEPTH_MAX
from syncline.model.paths import split_path
from syncline.ports.clock import Ids
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

ATTEMPTS_MAX = 4
"""Somebody else may make the same folders at the same time; then they are looked up again."""

Names = tuple[str, ...]


class Folder(Struct, frozen=True):
    namespace: NamespaceId
    id: NodeId


class Place(Struct, frozen=True):
    folder: Folder
    name: str


class Placing:
    def __init__(self, metadata: Metadata, ids: Ids) -> None:
        self._metadata = metadata
        self._ids = ids

    async def places(self, caller: Caller, paths: Sequence[str]) -> list[Place | SynclineError]:
        """In order. Raises `NotFound`, `Unavailable` for what concerns them all."""
        split = [_split(path) for path in paths]
        wanted = {names[:-1] for names in split if not isinstance(names, SynclineError)}
        folders = await self._folders(caller, wanted)
        found: list[Place | SynclineError] = []
        for names in split:
            if isinstance(names, SynclineError):
                found.append(names)
                continue
            folder = folders[names[:-1]]
            found.append(folder if isinstance(folder, SynclineError) else Place(folder, names[-1]))
        return found

    async def _folders(self, caller: Caller, wanted: Iterable[Names]) -> dict[Names, Folder | SynclineError]:
        for _ in range(ATTEMPTS_MAX):
            root = (await self._metadata.latest(caller)).namespace
            search = _Search(self._metadata, self._ids, caller, Folder(root, NodeId(root)))
            for names in sorted(wanted):
                await search.find(names)
            try:
                await self._make(caller, search)
            except CommitRefused:
                continue
            return search.found
        raise Unavailable(what="The folder, which others are changing too,")

    async def _make(self, caller: Caller, search: _Search) -> None:
        """Raises `CommitRefused` where the tree has changed meanwhile."""
        for namespace, changes in search.made.items():
            try:
                access = await self._metadata.access(caller, namespace)
                if not access.may_write:
                    raise Forbidden(what="make folders")
                for start in range(0, len(changes), BATCH_MAX):
                    request = CommitRequest(namespace=namespace, changes=changes[start : start + BATCH_MAX])
                    await self._metadata.commit(caller, request, self._ids.fresh())
            except Forbidden as error:
                for names, folder in search.found.items():
                    if isinstance(folder, Folder) and folder.namespace == namespace and names in search.fresh:
                        search.found[names] = error


class _Search:
    """One walk through the tree: what was `found` by path, and the changes that would make what is missing, parents first."""

    def __init__(self, metadata: Metadata, ids: Ids, caller: Caller, root: Folder) -> None:
        self._metadata = metadata
        self._ids = ids
        self._caller = caller
        self.found: dict[Names, Folder | SynclineError] = {(): root}
        self.fresh: set[Names] = set()
        self.made: dict[NamespaceId, list[Change]] = {}

    async def find(self, names: Names) -> Folder | SynclineError:
        known = self.found.get(names)
        if known is None:
            known = self.found[names] = await self._look(names)
        return known

    async def _look(self, names: Names) -> Folder | SynclineError:
        above = await self.find(names[:-1])
        if isinstance(above, SynclineError):
            return above
        node = None
        if names[:-1] not in self.fresh:
            try:
                node = await self._metadata.child(self._caller, above.namespace, above.id, names[-1])
            except NotFound as error:
                # Mounted still, and taken away already.
                return error
        if node is None:
            return self._create(names, above)
        if node.kind is not Kind.DIR:
            return NameTaken(path="/" + "/".join(names), revision=node.revision)
        return Folder(NamespaceId(node.node_id) if node.mount else above.namespace, node.node_id)

    def _create(self, names: Names, above: Folder) -> Folder:
        node = NodeId(self._ids.fresh())
        change = Change(op=Op.CREATE, node_id=node, parent_id=above.id, name=names[-1], kind=Kind.DIR)
        self.made.setdefault(above.namespace, []).append(change)
        self.fresh.add(names)
        return Folder(above.namespace, node)


def _split(path: str) -> Names | SynclineError:
    try:
        names = split_path(path)
    except SynclineError as error:
        return error
    if len(names) > DEPTH_MAX + 1:
        return LimitExceeded(what="The depth of the path", limit=DEPTH_MAX)
    return names or InvalidRequest(message="The root folder is no file: name one")
