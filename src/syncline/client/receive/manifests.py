"""Reading the server's manifests with suspicion: only what fits the revision asked for, and the formats' bounds, is believed."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.client.receive.content import Content, Part
from syncline.client.receive.ranges import WHOLE, Need
from syncline.content.seal import KEY_BYTES
from syncline.model.blocks import Block
from syncline.model.errors import CorruptManifest, SynclineError
from syncline.model.ids import Digest, is_digest
from syncline.model.limits import FRAME_OVERHEAD_MAX_BYTES, LARGE_BLOCK_MAX_BYTES
from syncline.ports.local_files import LocalFiles
from syncline.protocol.blocks import ManifestsAnswer, PackSource, RevisionManifest, RevisionRef, StoredBlock
from syncline.protocol.problems import from_problem

Needs = dict[Digest, Need]


def reference(content: Content) -> RevisionRef:
    """What to ask for: the manifest from the first block that is not there."""
    first = content.part.first_lacking() if content.part is not None else 0
    return RevisionRef(node_id=content.node, revision=content.revision, from_block=first)


def accept(
    files: LocalFiles, asked: Sequence[tuple[Content, RevisionRef]], answer: ManifestsAnswer
) -> tuple[Needs, list[tuple[Content, SynclineError]]]:
    """The blocks to get for the contents whose manifests came, and the contents whose manifests are refused or damaged.

    `answer` holds a prefix of what was `asked`. Contents of several blocks get their part file's plan.
    """
    needs: Needs = {}
    failed: list[tuple[Content, SynclineError]] = []
    for (content, ref), manifest in zip(asked, answer.manifests, strict=False):
        try:
            for need in _needs(files, content, ref, manifest, answer.packs):
                known = needs.setdefault(need.block.hash, need)
                if known is not need:
                    known.targets += need.targets
        except SynclineError as error:
            failed.append((content, error))
    return needs, failed


def _needs(
    files: LocalFiles, content: Content, ref: RevisionRef, manifest: RevisionManifest, packs: list[PackSource]
) -> list[Need]:
    if manifest.error is not None:
        raise from_problem({"code": manifest.error, "detail": "its manifest cannot be had", "what": "The revision"})
    if (manifest.node_id, manifest.revision) != (ref.node_id, ref.revision):
        raise CorruptManifest(reason="it is another revision's")
    if manifest.content_hash != content.hash or manifest.size != content.size:
        raise CorruptManifest(reason="it is of another content")
    if not manifest.blocks:
        raise CorruptManifest(reason="it names no blocks")
    for block in manifest.blocks:
        check_block(block, packs)
    first = manifest.blocks[0]
    if content.part is None and len(manifest.blocks) == 1 and manifest.next_block is None and ref.from_block == 0:
        if first.hash != content.hash or first.size != content.size:
            raise CorruptManifest(reason="its block is not its content")
        return [Need(first, [(content, WHOLE)])]
    part = content.part
    if part is None:
        part = content.part = Part(files, content, manifest.cut)
    needs = [
        Need(block, [(content, ref.from_block + index)])
        for index, block in enumerate(manifest.blocks)
        if part.learn(ref.from_block + index, Block(block.hash, block.size))
    ]
    if (manifest.next_block is None) != part.is_known:
        raise CorruptManifest(reason="its blocks do not add up to its size")
    return needs


def check_block(block: StoredBlock, packs: list[PackSource]) -> None:
    """That a block can be what a manifest says of it. Raises `CorruptManifest`."""
    if (
        not is_digest(block.hash)
        or not 0 < block.size <= LARGE_BLOCK_MAX_BYTES
        or not 0 <= block.pack < len(packs)
        or block.offset < 0
        or not 0 < block.length <= block.size + FRAME_OVERHEAD_MAX_BYTES
        or len(block.key) != KEY_BYTES
    ):
        raise CorruptManifest(reason="one of its blocks cannot be")
