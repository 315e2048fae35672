"""A metadata service on a real database or in memory, with people, blocks and a clock one can set."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, update

from syncline.adapters.sql.possession import condemn
from syncline.adapters.sql.schema import block_copies, members
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.blocks import Codec, PackEntry
from syncline.model.entries import Access, Kind
from syncline.model.errors import CommitRefused
from syncline.model.ids import EMPTY_DIGEST, DeviceId, Digest, NamespaceId, NodeId, PackId, UserId, ulid
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, chain_over, node_term, root_text
from syncline.model.paths import FOLDED_KEYS
from syncline.ports.account_store import User
from syncline.ports.clock import Ids
from syncline.ports.pack_store import PackRow
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.changes import Entry
from syncline.protocol.commits import Change, CommitAnswer, CommitRequest, Failure, Op
from syncline.server.caller import Caller
from syncline.server.metadata.service import CursorCodec, Metadata
from syncline.testing.server_store import MemoryStores

START_US = 1_790_000_000_000_000
DAY_US = 24 * 3600 * 1_000_000


class Machine:
    """A clock that ticks a millisecond at each look, and chance that counts."""

    def __init__(self) -> None:
        self.time_us = START_US
        self.drawn = 0

    def now_us(self) -> int:
        self.time_us += 1000
        return self.time_us

    def monotonic_s(self) -> float:
        return self.time_us / 1e6

    def token(self, size_bytes: int) -> bytes:
        self.drawn += 1
        return hashlib.shake_128(b"%d" % self.drawn).digest(size_bytes)

    def fraction(self) -> float:
        return 0.5


_template: list[Path] = []
_keys = itertools.count()


async def fresh_database(path: Path, factory: pytest.TempPathFactory) -> None:
    """A new database at `path`; its schema is made once a run and copied."""
    if not _template:
        made = factory.mktemp("template") / "metadata.db"
        stores = await open_stores(made)
        await stores.close()
        _template.append(made)
    shutil.copy(_template[0], path)


def digest(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


class World:
    """One server. Ids are drawn by `id()`; `node` names them, so tests can speak of nodes by a letter."""

    def __init__(self, stores: Stores | MemoryStores, machine: Machine, path: Path | None = None) -> None:
        self.path = path
        self.machine = machine
        self.ids = Ids(machine, machine)
        self.stores = stores
        self.committed: list[tuple[NamespaceId, int]] = []
        self.metadata = Metadata(
            stores.metadata, CursorCodec(bytes(32)), machine, self.ids, lambda *head: self.committed.append(head)
        )
        self.named: dict[str, NodeId] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, where: Path | str) -> AsyncIterator[World]:
        """Over SQLite's database at a path, or PostgreSQL's at a URL."""
        machine = Machine()
        stores = await open_stores(where, clock=machine, ids=Ids(machine, machine))
        try:
            yield cls(stores, machine, where if isinstance(where, Path) else None)
        finally:
            await stores.close()

    @classmethod
    def in_memory(cls) -> World:
        machine = Machine()
        return cls(MemoryStores(Ids(machine, machine)), machine)

    def id(self, name: str) -> NodeId:
        """The node id that stands for `name`."""
        if name not in self.named:
            self.named[name] = NodeId(ulid(START_US // 1000, hashlib.sha256(name.encode()).digest()[:10]))
        return self.named[name]

    async def person(self, name: str, quota_bytes: int | None = None, *, name_keys: int = FOLDED_KEYS) -> Member:
        user = UserId(self.ids.fresh())
        namespace = NamespaceId(self.ids.fresh())
        await self.stores.accounts.add_user(
            User(
                id=user,
                email=f"{name}@example.org",
                name=name,
                password_hash="",
                root_namespace=namespace,
                created_us=self.machine.now_us(),
                quota_bytes=quota_bytes,
            ),
            name_keys=name_keys,
        )
        return Member(self, Caller(user, DeviceId(self.ids.fresh())), namespace)

    # -- What workers and sharing will do, and no door does yet ----------------------------------------------------------------

    async def join(self, user: UserId, namespace: NamespaceId, access: Access = Access.READ) -> None:
        """Makes someone a member of another's namespace."""
        if isinstance(self.stores, MemoryStores):
            self.stores.set_access(namespace, user, access)
        else:
            row = {"namespace_id": namespace, "user_id": user, "access": access.value, "since_us": 1}
            await self._write(insert(members).values(**row))

    async def verify(self, pack: str) -> None:
        """The pack's copies were read and are what they claim to be."""
        if isinstance(self.stores, MemoryStores):
            self.stores.verify(PackId(pack))
        else:
            verified = update(block_copies).where(block_copies.c.pack_id == pack).values(state="verified")
            await self._write(verified)

    async def condemn(self, namespace: NamespaceId, block: Digest) -> None:
        """The block waits for removal."""
        if isinstance(self.stores, MemoryStores):
            self.stores.condemn(namespace, block)
        else:
            await self._work(lambda connection: condemn(connection, namespace, [bytes.fromhex(block)], 1))

    async def _write(self, statement: Any) -> None:
        await self._work(lambda connection: connection.execute(statement))

    async def _work(self, work: Callable[[Connection], Any]) -> None:
        assert isinstance(self.stores, Stores)
        await self.stores.database.write(work)


class Member:
    """A person at one device in one namespace, and what they can ask for."""

    def __init__(self, world: World, caller: Caller, namespace: NamespaceId) -> None:
        self.world = world
        self.caller = caller
        self.namespace = namespace
        self.root = NodeId(namespace)

    # -- Saying changes ---------------------------------------------------------------------------------------------------

    def parent(self, name: str | None) -> NodeId:
        return self.root if name is None else self.world.id(name)

    def mkdir(self, node: str, parent: str | None = None, name: str | None = None) -> Change:
        return Change(op=Op.CREATE, node_id=self.world.id(node), parent_id=self.parent(parent), name=name or node, kind=Kind.DIR)

    def create(self, node: str, parent: str | None = None, name: str | None = None, data: bytes = b"", **fields: Any) -> Change:
        return Change(
            op=Op.CREATE,
            node_id=self.world.id(node),
            parent_id=self.parent(parent),
            name=name or node,
            kind=Kind.FILE,
            **(content(data) | fields),
        )

    def edit(self, node: str, base: int | None, data: bytes | None = None, **fields: Any) -> Change:
        given = {} if data is None else content(data)
        return Change(op=Op.EDIT, node_id=self.world.id(node), base_revision=base, **(given | fields))

    def move(self, node: str, parent: str | None = None, name: str | None = None, **fields: Any) -> Change:
        return Change(op=Op.MOVE, node_id=self.world.id(node), parent_id=self.parent(parent), name=name or node, **fields)

    def delete(self, node: str, base: int | None = None, **fields: Any) -> Change:
        return Change(op=Op.DELETE, node_id=self.world.id(node), base_revision=base, **fields)

    def undelete(self, node: str, **fields: Any) -> Change:
        return Change(op=Op.UNDELETE, node_id=self.world.id(node), **fields)

    # -- Doing ------------------------------------------------------------------------------------------------------------

    async def put(self, *pieces: bytes, state: str = "claimed") -> list[Digest]:
        """Uploads blocks into this namespace."""
        now_us = self.world.machine.now_us()
        pack = PackId(self.world.ids.fresh())
        row = PackRow(
            id=pack,
            namespace=self.namespace,
            user=self.caller.user_id,
            object_key=pack.lower(),
            size=1,
            sha256=digest(pack.encode()),
            wrapped_key=b"k",
            state="granted",
            expires_us=now_us,
            created_us=now_us,
        )
        entries = [PackEntry(digest(piece), 0, len(piece), len(piece), Codec.RAW) for piece in pieces]
        await self.world.stores.packs.add_packs([(row, entries)])
        await self.world.stores.packs.finish([pack], now_us)
        return [entry.hash for entry in entries]

    async def commit(self, *changes: Change, key: str | None = None, **fields: Any) -> CommitAnswer:
        request = CommitRequest(namespace=self.namespace, changes=list(changes), **fields)
        return await self.world.metadata.commit(self.caller, request, key or f"key {next(_keys)}")

    async def refused(self, *changes: Change) -> dict[int, Failure]:
        """The failures of a changeset that must be refused, by index; and that nothing came of it."""
        before = await self.entries()
        with pytest.raises(CommitRefused) as caught:
            await self.commit(*changes)
        assert await self.entries() == before
        failures = [msgspec.convert(failure, Failure) for failure in caught.value.fields["failures"]]
        assert failures
        return {failure.index: failure for failure in failures}

    async def refused_codes(self, *changes: Change) -> dict[int, str]:
        return {index: failure.code for index, failure in (await self.refused(*changes)).items()}

    # -- Looking ----------------------------------------------------------------------------------------------------------

    async def entries(self, cursor: str | None = None, limit: int = 1000) -> list[Entry]:
        found: list[Entry] = []
        while True:
            page = await self.world.metadata.changes(self.caller, self.namespace, cursor, limit)
            found += page.entries
            cursor = page.cursor
            if not page.has_more:
                return found

    async def rows(self) -> list[JournalEntry]:
        return [entry.row() for entry in await self.entries()]

    async def tree(self) -> dict[str, str]:
        """Live paths, each with the name of its node."""
        names = {node_id: name for name, node_id in self.world.named.items()}
        nodes = {entry.node_id: entry for entry in await self.live()}
        found: dict[str, str] = {}
        for entry in nodes.values():
            path, at = entry.name, entry.parent_id
            while at != self.root:
                path, at = f"{nodes[at].name}/{path}", nodes[at].parent_id
            found[path] = names.get(entry.node_id, entry.node_id)
        return found

    async def live(self, limit: int = 1000) -> list[Entry]:
        entries: list[Entry] = []
        page = None
        while True:
            answer = await self.world.metadata.snapshot(self.caller, self.namespace, page, limit)
            entries += answer.entries
            page = answer.next
            if page is None:
                return entries

    async def check(self) -> None:
        """The journal alone explains everything: its chain, its roots, and the live tree, recomputed from nothing."""
        rows = await self.rows()
        assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
        latest = await self.world.metadata.latest(self.caller, self.namespace)
        assert chain_over(EMPTY_CHAIN, rows) == latest.chain
        state: dict[NodeId, JournalEntry] = {}
        for row in rows:
            state[row.node_id] = row
            if row.mount:
                _carry_off(state, row.node_id)
        live = {node_id: row for node_id, row in state.items() if not row.deleted}
        assert {entry.node_id: entry.row() for entry in await self.live()} == live
        total = sum(
            node_term(row.node_id, row.parent_id, row.name, row.kind, row.executable, row.content_hash) for row in live.values()
        )
        assert root_text(total) == latest.root


def _carry_off(state: dict[NodeId, JournalEntry], folder: NodeId) -> None:
    """A folder that becomes a shared one takes all below it along."""
    for node in [node for node, row in state.items() if row.parent_id == folder and not row.mount]:
        _carry_off(state, node)
        del state[node]


def content(data: bytes | Sequence[bytes]) -> dict[str, Any]:
    """The content fields of a file of one block (or of several)."""
    pieces = [data] if isinstance(data, bytes) else list(data)
    whole = b"".join(pieces)
    blocks = [digest(piece) for piece in pieces if piece]
    return {"content_hash": digest(whole) if whole else EMPTY_DIGEST, "size": len(whole), "blocks": blocks, "cut": "test-1"}


def ref(member: Member, node: str, revision: int) -> RevisionRef:
    return RevisionRef(node_id=member.world.id(node), revision=revision)
