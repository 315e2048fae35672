"""Everything a plain upload passes through, on a real database and disk store, with a clock one can set and no HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.signing import UrlSigner
from syncline.adapters.sql.stores import Stores
from syncline.content.seal import block_key, open_frame
from syncline.model.ids import NodeId, UploadId
from syncline.ports.raw_store import RawContent
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.changes import Entry
from syncline.protocol.uploads import CompleteRequest, UploadBegun, UploadCompleted, UploadFile, UploadRequest
from syncline.server.uploads.service import Uploads
from syncline.server.workers.ingest import Ingest


class Yard:
    def __init__(self, world: World, objects: DiskObjects, keys: KeyFileWrapper) -> None:
        assert isinstance(world.stores, Stores)
        self.world = world
        self.stores: Stores = world.stores
        self.objects = objects
        self.keys = keys
        self.failures: list[tuple[RawContent, Exception]] = []
        self.ingest = self.new_ingest()
        self.uploads = Uploads(world.metadata, self.stores.uploads, objects, world.machine, world.machine, self.ingest.wake)
        self.objects.completed = self.uploads.arrived

    def new_ingest(self) -> Ingest:
        """As a restarted server has it."""
        return Ingest(
            self.world.metadata,
            self.stores.raws,
            self.stores.packs,
            self.objects,
            self.keys,
            self.world.machine,
            self.world.machine,
            lambda raw, error: self.failures.append((raw, error)),
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path, factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
        await fresh_database(folder / "metadata.db", factory)
        async with World.opened(folder / "metadata.db") as world:
            signer = UrlSigner(b"s" * 32, world.machine)
            objects = DiskObjects.open(folder / "objects", signer, world.machine)
            try:
                yield cls(world, objects, KeyFileWrapper.open(folder / "keys.json", world.machine))
            finally:
                objects.close()

    # -- What a client does --------------------------------------------------------------------------------------------------

    async def begin(self, member: Member, path: str, size: int, **more: Any) -> UploadBegun:
        request = UploadRequest(files=[UploadFile(filepath=path, size=size, **more)])
        (begun,) = (await self.uploads.begin(member.caller, request)).files
        assert begun.error is None, begun.error
        return begun

    async def send(self, begun: UploadBegun, content: bytes) -> None:
        """All parts, as the store's door takes them."""
        upload = await self.stores.uploads.get(begun.upload_id or UploadId(""))
        assert upload is not None
        for number in range(1, upload.part_count + 1):
            piece = content[(number - 1) * upload.part_bytes : number * upload.part_bytes]
            await self.put(upload.object_key, number, piece)

    async def put(self, key: str, number: int, piece: bytes) -> None:
        def store() -> None:
            draft = self.objects.part_draft(key)
            try:
                draft.write([piece])
                draft.commit_part(number, len(piece))
            finally:
                draft.close()

        await self.objects.run(store)

    async def complete(self, member: Member, begun: UploadBegun) -> UploadCompleted:
        return await self.uploads.complete(member.caller, begun.upload_id or UploadId(""), CompleteRequest())

    async def upload(self, member: Member, path: str, content: bytes, **more: Any) -> UploadCompleted:
        begun = await self.begin(member, path, len(content), **more)
        await self.send(begun, content)
        return await self.complete(member, begun)

    # -- What came of it -----------------------------------------------------------------------------------------------------

    async def entry(self, member: Member, node: NodeId) -> Entry:
        found = (await self.world.metadata.metadata_by_id(member.caller, node, member.namespace)).entry
        assert found is not None
        return found

    async def content(self, member: Member, node: NodeId, revision: int) -> bytes:
        """Of a revision that was taken in, from its packs."""
        ref = RevisionRef(node_id=node, revision=revision)
        (found,) = await self.world.metadata.revision_blocks(member.caller, member.namespace, [ref])
        assert found.blocks is not None
        pieces: list[bytes] = []
        copies = {copy.hash: copy for copy in await self.stores.packs.copies(member.namespace, [name for name, _ in found.blocks])}
        for name, size in found.blocks:
            copy = copies[name]
            (pack,) = await self.stores.packs.packs([copy.pack])
            frame = await self.objects.read(pack.object_key, copy.offset, copy.length)
            pieces.append(open_frame(frame, block_key(self.keys.unwrap(pack.wrapped_key), name), name, size))
        return b"".join(pieces)

    def object_files(self) -> list[str]:
        """Objects, and objects to be, by key."""
        root = self.objects.path("0" * 20).parent.parent
        whole = [path.name for path in root.glob("??/*")]
        return sorted(whole + [path.name for path in root.glob("parts/*")])
