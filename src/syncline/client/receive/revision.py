"""One small revision's bytes, straight into memory: what a merge needs of the server's history."""

from __future__ import annotations

import asyncio

from syncline.client.receive.manifests import check_block
from syncline.content.digest import digest
from syncline.content.seal import open_frame
from syncline.model.errors import CorruptManifest, LimitExceeded
from syncline.model.ids import EMPTY_DIGEST, Digest, NamespaceId, NodeId
from syncline.ports.remote import Remote
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.problems import from_problem


async def revision_bytes(
    remote: Remote, namespace: NamespaceId, node: NodeId, revision: int, content_hash: Digest, *, limit_bytes: int
) -> bytes:
    """The content of a revision, verified. Raises `NotFound` when the server keeps it no longer, `LimitExceeded`, `Corrupt`,
    `Unavailable`."""
    if content_hash == EMPTY_DIGEST:
        return b""
    whole = bytearray()
    at: int | None = 0
    while at is not None:
        answer = await remote.manifests(namespace, [RevisionRef(node_id=node, revision=revision, from_block=at)])
        if not answer.manifests:
            raise CorruptManifest(reason="the server sent none")
        manifest = answer.manifests[0]
        if manifest.error is not None:
            raise from_problem({"code": manifest.error, "what": f"Revision {revision}"})
        if manifest.content_hash != content_hash or not manifest.blocks:
            raise CorruptManifest(reason="it is of another content")
        if manifest.size > limit_bytes:
            raise LimitExceeded(what="A file to merge", limit=limit_bytes)
        for block in manifest.blocks:
            check_block(block, answer.packs)
            sealed = await remote.read_object(answer.packs[block.pack].get, block.offset, block.length)
            whole += await asyncio.to_thread(open_frame, sealed, block.key, block.hash, block.size)
            if len(whole) > limit_bytes:
                raise CorruptManifest(reason="its blocks run over its size")
        at = manifest.next_block
    if digest(whole) != content_hash:
        raise CorruptManifest(reason="its blocks do not add up to the content it names")
    return bytes(whole)
