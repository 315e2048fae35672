"""`ports.pack_store.PackStore` in memory. Packs and copies are stored once for all namespaces; each sees what it possesses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from syncline.model.blocks import PackEntry
from syncline.model.ids import Digest, NamespaceId, PackId, UserId
from syncline.ports.metadata_store import HeldBlock
from syncline.ports.pack_store import Copy, PackRow
from syncline.testing.stores.space import BrokenConstraint
from syncline.testing.stores.state import Shared, State, StoredCopy


class MemoryPacks:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def missing(self, namespace: NamespaceId, user: UserId, hashes: Sequence[Digest]) -> list[Digest]:
        await self._shared.reading()
        state = self._shared.state
        space = state.spaces.get(namespace)
        held = {} if space is None else space.held

        def possessed(stored: StoredCopy) -> bool:
            pack = state.packs[stored.copy.pack]
            sent = pack.user == user and space is not None and pack.namespace in space.served_by(stored.copy.hash)
            return pack.state == "done" and (stored.verified or sent)

        return [block for block in hashes if block not in held or not any(map(possessed, state.copies.get(block, {}).values()))]

    async def add_packs(self, packs: Sequence[tuple[PackRow, Sequence[PackEntry]]]) -> None:
        await self._shared.publish(self._shared.life, lambda: _add(self._shared.state, packs))

    async def packs(self, pack_ids: Sequence[PackId]) -> list[PackRow]:
        await self._shared.reading()
        known = self._shared.state.packs
        return [known[pack] for pack in dict.fromkeys(pack_ids) if pack in known]

    async def pack_by_object(self, object_key: str) -> PackRow | None:
        await self._shared.reading()
        pack = self._shared.state.objects.get(object_key)
        return None if pack is None else self._shared.state.packs[pack]

    async def finish(self, pack_ids: Sequence[PackId], now_us: int, *, verified: bool = False) -> None:
        shared, life = self._shared, self._shared.life
        known = shared.state.packs
        touched = {known[pack].namespace for pack in pack_ids if pack in known and known[pack].state == "granted"}
        locks: list[asyncio.Lock] = []
        try:
            for namespace in sorted(touched):
                locks.append(await shared.lock(namespace, life))  # noqa: PERF401
        except BaseException:
            for lock in locks:
                lock.release()
            raise
        await shared.publish(life, lambda: _finish(shared.state, pack_ids, verified), locks)

    async def copies(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Copy]:
        await self._shared.reading()
        space = self._shared.state.spaces.get(namespace)
        held = {} if space is None else space.held
        best = [self._best(namespace, block) for block in dict.fromkeys(hashes) if block in held]
        return [copy for copy in best if copy is not None]

    def _best(self, namespace: NamespaceId, block: Digest) -> Copy | None:
        packs = self._shared.state.packs
        served_by = self._shared.state.spaces[namespace].served_by(block)
        found: list[tuple[bool, int, PackId, Copy]] = []
        for pack_id, stored in self._shared.state.copies.get(block, {}).items():
            pack = packs[pack_id]
            if pack.state == "done" and (stored.verified or pack.namespace in served_by):
                found.append((not stored.verified, pack.created_us, pack_id, stored.copy))
        return min(found, key=lambda one: one[:3])[3] if found else None

    async def expired(self, now_us: int, limit: int) -> list[PackRow]:
        await self._shared.reading()
        late = [row for row in self._shared.state.packs.values() if row.state == "granted" and row.expires_us < now_us]
        return sorted(late, key=lambda row: row.expires_us)[:limit]

    async def forget(self, pack_ids: Sequence[PackId]) -> list[PackId]:
        return await self._shared.publish(self._shared.life, lambda: _forget(self._shared.state, pack_ids))


def _add(state: State, packs: Sequence[tuple[PackRow, Sequence[PackEntry]]]) -> None:
    for row, _ in packs:
        if row.id in state.packs or row.object_key in state.objects or row.namespace not in state.spaces:
            raise BrokenConstraint(f"pack {row.id} is stored already, or belongs nowhere")
    for row, entries in packs:
        state.packs[row.id] = row
        state.objects[row.object_key] = row.id
        first = {entry.hash: entry for entry in reversed(entries)}
        state.declared[row.id] = tuple(first)
        for entry in first.values():
            copy = Copy(
                hash=entry.hash,
                pack=row.id,
                offset=entry.offset,
                length=entry.length,
                plain_size=entry.plain_size,
                codec=entry.codec,
            )
            state.copies.setdefault(entry.hash, {})[row.id] = StoredCopy(copy)
        if row.state == "granted":
            state.spaces[row.namespace].reserved_bytes += _declared_bytes(state, row.id)


def _finish(state: State, pack_ids: Sequence[PackId], verified: bool) -> None:
    """New blocks are counted, condemned ones revive."""
    for pack_id in pack_ids:
        if verified:
            for block in state.declared.get(pack_id, ()):
                state.copies[block][pack_id] = replace(state.copies[block][pack_id], verified=True)
        row = state.packs.get(pack_id)
        if row is None or row.state != "granted":
            continue
        space = state.spaces[row.namespace]
        space.reserved_bytes -= _declared_bytes(state, pack_id)
        state.packs[pack_id] = replace(row, state="done")
        for block in state.declared[pack_id]:
            known = space.held.get(block)
            if known is None:
                size = state.copies[block][pack_id].copy.plain_size
                space.held[block] = HeldBlock(size)
                space.used_bytes += size
            else:
                space.revive(block)


def _forget(state: State, pack_ids: Sequence[PackId]) -> list[PackId]:
    forgotten: list[PackId] = []
    for pack_id in pack_ids:
        row = state.packs.get(pack_id)
        if row is None or row.state != "granted":
            continue
        state.spaces[row.namespace].reserved_bytes -= _declared_bytes(state, pack_id)
        for block in state.declared.pop(pack_id):
            del state.copies[block][pack_id]
        del state.objects[row.object_key]
        del state.packs[pack_id]
        forgotten.append(pack_id)
    return forgotten


def _declared_bytes(state: State, pack: PackId) -> int:
    return sum(state.copies[block][pack].copy.plain_size for block in state.declared[pack])
