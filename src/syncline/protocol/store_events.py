"""What an object store says of itself: that an object has arrived. Each kind of store says it in words of its own.

Known are the event messages of S3 ("Amazon S3 event notification message structure", version 2.x: MinIO and Ceph send the same to a
webhook), the events that Amazon EventBridge sends on for S3 ("Object Created"), and SeaweedFS' webhook. Only an object's key is
taken from them: everything else is asked of the store.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from syncline.model.errors import InvalidRequest, LimitExceeded
from syncline.model.limits import BATCH_MAX

_CREATED: Final = "ObjectCreated:"
_SEAWEED_FOLDER: Final = "/buckets/"


def arrivals(body: bytes, buckets: Collection[str]) -> list[str]:
    """The keys of the objects that arrived in one of `buckets`, once each, in the order of the message; none for whatever else
    happened.

    Raises `InvalidRequest` for a message of no known kind, `LimitExceeded` above `BATCH_MAX` events."""
    try:
        message = msgspec.json.decode(body)
        if not isinstance(message, dict):
            raise TypeError
        found = _found(message)
        return list(dict.fromkeys(key for where, key in found if where in buckets))
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(message="This is no event of an object store that is known here") from error


def _found(message: dict[str, Any]) -> list[tuple[str, str]]:
    """Bucket and key of each object that came."""
    if "Records" in message:
        records = message["Records"] or []
        if len(records) > BATCH_MAX:
            raise LimitExceeded(what="The number of events", limit=BATCH_MAX)
        created = [record["s3"] for record in records if record["eventName"].removeprefix("s3:").startswith(_CREATED)]
        return [(one["bucket"]["name"], unquote_plus(one["object"]["key"])) for one in created]
    if "detail-type" in message:
        detail = message["detail"]
        return [(detail["bucket"]["name"], detail["object"]["key"])] if message["detail-type"] == "Object Created" else []
    if message.get("Event") == "s3:TestEvent":
        return []
    kind, key = message["event_type"], message["key"]
    if not key.startswith(_SEAWEED_FOLDER) or kind not in ("create", "update", "rename"):
        return []
    bucket, _, name = key.removeprefix(_SEAWEED_FOLDER).partition("/")
    return [(bucket, name)] if name else []
