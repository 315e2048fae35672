"""What a store enforces, found out by asking it to do what it should refuse. Some that speak S3 accept it.

Asked at start, with objects of a few bytes that are removed again, and by presigned requests, since those are what clients make.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import structlog

from syncline.adapters.objects.s3.answers import StoreRefused
from syncline.adapters.objects.s3.caller import Bucket
from syncline.adapters.objects.s3.cdn import CdnSigner
from syncline.adapters.objects.s3.store import Enforced, S3Objects
from syncline.adapters.objects.signing import put_headers
from syncline.content.digest import digest
from syncline.model.errors import AlreadyExists, ChecksumMismatch, InvalidRequest, NotFound, Unavailable
from syncline.ports.clock import Chance

_PROBE_BYTES: Final = 64
_KEY_BYTES: Final = 20

log: Final[Any] = structlog.get_logger("syncline.objects")


async def probed(bucket: Bucket, chance: Chance, cdn: CdnSigner | None = None) -> S3Objects:
    """The store in `bucket`, knowing what it enforces, with downloads through `cdn` where there is one.

    Raises `InvalidRequest` naming what to correct in the configuration, `Unavailable` where it does not answer."""
    try:
        enforced = await _asked(bucket, chance)
    except NotFound as error:
        raise InvalidRequest(message="objects.bucket: there is no such bucket at objects.endpoint; make it first") from error
    except StoreRefused as error:
        raise InvalidRequest(
            message=f"The object store refuses this server ({error.fields['reason']}): look at its access key and secret, at "
            "objects.region, at what the bucket's policy allows (see docs/operations/s3.md), and at this machine's clock"
        ) from error
    except Unavailable as error:
        reason = error.fields.get("reason", "no answer")
        raise Unavailable(what=f"The object store at objects.endpoint ({reason})") from error
    log.info("object store", checksum=enforced.checksum, once=enforced.once)
    if not enforced.checksum:
        log.warning("the object store takes wrong bytes under a signed checksum, so every pack is read back before it counts")
    if not enforced.once:
        log.warning("the object store replaces objects although told not to: whoever holds an upload URL can spoil their own pack")
    return S3Objects(bucket, enforced, cdn)


async def _asked(bucket: Bucket, chance: Chance) -> Enforced:
    data, other = chance.token(_PROBE_BYTES), chance.token(_PROBE_BYTES)
    right, wrong = chance.token(_KEY_BYTES).hex(), chance.token(_KEY_BYTES).hex()
    headers = put_headers(len(data), digest(data)) | bucket.kept_as
    store = S3Objects(bucket, Enforced(checksum=True))
    try:
        # Said first, by a repeated request that met its own first attempt, "exists" is as good.
        with suppress(AlreadyExists):
            await bucket.put_presigned(right, headers, data)
        stat = await store.head(right)
        checksum = stat is not None and stat.sha256 == digest(data) and await _refuses(bucket, wrong, headers, other)
        once = await _refuses(bucket, right, put_headers(len(other), digest(other)), other)
        return Enforced(checksum=checksum, once=once and await store.read(right, 0, len(data)) == data)
    finally:
        await asyncio.gather(store.remove(right), store.remove(wrong), return_exceptions=True)


async def _refuses(bucket: Bucket, key: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        await bucket.put_presigned(key, headers, body)
    except (AlreadyExists, ChecksumMismatch, StoreRefused):
        return True
    return False
