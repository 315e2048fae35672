"""Checks a change's new bytes: shape, hashes, possession and sizes (`protocol.md` §3, step 7)."""

from __future__ import annotations

from typing import Final

from syncline.model.blocks import Block
from syncline.model.ids import EMPTY_DIGEST, Digest, is_digest
from syncline.model.limits import FILE_MAX_BYTES, REVISION_BLOCKS_MAX
from syncline.model.paths import is_storable
from syncline.protocol.commits import Change
from syncline.server.metadata.drafts import Content, Refusal
from syncline.server.metadata.facts import Facts

CUT_MAX_CHARS: Final = 100


def content_of(change: Change, facts: Facts) -> Content:
    """Raises `Refusal`: `request.invalid`, `limit.exceeded`, or `blocks.missing` with the hashes that must be sent first."""
    content_hash, size, blocks = change.content_hash, change.size, change.blocks
    if change.from_revision is not None and content_hash is not None and size is not None:
        return Content(content_hash, size, "", (), based_on=change.from_revision)
    if content_hash is None or size is None or blocks is None:
        raise Refusal("request.invalid", "a file's content takes content_hash, size and blocks")
    if not is_digest(content_hash) or not all(map(is_digest, blocks)):
        raise Refusal("request.invalid", "a hash is not a SHA-256 in lower-case hexadecimal")
    if size < 0:
        raise Refusal("request.invalid", "a size is not negative")
    if size > FILE_MAX_BYTES or len(blocks) > REVISION_BLOCKS_MAX:
        raise Refusal("limit.exceeded", f"a file has at most {FILE_MAX_BYTES} bytes in {REVISION_BLOCKS_MAX} blocks")
    cut = change.cut or ""
    if len(cut) > CUT_MAX_CHARS or not is_storable(cut) or (len(blocks) > 1 and not cut):
        raise Refusal("request.invalid", "content of several blocks says how it was cut")
    return Content(content_hash, size, cut, _blocks(content_hash, size, blocks, facts))


def _blocks(content_hash: Digest, size: int, hashes: list[Digest], facts: Facts) -> tuple[Block, ...]:
    if not hashes and (size != 0 or content_hash != EMPTY_DIGEST):
        raise Refusal("request.invalid", "only the empty file has no blocks")
    if len(hashes) == 1 and hashes[0] != content_hash:
        raise Refusal("request.invalid", "the content of a single block has that block's hash")
    blocks: list[Block] = []
    missing: dict[Digest, None] = {}
    for block in hashes:
        block_size = facts.block_size(block)
        if block_size is None:
            missing[block] = None
        else:
            blocks.append(Block(block, block_size))
    if missing:
        raise Refusal("blocks.missing", f"{len(missing)} blocks were not uploaded", hashes=list(missing))
    if sum(block.size for block in blocks) != size:
        raise Refusal("request.invalid", "the sizes of the blocks do not add up to the size")
    return tuple(blocks)
