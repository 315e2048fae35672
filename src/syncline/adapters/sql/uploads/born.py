"""What a commit writes of raw contents: those born in it, those whose bytes are known by now, and those taken back."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, select, update

from syncline.adapters.sql.rows import Row, execute, insert_rows, placed
from syncline.adapters.sql.schema import raw_contents, revision_blocks, revisions, uploads
from syncline.model.errors import NotFound
from syncline.model.ids import NamespaceId
from syncline.model.limits import RAW_KEPT_S
from syncline.ports.metadata_store import CutRevision, RawRevision, Written
from syncline.ports.upload_store import OPEN_STATES

_RAW: Final = raw_contents.c
_RAW_COLUMNS: Final = tuple(column.name for column in _RAW)
RAW_WAITS: Final = select(_RAW.node_id).where(
    _RAW.namespace_id == bindparam("namespace"),
    _RAW.node_id == bindparam("node"),
    _RAW.revision == bindparam("revision"),
    _RAW.state == "waiting",
)
EARLIER: Final = (
    select(*placed(revisions))
    .where(revisions.c.namespace_id == bindparam("namespace"), revisions.c.node_id == bindparam("node"))
    .where(revisions.c.revision < bindparam("revision"))
    .order_by(revisions.c.revision.desc())
    .limit(1)
)
_END: Final = (
    update(uploads)
    .where(uploads.c.namespace_id == bindparam("of_namespace"), uploads.c.upload_id == bindparam("of_upload"))
    .where(uploads.c.state.in_(OPEN_STATES))
    .values(state="done", problem=None, node_id=bindparam("of_node"), revision=bindparam("became"))
)
_CONCLUDE: Final = (
    update(raw_contents)
    .where(_RAW.namespace_id == bindparam("of_namespace"), _RAW.node_id == bindparam("of_node"))
    .where(_RAW.revision == bindparam("of_revision"))
    .values(state=bindparam("to"), due_us=bindparam("until"))
)
_THIS_REVISION: Final = (
    revisions.c.namespace_id == bindparam("of_namespace"),
    revisions.c.node_id == bindparam("of_node"),
    revisions.c.revision == bindparam("of_revision"),
)
_LEARN: Final = update(revisions).where(*_THIS_REVISION).values(content_hash=bindparam("known_hash"), cut=bindparam("known_cut"))
_REMOVE: Final = delete(revisions).where(*_THIS_REVISION)


def write_raw(connection: Connection, namespace: NamespaceId, written: Written) -> None:
    """Raises `NotFound` where an upload is not open any more: nothing of its commit may stand then."""
    for raw in written.raws:
        _bear(connection, namespace, raw, written.time_us)
    gone_us = written.time_us + RAW_KEPT_S * 1_000_000
    for cut in written.cut:
        _learn(connection, namespace, cut)
        _conclude(connection, namespace, (cut.node, cut.revision), "settled", gone_us)
    for node, revision in written.rejected:
        execute(connection, _REMOVE, of_namespace=namespace, of_node=node, of_revision=revision)
        _conclude(connection, namespace, (node, revision), "rejected", gone_us)


def _bear(connection: Connection, namespace: NamespaceId, raw: RawRevision, now_us: int) -> None:
    found = raw.object
    became = {"of_node": raw.node, "became": raw.revision}
    ended = connection.execute(_END, {"of_namespace": namespace, "of_upload": found.upload} | became)
    if ended.rowcount != 1:
        raise NotFound(what="The upload")
    declared = None if found.sha256 is None else bytes.fromhex(found.sha256)
    row: Row = (namespace, raw.node, raw.revision, found.object_key, found.size, 0, declared, "waiting", 0, now_us, now_us)
    insert_rows(connection, raw_contents, _RAW_COLUMNS, [row])


def _learn(connection: Connection, namespace: NamespaceId, cut: CutRevision) -> None:
    manifest = cut.manifest
    learnt = {"known_hash": bytes.fromhex(manifest.content_hash), "known_cut": manifest.cut}
    here = {"of_namespace": namespace, "of_node": cut.node, "of_revision": cut.revision}
    connection.execute(_LEARN, learnt | here)
    insert_rows(
        connection,
        revision_blocks,
        ("namespace_id", "node_id", "revision", "block_index", "hash", "size"),
        [
            (namespace, cut.node, cut.revision, index, bytes.fromhex(block.hash), block.size)
            for index, block in enumerate(manifest.blocks)
        ],
    )


def _conclude(connection: Connection, namespace: NamespaceId, ref: tuple[str, int], state: str, until_us: int) -> None:
    execute(connection, _CONCLUDE, to=state, until=until_us, of_namespace=namespace, of_node=ref[0], of_revision=ref[1])
