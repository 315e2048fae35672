"""`ports.upload_store.UploadStore` on a SQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, case, delete, or_, select, update

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.heads import usage_of
from syncline.adapters.sql.rows import Row, execute, execute_many, fetch, insert_rows
from syncline.adapters.sql.schema import namespaces, upload_parts, uploads
from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UploadId, UserId
from syncline.ports.metadata_store import Usage
from syncline.ports.upload_store import OPEN_STATES, NotedPart, Upload

_UPLOAD: Final = uploads.c
_COLUMNS: Final = tuple(column.name for column in _UPLOAD)
_PART: Final = upload_parts.c
_PART_COLUMNS: Final = tuple(column.name for column in _PART)
_THIS: Final = _UPLOAD.upload_id == bindparam("upload")
_LIMIT: Final[Any] = bindparam("limit")


def _chosen(*conditions: Any) -> Select[Any]:
    return select(*_UPLOAD).where(*conditions)


_BY_ID: Final = _chosen(_UPLOAD.upload_id.in_(bindparam("ids", expanding=True)))
_BY_OBJECT: Final = _chosen(_UPLOAD.object_key == bindparam("object_key"))
_BY_FINGERPRINT: Final = (
    _chosen(_UPLOAD.user_id == bindparam("user"), _UPLOAD.sha256 == bindparam("sha256"))
    .order_by(_UPLOAD.created_us.desc(), _UPLOAD.upload_id)
    .limit(_LIMIT)
)
_EXPIRED: Final = (
    _chosen(or_(_UPLOAD.expires_us < bindparam("now_us"), _UPLOAD.state == "aborted")).order_by(_UPLOAD.expires_us).limit(_LIMIT)
)
_UNFINISHED: Final = (
    _chosen(_UPLOAD.state == "completing", _UPLOAD.problem.is_(None), _UPLOAD.expires_us < bindparam("before_us"))
    .order_by(_UPLOAD.expires_us)
    .limit(_LIMIT)
)
_OWNERS: Final = (
    select(namespaces.c.namespace_id, namespaces.c.owner_id)
    .where(namespaces.c.namespace_id.in_(bindparam("ids", expanding=True)))
    .with_for_update()
)
_OPENED: Final = (
    update(uploads)
    .where(_UPLOAD.upload_id == bindparam("of_upload"), _UPLOAD.state == "opening")
    .values(
        state="open", store_upload_id=bindparam("store_id"), signed_until_us=bindparam("until"), expires_us=bindparam("expires")
    )
)
_TOUCH: Final = (
    update(uploads)
    .where(_UPLOAD.upload_id == bindparam("of_upload"))
    .values(
        signed_until_us=case((_UPLOAD.signed_until_us < bindparam("signed"), bindparam("signed")), else_=_UPLOAD.signed_until_us),
        expires_us=case((_UPLOAD.expires_us < bindparam("expires"), bindparam("expires")), else_=_UPLOAD.expires_us),
    )
)
_FORGET_PARTS: Final = delete(upload_parts).where(_PART.upload_id.in_(bindparam("ids", expanding=True)))
_FORGET: Final = delete(uploads).where(_UPLOAD.upload_id.in_(bindparam("ids", expanding=True)))
_NAMESPACE: Final = select(_UPLOAD.namespace_id).where(_THIS)
_NOTED: Final = (
    select(_PART.part_number, _PART.etag, _PART.size, _PART.sha256)
    .where(_PART.namespace_id == bindparam("namespace"), _PART.upload_id == bindparam("upload"))
    .order_by(_PART.part_number)
)
_UNNOTE: Final = delete(upload_parts).where(
    _PART.namespace_id == bindparam("of_namespace"),
    _PART.upload_id == bindparam("of_upload"),
    _PART.part_number == bindparam("of_part"),
)


class SqlUploads(Stored):
    async def add(self, added: Sequence[Upload]) -> set[UploadId]:
        return await self._database.write(lambda connection: _add(connection, added))

    async def opened(self, store_ids: Mapping[UploadId, str], *, signed_until_us: int, expires_us: int) -> None:
        times = {"until": signed_until_us, "expires": expires_us}
        rows = [{"of_upload": upload, "store_id": store_id} | times for upload, store_id in store_ids.items()]
        await self._database.write(lambda connection: connection.execute(_OPENED, rows))

    async def get(self, upload: UploadId) -> Upload | None:
        found = await self.some([upload])
        return found[0] if found else None

    async def some(self, ids: Sequence[UploadId]) -> list[Upload]:
        return await self._uploads(_BY_ID, ids=list(ids)) if ids else []

    async def by_object(self, object_key: str) -> Upload | None:
        found = await self._uploads(_BY_OBJECT, object_key=object_key)
        return found[0] if found else None

    async def by_fingerprint(self, user: UserId, sha256: Digest, limit: int) -> list[Upload]:
        return await self._uploads(_BY_FINGERPRINT, user=user, sha256=bytes.fromhex(sha256), limit=limit)

    async def touch(self, upload: UploadId, *, signed_until_us: int, expires_us: int) -> None:
        times = {"signed": signed_until_us, "expires": expires_us}
        await self._database.write(lambda connection: connection.execute(_TOUCH, {"of_upload": upload} | times))

    async def move(self, upload: UploadId, to: str, *, out_of: Sequence[str], problem: str | None = None) -> bool:
        moved = update(uploads).where(_UPLOAD.upload_id == upload, _UPLOAD.state.in_(list(out_of)))
        statement = moved.values(state=to, problem=problem)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)

    async def lead(self, upload: Upload) -> None:
        place = {"node_id": upload.node, "parent_id": upload.parent, "name": upload.name, "base_revision": upload.base_revision}
        statement = update(uploads).where(_UPLOAD.upload_id == upload.id, _UPLOAD.state.in_(OPEN_STATES)).values(place)
        await self._database.write(lambda connection: connection.execute(statement))

    async def note_parts(self, upload: UploadId, parts: Sequence[NotedPart], now_us: int) -> None:
        def write(connection: Connection) -> None:
            namespace = fetch(connection, _NAMESPACE, upload=upload)
            if not namespace:
                return
            here = namespace[0][0]
            execute_many(
                connection, _UNNOTE, ("of_namespace", "of_upload", "of_part"), [(here, upload, part.number) for part in parts]
            )
            rows: list[Row] = [(here, upload, part.number, part.etag, part.size, _blob(part.sha256), now_us) for part in parts]
            insert_rows(connection, upload_parts, _PART_COLUMNS, rows)

        await self._database.write(write)

    async def noted_parts(self, upload: UploadId) -> list[NotedPart]:
        def read(connection: Connection) -> list[NotedPart]:
            namespace = fetch(connection, _NAMESPACE, upload=upload)
            rows = fetch(connection, _NOTED, namespace=namespace[0][0], upload=upload) if namespace else []
            return [NotedPart(row[0], row[1], row[2], _digest(row[3])) for row in rows]

        return await self._database.read(read)

    async def expired(self, now_us: int, limit: int) -> list[Upload]:
        return await self._uploads(_EXPIRED, now_us=now_us, limit=limit)

    async def unfinished(self, expires_before_us: int, limit: int) -> list[Upload]:
        return await self._uploads(_UNFINISHED, before_us=expires_before_us, limit=limit)

    async def forget(self, ids: Sequence[UploadId]) -> None:
        def write(connection: Connection) -> None:
            execute(connection, _FORGET_PARTS, ids=list(ids))
            execute(connection, _FORGET, ids=list(ids))

        if ids:
            await self._database.write(write)

    async def _uploads(self, statement: Any, **parameters: Any) -> list[Upload]:
        rows = await self._database.read(lambda connection: fetch(connection, statement, **parameters))
        return [_upload(row) for row in rows]


def _add(connection: Connection, added: Sequence[Upload]) -> set[UploadId]:
    owners = {row[0]: UserId(row[1]) for row in fetch(connection, _OWNERS, ids=sorted({one.namespace for one in added}))}
    usages: dict[UserId, Usage] = {}
    wanted: dict[UserId, int] = {}
    refused: set[UploadId] = set()
    for one in added:
        owner = owners.get(one.namespace)
        usage = None if owner is None else usages.get(owner) or usage_of(connection, owner)
        if owner is None or usage is None:
            raise NotFound(what="The namespace")
        usages[owner] = usage
        wanted[owner] = wanted.get(owner, 0) + one.size
        if usage.quota_bytes is not None and usage.used_bytes + wanted[owner] > usage.quota_bytes:
            wanted[owner] -= one.size
            refused.add(one.id)
    insert_rows(connection, uploads, _COLUMNS, [_row(one) for one in added if one.id not in refused])
    return refused


def _row(one: Upload) -> Row:
    return (
        one.namespace,
        one.id,
        one.user,
        one.device,
        one.link,
        one.node,
        one.parent,
        one.name,
        one.size,
        _blob(one.sha256),
        one.mime_type,
        one.description,
        one.base_revision,
        one.executable,
        one.mtime_us,
        one.object_key,
        one.store_upload_id,
        one.part_bytes,
        one.part_count,
        one.state,
        one.problem,
        one.revision,
        one.created_us,
        one.signed_until_us,
        one.expires_us,
    )


def _upload(row: Any) -> Upload:
    return Upload(
        namespace=NamespaceId(row[0]),
        id=UploadId(row[1]),
        user=UserId(row[2]),
        device=DeviceId(row[3]),
        link=row[4],
        node=NodeId(row[5]),
        parent=NodeId(row[6]),
        name=row[7],
        size=row[8],
        sha256=_digest(row[9]),
        mime_type=row[10],
        description=row[11],
        base_revision=row[12],
        executable=row[13] == 1,
        mtime_us=row[14],
        object_key=row[15],
        store_upload_id=row[16],
        part_bytes=row[17],
        part_count=row[18],
        state=row[19],
        problem=row[20],
        revision=row[21],
        created_us=row[22],
        signed_until_us=row[23],
        expires_us=row[24],
    )


def _blob(digest: Digest | None) -> bytes | None:
    return None if digest is None else bytes.fromhex(digest)


def _digest(blob: bytes | None) -> Digest | None:
    return None if blob is None else Digest(blob.hex())
