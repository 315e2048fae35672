"""The arithmetic of parts: how large, how many, which of them are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncline.model.errors import PartMismatch, UploadIncomplete
from syncline.model.ids import Digest
from syncline.model.limits import BATCH_MAX, UPLOAD_PART_MAX_BYTES, UPLOAD_PART_MIN_BYTES, UPLOAD_PARTS_MAX
from syncline.ports.object_store import StoredPart
from syncline.ports.upload_store import NotedPart, Upload
from syncline.protocol.uploads import PartClaim, PartRange, PartState


def part_bytes(size: int, parts_max: int = UPLOAD_PARTS_MAX) -> int:
    """The size of a part: a power of two from `UPLOAD_PART_MIN_BYTES` to `UPLOAD_PART_MAX_BYTES`, so large that `size` bytes need
    no more than `parts_max` if that can be."""
    chosen = UPLOAD_PART_MIN_BYTES
    while part_count(size, chosen) > parts_max and chosen < UPLOAD_PART_MAX_BYTES:
        chosen *= 2
    return chosen


def part_count(size: int, each: int) -> int:
    """At least one: an empty file has an empty part."""
    return max(1, -(-size // each))


def ranges(numbers: Iterable[int]) -> list[PartRange]:
    """Ascending numbers as runs without a gap."""
    found: list[PartRange] = []
    for number in numbers:
        if found and found[-1].last == number - 1:
            found[-1].last = number
        else:
            found.append(PartRange(first=number, last=number))
    return found


def plain_etag(etag: str) -> str:
    """Without the quotes HTTP puts around it."""
    return etag.strip().removeprefix("W/").strip('"')


def whole(upload: Upload, stored: Sequence[StoredPart]) -> dict[int, StoredPart]:
    """The parts that are there with the size they must have."""
    return {part.number: part for part in stored if part.number <= upload.part_count and part.size == upload.size_of(part.number)}


def missing(upload: Upload, there: Mapping[int, object]) -> list[int]:
    return [number for number in range(1, upload.part_count + 1) if number not in there]


def judged(claim: PartClaim, upload: Upload, part: StoredPart | None) -> PartState:
    """A client's word on a part, held against the store's."""
    if part is None:
        return PartState(part_number=claim.part_number, state="absent")
    honest = part.etag == plain_etag(claim.etag) and part.size == upload.size_of(part.number)
    if honest and claim.checksum is not None and part.sha256 is not None:
        honest = claim.checksum.lower() == part.sha256
    state = "verified" if honest else "mismatch"
    return PartState(part_number=part.number, state=state, etag=part.etag, size=part.size)


def noted(claim: PartClaim, part: StoredPart) -> NotedPart:
    return NotedPart(part.number, part.etag, part.size, part.sha256)


def check_complete(
    upload: Upload, stored: Sequence[StoredPart], claims: Sequence[PartClaim] | None, known: Sequence[NotedPart]
) -> list[StoredPart]:
    """Every part, in order, as the store has it now. Raises `UploadIncomplete`, and `PartMismatch` where one is not what the client
    says now, or what it was when it was verified."""
    there = whole(upload, stored)
    absent = missing(upload, there)
    if absent:
        raise UploadIncomplete(count=len(absent), missing=absent[:BATCH_MAX])
    said: dict[int, str] = {part.number: part.etag for part in known}
    said |= {claim.part_number: plain_etag(claim.etag) for claim in claims or ()}
    wrong = sorted(number for number, etag in said.items() if number not in there or there[number].etag != etag)
    if wrong:
        raise PartMismatch(count=len(wrong), parts=wrong[:BATCH_MAX])
    return [there[number] for number in sorted(there)]


def checksum(text: str | None) -> Digest | None:
    """A declared SHA-256; `sha256:` may stand before it."""
    return None if text is None else Digest(text.strip().lower().removeprefix("sha256:"))
