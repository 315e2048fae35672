"""What S3 answers: its XML, and its errors as ours.

The store is trusted to serve, not to be small: every body read here is bounded. Only a handful of elements is looked at, by name,
whatever namespace they stand in.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from syncline.model.errors import AlreadyExists, ChecksumMismatch, Conflict, Corrupt, NotFound, SynclineError, TooBusy, Unavailable
from syncline.model.ids import Digest
from syncline.model.limits import MIB
from syncline.ports.object_store import StoredPart

BODY_MAX_BYTES: Final = 8 * MIB
STORE: Final = "The object store"
_BUSY: Final = frozenset(("SlowDown", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable", "Throttling"))
_CHECKSUM: Final = frozenset(
    ("BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest", "IncompleteBody")
)
_PARTS: Final = frozenset(("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"))
_TRANSIENT: Final = frozenset(("RequestTimeout", "InternalError", "OperationAborted", "ConditionalRequestConflict"))


class StoreRefused(Unavailable):
    """The object store refuses this server ({reason}); whoever runs it must look at its credentials, bucket and clock."""

    code = "store.refused"


def failure(status: int, body: bytes, *, code: str = "") -> SynclineError:
    """The error that an answer is. Which object it was about is not told: keys say nothing to people."""
    code = code or error_code(body)
    if status in (404, 410) or code in ("NoSuchKey", "NoSuchUpload"):
        return NotFound(what="This object")
    if status == 416:
        return Corrupt(what="An object", reason="it is shorter than it should be")
    if status == 412 or code == "PreconditionFailed":
        return AlreadyExists(what="This object")
    if status == 429 or code in _BUSY:
        return TooBusy(retry_after=1)
    if code in _CHECKSUM:
        return ChecksumMismatch()
    if code in _PARTS:
        return Conflict(reason=code)
    if status >= 500 or code in _TRANSIENT:
        return Unavailable(what=STORE, reason=f"status {status} {code}".strip())
    return StoreRefused(reason=f"status {status} {code}".strip())


def error_code(body: bytes) -> str:
    """The `Code` of an error document; empty where the body is none."""
    root = _parsed(body)
    return "" if root is None or _name(root) != "Error" else _text(root, "Code")


def checksum_of(headers: Mapping[str, str]) -> Digest | None:
    """The whole object's SHA-256 that a HEAD told, None where it told none, or one made of its parts'."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    return digest_of(headers.get("x-amz-checksum-sha256", ""))


def digest_of(text: str) -> Digest | None:
    try:
        digest = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    return Digest(digest.hex()) if len(digest) == 32 else None


def listing(body: bytes) -> tuple[list[tuple[str, int]], bool]:
    """Keys with sizes of a ListObjectsV2 answer, and whether there are more. Raises `Unavailable` for anything else."""
    root = _document(body, "ListBucketResult")
    found = [(_text(one, "Key"), int(_text(one, "Size") or 0)) for one in _each(root, "Contents")]
    return found, _text(root, "IsTruncated") == "true"


def parts(body: bytes) -> list[StoredPart]:
    """Of a ListParts answer, by number. Where a store lists each sending of a part, the last by its clock stands."""
    found: dict[int, tuple[str, StoredPart]] = {}
    for one in _each(_document(body, "ListPartsResult"), "Part"):
        number, sent = int(_text(one, "PartNumber")), _text(one, "LastModified")
        sha256 = digest_of(_text(one, "ChecksumSHA256"))
        if number not in found or sent >= found[number][0]:
            found[number] = sent, StoredPart(number, bare(_text(one, "ETag")), int(_text(one, "Size")), sha256)
    return [found[number][1] for number in sorted(found)]


def upload_id(body: bytes) -> str:
    """Of an answer to CreateMultipartUpload."""
    found = _text(_document(body, "InitiateMultipartUploadResult"), "UploadId")
    if not found:
        raise Unavailable(what=STORE, reason="it named no upload")
    return found


def uploads(body: bytes) -> list[tuple[str, str]]:
    """Keys and ids of a ListMultipartUploads answer."""
    return [(_text(one, "Key"), _text(one, "UploadId")) for one in _each(_document(body, "ListMultipartUploadsResult"), "Upload")]


def completed(body: bytes) -> str:
    """The ETag of an answer to CompleteMultipartUpload, which may be an error although its status was 200. Raises as `failure`."""
    code = error_code(body)
    if code:
        raise failure(500, body, code=code)
    return bare(_text(_document(body, "CompleteMultipartUploadResult"), "ETag"))


def completion(parts: list[StoredPart]) -> bytes:
    """The body of CompleteMultipartUpload."""
    lines = "".join(f'<Part><PartNumber>{part.number}</PartNumber><ETag>"{escape(part.etag)}"</ETag></Part>' for part in parts)
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{lines}</CompleteMultipartUpload>'.encode()


def bare(etag: str) -> str:
    """An ETag without its quotes."""
    return etag.strip().removeprefix('"').removesuffix('"')


def _document(body: bytes, name: str) -> ElementTree.Element:
    root = _parsed(body)
    if root is None or _name(root) != name:
        raise Unavailable(what=STORE, reason=f"it answered no {name}")
    return root


def _parsed(body: bytes) -> ElementTree.Element | None:
    # What S3 answers has no document type; entities, which one could declare, are what makes XML dangerous.
    if b"<!DOCTYPE" in body:
        return None
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return None


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _each(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _name(child) == name)


def _text(element: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in _each(element, name)), "")
