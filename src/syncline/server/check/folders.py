"""The folders of one namespace: what paths are made of, and whether they make a tree.

A namespace's folders are held in memory while it is checked, and nothing else of it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import DEPTH_MAX
from syncline.ports.check_store import CheckedFolder
from syncline.server.check.findings import About, Finding


class Folders:
    def __init__(self, root: NamespaceId) -> None:
        self._root = NodeId(root)
        self._known: dict[NodeId, CheckedFolder] = {}

    def add(self, folder: CheckedFolder) -> None:
        self._known[folder.id] = folder

    def holds(self, folder: NodeId) -> bool:
        """Whether live nodes may lie in it."""
        known = self._known.get(folder)
        return folder == self._root or (known is not None and not known.deleted)

    def path(self, parent: NodeId, name: str) -> str:
        """Where a node lies, `/a/b`; what hangs on nothing that is known begins with `…`."""
        names = [name]
        at = parent
        while at != self._root:
            folder = self._known.get(at)
            if folder is None or len(names) > DEPTH_MAX:
                names.append("…")
                return "/".join(reversed(names))
            names.append(folder.name)
            at = folder.parent
        return "/" + "/".join(reversed(names))

    def cycles(self, about: About) -> Iterator[Finding]:
        """A finding for each live folder that lies inside itself. Each folder is walked once."""
        judged: set[NodeId] = {self._root}
        for start in self._known:
            trail: dict[NodeId, None] = {}
            at = start
            while at not in judged and at not in trail and at in self._known:
                trail[at] = None
                at = self._known[at].parent
            if at in trail:
                ring = list(trail)
                for node in ring[ring.index(at) :]:
                    folder = self._known[node]
                    if not folder.deleted:
                        message = "this folder lies inside itself, so nothing in it can be reached"
                        yield about.finding("check.tree_cycle", message, self.path(folder.parent, folder.name), node=node)
            judged.update(trail)
