"""How much lies where: the folders below a path with what is in them, mounted namespaces among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syncline.model.errors import InvalidRequest
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.metadata_store import MetadataStore
from syncline.ports.view_store import FolderSize, ViewStore
from syncline.protocol.views import FolderUsage, HeldFor, UsageAnswer
from syncline.server.caller import Caller
from syncline.server.views.places import Places

DEPTH_MAX: Final = 8


class UsageView:
    def __init__(self, places: Places, store: MetadataStore, views: ViewStore) -> None:
        self._places = places
        self._store = store
        self._views = views

    async def usage(self, caller: Caller, path: str, *, depth: int, held: bool) -> UsageAnswer:
        """Raises `NotFound`, `InvalidRequest`."""
        if not 0 <= depth <= DEPTH_MAX:
            raise InvalidRequest(message=f"A depth is 0 to {DEPTH_MAX}")
        scope = await self._places.find(caller, path)
        if held and not scope.is_top:
            raise InvalidRequest(message="What bytes are held for is told of / and of shared folders as a whole")
        heads = await self._places.heads(caller)
        sizes = await self._views.sizes(scope.namespace, scope.node, depth)
        folders = added_up(sizes, scope.path)
        whole = folders[0]
        if whole.folders == whole.files == 0 and not scope.is_top:
            await self._as_file(caller, scope.path, whole)
        if heads[scope.namespace].is_root:
            mounts = await self._places.mounts(caller, heads)
            for namespace, place in mounts.items():
                if place.startswith(scope.path.rstrip("/") + "/"):
                    _add_mount(folders, await self._mounted(namespace, place, scope.path, depth), place)
        below = sorted(folders[1:], key=lambda one: (-one.bytes, one.path))
        usage = await self._store.usage(caller.user_id)
        return UsageAnswer(
            path=scope.path,
            bytes=whole.bytes,
            files=whole.files,
            folders=whole.folders,
            entries=below[:BATCH_MAX],
            left_out=max(0, len(below) - BATCH_MAX),
            held=await self._held(scope.namespace) if held else None,
            used_bytes=usage.used_bytes,
            quota_bytes=usage.quota_bytes,
        )

    async def _as_file(self, caller: Caller, path: str, whole: FolderUsage) -> None:
        """A path may lead to a file, which is as large as it is."""
        found = (await self._places.entry(caller, path)).entry
        if found is not None and found.kind.value == "file":
            whole.bytes, whole.files = found.size, 1

    async def _mounted(self, namespace: NamespaceId, place: str, top: str, depth: int) -> list[FolderUsage]:
        """A mounted namespace's folders; the first is the mount. Deeper than `depth` there is nothing but its sum."""
        level = place.count("/") - top.rstrip("/").count("/")
        folders = added_up(await self._views.sizes(namespace, NodeId(namespace), max(0, depth - level)), place)
        for folder in folders:
            folder.depth += level
        folders[0].mount = True
        return [folder for folder in folders if folder.depth <= depth] or folders[:1]

    async def _held(self, namespace: NamespaceId) -> HeldFor:
        shares = await self._views.shares(namespace)
        return HeldFor(
            live_bytes=shares.live_bytes,
            version_bytes=shares.version_bytes,
            trash_bytes=shares.trash_bytes,
            pending_bytes=shares.pending_bytes,
        )


def added_up(sizes: Sequence[FolderSize], path: str) -> list[FolderUsage]:
    """Folders with all that is below them, the top one first. A folder's own part includes what is deeper than was asked for."""
    by_id = {size.folder: size for size in sizes}
    usages: dict[NodeId, FolderUsage] = {}
    for size in sorted(sizes, key=lambda one: one.level):
        above = usages.get(size.parent)
        place = path if size.level == 0 or above is None else f"{above.path.rstrip('/')}/{size.name}"
        usages[size.folder] = FolderUsage(path=place, bytes=size.size, files=size.files, folders=size.folders, depth=size.level)
    for size in sorted(sizes, key=lambda one: -one.level):
        if size.level > 0 and size.parent in by_id:
            _add(usages[size.parent], usages[size.folder], itself=1)
    return list(usages.values())


def _add(above: FolderUsage, below: FolderUsage, *, itself: int) -> None:
    above.bytes += below.bytes
    above.files += below.files
    above.folders += below.folders + itself


def _add_mount(folders: list[FolderUsage], mounted: list[FolderUsage], place: str) -> None:
    """Adds a mount's sum to the folders above it, and itself in the place of the empty folder it stands on."""
    for folder in folders:
        if place.startswith(folder.path.rstrip("/") + "/"):
            _add(folder, mounted[0], itself=0)
    standing = {folder.path for folder in folders}
    if place in standing:
        folders[:] = [folder for folder in folders if folder.path != place] + mounted
