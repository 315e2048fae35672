"""The metadata of one namespace, compared with itself in one state of the database: journal, nodes, revisions, possession."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from syncline.model.ids import NamespaceId
from syncline.ports.check_store import CheckedBlock, CheckedFolder, CheckedNode, CheckedRevision, CheckedRow, CheckStore
from syncline.server.check.findings import About, Finding, Tell
from syncline.server.check.folders import Folders
from syncline.server.check.journal import JournalRule
from syncline.server.check.revisions import RevisionRule
from syncline.server.check.tree import TreeRule

PAGE: Final = 2_000
BLOCKS_PAGE: Final = 10_000
TWINS_MAX: Final = 1_000
T = TypeVar("T")
K = TypeVar("K")


class Counts(Struct):
    """What was looked at so far."""

    namespaces: int = 0
    rows: int = 0
    nodes: int = 0
    live: int = 0
    revisions: int = 0
    blocks: int = 0


class Tellers(Struct, frozen=True):
    """Whom to tell what each hop finds."""

    journal: Tell
    tree: Tell
    blocks: Tell


class MetadataCheck:
    def __init__(self, store: CheckStore, tell: Tellers) -> None:
        self._store = store
        self._tell = tell
        self.counts = Counts()

    async def run(self, namespace: NamespaceId) -> None:
        """All of it within one state, so that what is committed meanwhile is not taken for damage."""
        async with self._store.steady():
            space = await self._store.namespace(namespace)
            if space is None:
                return
            self.counts.namespaces += 1
            folders = await load_folders(self._store, namespace)
            _tell(self._tell.tree, folders.cycles(About(space)))
            await self._journal(JournalRule(space, folders), namespace)
            await self._tree(TreeRule(space, folders), namespace)
            await self._revisions(RevisionRule(space, folders), namespace)
            held = await self._store.held_bytes(namespace)
            if held != space.used_bytes:
                message = f"its blocks hold {held} bytes, and {space.used_bytes} are counted against the quota"
                self._tell.blocks(About(space).finding("check.usage_wrong", message))

    async def _journal(self, rule: JournalRule, namespace: NamespaceId) -> None:
        async def page(after: int) -> Sequence[CheckedRow]:
            return await self._store.rows(namespace, after, PAGE)

        async for row in paged(page, 0, lambda row: row.entry.sequence, PAGE):
            _tell(self._tell.journal, rule.row(row))
        _tell(self._tell.journal, rule.end())
        self.counts.rows += rule.rows

    async def _tree(self, rule: TreeRule, namespace: NamespaceId) -> None:
        async def page(after: str) -> Sequence[CheckedNode]:
            return await self._store.nodes(namespace, after, PAGE)

        async for node in paged(page, "", lambda node: str(node.entry.node_id), PAGE):
            _tell(self._tell.tree, rule.node(node))
        for twins in await self._store.twins(namespace, TWINS_MAX):
            self._tell.tree(rule.twins(twins))
        _tell(self._tell.tree, rule.end())
        self.counts.nodes += rule.nodes
        self.counts.live += rule.live

    async def _revisions(self, rule: RevisionRule, namespace: NamespaceId) -> None:
        blocks = BlockStream(self._store, namespace)
        async for revision in stored_revisions(self._store, namespace):
            here = (revision.entry.node_id, revision.entry.revision)
            for orphan in await blocks.skip_to(here):
                self._tell.blocks(rule.orphan(orphan))
            _tell(self._tell.blocks, rule.begin(revision))
            await blocks.each(here, rule.block)
            _tell(self._tell.blocks, rule.finish())
        for orphan in await blocks.skip_to(None):
            self._tell.blocks(rule.orphan(orphan))
        self.counts.revisions += rule.revisions
        self.counts.blocks += rule.blocks


class BlockStream:
    """The blocks of a namespace's revisions in order, a page at a time, to be taken revision by revision."""

    def __init__(self, store: CheckStore, namespace: NamespaceId) -> None:
        self._store = store
        self._namespace = namespace
        self._page: Sequence[CheckedBlock] = ()
        self._at = 0
        self._after = ("", 0, -1)
        self._ended = False

    async def each(self, here: tuple[str, int], take: Callable[[CheckedBlock], None]) -> None:
        """Gives the blocks of this revision, which come next."""
        while (block := await self._next()) is not None and (block.node, block.revision) == here:
            take(block)
            self._at += 1

    async def skip_to(self, here: tuple[str, int] | None) -> list[CheckedBlock]:
        """Passes over what comes before this revision (None: all); the first block of each revision passed."""
        passed: list[CheckedBlock] = []
        while (block := await self._next()) is not None and (here is None or (block.node, block.revision) < here):
            if not passed or (passed[-1].node, passed[-1].revision) != (block.node, block.revision):
                passed.append(block)
            self._at += 1
        return passed

    async def _next(self) -> CheckedBlock | None:
        if self._at == len(self._page) and not self._ended:
            self._page, self._at = await self._store.blocks(self._namespace, self._after, BLOCKS_PAGE), 0
            self._ended = len(self._page) < BLOCKS_PAGE
            if self._page:
                last = self._page[-1]
                self._after = (last.node, last.revision, last.index)
        return self._page[self._at] if self._at < len(self._page) else None


async def load_folders(store: CheckStore, namespace: NamespaceId) -> Folders:
    async def page(after: str) -> Sequence[CheckedFolder]:
        return await store.folders(namespace, after, PAGE)

    folders = Folders(namespace)
    async for folder in paged(page, "", lambda folder: str(folder.id), PAGE):
        folders.add(folder)
    return folders


def stored_revisions(store: CheckStore, namespace: NamespaceId) -> AsyncIterator[CheckedRevision]:
    async def page(after: tuple[str, int]) -> Sequence[CheckedRevision]:
        return await store.revisions(namespace, after, PAGE)

    return paged(page, ("", 0), lambda one: (str(one.entry.node_id), one.entry.revision), PAGE)


async def paged(read: Callable[[K], Awaitable[Sequence[T]]], after: K, key: Callable[[T], K], limit: int) -> AsyncIterator[T]:
    """Every item of pages that are read one after another; a page shorter than `limit` is the last."""
    while True:
        page = await read(after)
        for item in page:
            yield item
        if len(page) < limit:
            return
        after = key(page[-1])


def _tell(tell: Tell, findings: Iterable[Finding]) -> None:
    for finding in findings:
        tell(finding)
