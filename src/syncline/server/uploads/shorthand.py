"""The block door's simple half: a session that says which blocks are missing, a commit of one file, and a file with its blocks.

Nothing is kept for a session: its id becomes the id of a new file and the commit's idempotency key, which is all it is for.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.errors import BlocksMissing, InvalidRequest, LimitExceeded, NotFound
from syncline.model.ids import EMPTY_DIGEST, Digest, NamespaceId, NodeId, UploadId, is_ulid, parse_digest
from syncline.model.limits import BATCH_MAX, REVISION_BLOCKS_MAX
from syncline.ports.clock import Ids
from syncline.ports.pack_store import PackStore
from syncline.protocol.blocks import MissingRequest, RevisionRef
from syncline.protocol.changes import Entry
from syncline.protocol.commits import Change, CommitRequest, FileCommit, FileCommitted, Op
from syncline.protocol.uploads import FileMetadata, UploadSession, UploadSessionRequest
from syncline.server.blocks.grant import Granting
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

CUT: Final = "unknown"
"""How a file was cut whose sender does not say."""


class Shorthand:
    def __init__(self, metadata: Metadata, granting: Granting, packs: PackStore, ids: Ids) -> None:
        self._metadata = metadata
        self._granting = granting
        self._packs = packs
        self._ids = ids

    async def session(self, caller: Caller, request: UploadSessionRequest) -> UploadSession:
        """Raises as `Granting.missing` does."""
        namespace = request.namespace or (await self._metadata.latest(caller)).namespace
        asked = MissingRequest(namespace=namespace, hashes=list(dict.fromkeys(request.block_list)))
        missing = (await self._granting.missing(caller, asked)).missing
        return UploadSession(upload_id=UploadId(self._ids.fresh()), namespace=namespace, missing=missing)

    async def commit(self, caller: Caller, request: FileCommit) -> FileCommitted:
        """One file of blocks that were sent before. Raises as `Metadata.commit` does."""
        if not is_ulid(request.upload_id):
            raise InvalidRequest(message="upload_id is the one of POST /v1/files/upload_session")
        namespace = request.namespace or (await self._metadata.latest(caller)).namespace
        change = await self._change(caller, namespace, request)
        answer = await self._metadata.commit(
            caller, CommitRequest(namespace=namespace, changes=[change]), f"file {request.upload_id}"
        )
        result = answer.results[0]
        return FileCommitted(file_id=result.node_id, version=result.revision)

    async def metadata(self, caller: Caller, file: NodeId, namespace: NamespaceId | None) -> FileMetadata:
        """Raises `NotFound` unless it is a file of a namespace that the caller may see."""
        spaces = [namespace] if namespace is not None else [one.id for one in (await self._metadata.namespaces(caller)).namespaces]
        for space in spaces:
            try:
                found = await self._metadata.metadata_by_id(caller, file, space)
            except NotFound:
                continue
            if found.entry is not None and found.entry.kind is Kind.FILE:
                return await self._described(caller, found.namespace, found.path, found.entry)
        raise NotFound(what="The file")

    async def _described(self, caller: Caller, namespace: NamespaceId, path: str, entry: Entry) -> FileMetadata:
        refs = [RevisionRef(node_id=entry.node_id, revision=entry.revision)]
        (blocks,) = await self._metadata.revision_blocks(caller, namespace, refs)
        return FileMetadata(
            file_id=entry.node_id,
            namespace=namespace,
            path=path,
            version=entry.revision,
            owner=await self._metadata.owner(caller, namespace),
            size=entry.size,
            content_hash=entry.content_hash,
            content=entry.content,
            deleted=entry.deleted,
            mtime=entry.mtime,
            block_list=[block for block, _ in blocks.blocks or ()],
        )

    async def _change(self, caller: Caller, namespace: NamespaceId, request: FileCommit) -> Change:
        folder = request.parent_folder_id or NodeId(namespace)
        content_hash, size = await self._content(caller, namespace, request)
        change = Change(
            op=Op.CREATE,
            node_id=NodeId(request.upload_id),
            parent_id=folder,
            name=request.file_name,
            kind=Kind.FILE,
            content_hash=content_hash,
            size=size,
            blocks=request.block_list,
            cut=request.cut or CUT,
            mtime=request.mtime,
        )
        if request.original_version is None:
            return change
        file = request.file_id
        if file is None and request.file_name is not None:
            there = await self._metadata.child(caller, namespace, folder, request.file_name)
            file = None if there is None else there.node_id
        if file is None:
            raise NotFound(what="The file that is to get a new version")
        return replace(
            change, op=Op.EDIT, node_id=file, base_revision=request.original_version, parent_id=None, name=None, kind=None
        )

    async def _content(self, caller: Caller, namespace: NamespaceId, request: FileCommit) -> tuple[Digest, int]:
        """Hash and size of the whole, as far as the blocks tell them. Raises `BlocksMissing`, `InvalidRequest`."""
        blocks = request.block_list
        content_hash = request.content_hash
        if content_hash is None:
            if len(blocks) > 1:
                raise InvalidRequest(message="A file of several blocks says its content_hash, the SHA-256 of the whole")
            content_hash = blocks[0] if blocks else EMPTY_DIGEST
        if request.size is not None:
            return content_hash, request.size
        if len(blocks) > REVISION_BLOCKS_MAX:
            raise LimitExceeded(what="The number of blocks", limit=REVISION_BLOCKS_MAX)
        for block in blocks:
            parse_digest(block)
        await self._metadata.access(caller, namespace)
        wanted = list(dict.fromkeys(blocks))
        sizes = {copy.hash: copy.plain_size for copy in await self._packs.copies(namespace, wanted)}
        absent = [block for block in wanted if block not in sizes]
        if absent:
            raise BlocksMissing(count=len(absent), hashes=absent[:BATCH_MAX])
        return content_hash, sum(sizes[block] for block in blocks)
