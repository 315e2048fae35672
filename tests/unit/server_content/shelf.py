"""A person's files in packs on an object store that counts what is asked of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from tests.unit.server_metadata.world import Machine, Member, World, content, digest

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.sql.stores import Stores
from syncline.content.pack import PackWriter
from syncline.model.errors import Unavailable
from syncline.model.ids import PackId
from syncline.ports.content_store import Content, ContentRef
from syncline.ports.pack_store import PackRow
from syncline.server.content.assemble import Assembler
from syncline.testing.memory_objects import MemoryObjects


class CountedObjects(MemoryObjects):
    """Notes each read, and can fail from one on."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.reads: list[tuple[str, int, int]] = []
        self.fails_at: int | None = None

    async def read(self, key: str, offset: int, length: int) -> bytes:
        self.reads.append((key, offset, length))
        if self.fails_at is not None and len(self.reads) > self.fails_at:
            raise Unavailable(what="The object store")
        return await super().read(key, offset, length)


class Shelf:
    """A person's files in packs of the blocks they are given."""

    def __init__(self, world: World, member: Member) -> None:
        machine = world.machine
        assert isinstance(world.stores, Stores)
        self.member = member
        self.stores = world.stores
        self.objects = CountedObjects(machine)
        self._machine = machine
        self._keys = KeyFileWrapper([bytes(32)], machine)
        self.assembler = Assembler(self.stores.contents, self.stores.packs, self.objects, self._keys)

    async def pack(self, *blocks: bytes) -> str:
        """Stores a pack of these blocks; its object's key."""
        file, key = io.BytesIO(), self._machine.token(32)
        writer = PackWriter(file, key, self._machine)
        for block in blocks:
            writer.add(digest(block), block)
        offer, now_us = writer.finish(), self._machine.now_us()
        row = PackRow(
            id=PackId(self.member.world.ids.fresh()),
            namespace=self.member.namespace,
            user=self.member.caller.user_id,
            object_key=self._machine.token(20).hex(),
            size=offer.size,
            sha256=offer.sha256,
            wrapped_key=self._keys.wrap(key),
            state="granted",
            expires_us=now_us,
            created_us=now_us,
        )
        await self.stores.packs.add_packs([(row, offer.index)])
        await self.stores.packs.finish([row.id], now_us)
        await self.objects.write(row.object_key, file.getvalue())
        return row.object_key

    async def file(self, name: str, blocks: Sequence[bytes], **fields: Any) -> Content:
        await self.member.commit(self.member.create(name, **(content(blocks) | fields)))
        ref = ContentRef(node_id=self.member.world.id(name))
        (found,) = await self.stores.contents.find(self.member.caller.user_id, [ref])
        assert found is not None
        return found

    async def read(self, file: Content, start: int = 0, end: int | None = None) -> bytes:
        read = bytearray()
        await self.read_into(read, file, start, end)
        return bytes(read)

    async def read_into(self, read: bytearray, file: Content, start: int = 0, end: int | None = None) -> None:
        async for piece in self.assembler.stream(file, start, file.size if end is None else end):
            read += piece


def noise(count: int, size: int) -> list[bytes]:
    machine = Machine()
    return [machine.token(size) for _ in range(count)]
