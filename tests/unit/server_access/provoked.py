"""What provokes each documented problem, over HTTP. Those that damage the server come in a table of their own."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, TypeAlias

import pytest
from tests.server import SignedIn
from tests.unit.server_access.world import World
from tests.unit.server_gateway.content import granted, packed, put
from tests.unit.server_gateway.nodes import commit, create_file, create_folder, fresh_id
from tests.unit.server_gateway.uploading import begun, send, uploaded

from syncline.server.accounts.attempts import ATTEMPTS_AT_ONCE

Problem: TypeAlias = tuple[int, Any]
Provocation: TypeAlias = Callable[[World], Awaitable[Problem]]


async def bare(world: World, method: str, path: str, **options: Any) -> Problem:
    """A request that bears nothing but what is given."""
    url = path if path.startswith("http") else world.server.url + path
    async with world.server.http.request(method, url, allow_redirects=False, **options) as answer:
        return answer.status, await answer.json(content_type=None)


def run_sql(world: World, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(world.server.data / "metadata.db", timeout=20)) as database, database:
        database.execute(statement, values)


async def _url_of(device: SignedIn, node: str) -> str:
    _, answer = await device.post("/v1/files/download", {"file_ids": [node]})
    return str(answer["files"][0]["presignedUrl"])


# -- Answers of every door -------------------------------------------------------------------------------------------------------


async def request_invalid(world: World) -> Problem:
    return await world.ann.post("/v1/files/download", {"file_ids": "none"})


async def id_invalid(world: World) -> Problem:
    return await world.ann.post("/v1/blocks/missing", {"namespace": world.ann.root, "hashes": ["nonsense"]})


async def name_invalid(world: World) -> Problem:
    return await world.ann.get("/v1/metadata", path="/a/../b")


async def cursor_invalid(world: World) -> Problem:
    return await world.ann.get("/v1/changes", cursor="nonsense")


async def auth_invalid(world: World) -> Problem:
    return await bare(world, "GET", "/v1/me")


async def auth_wrong_password(world: World) -> Problem:
    return await bare(world, "POST", "/v1/auth/token", json={"email": "ann@example.org", "password": "wrong"})


async def link_password(world: World) -> Problem:
    node, _ = await world.file()
    made = await world.link(node, password="p")
    return await bare(world, "GET", f"/s/{made['token']}/meta")


async def access_denied(world: World) -> Problem:
    reader = world.whos["read-only member"].device
    return await reader.post("/v1/blocks/missing", {"namespace": world.ann.root, "hashes": []})


async def quota_exceeded(world: World) -> Problem:
    poor = await world.server.newcomer("poor@example.org")
    run_sql(world, "UPDATE users SET quota_bytes = 10 WHERE user_id = ?", poor.user_id)
    _, offer = packed(os.urandom(100))
    return await poor.post("/v1/packs", {"namespace": poor.root, "packs": [offer]})


async def not_found(world: World) -> Problem:
    return await world.ann.get("/v1/metadata", path="/none")


async def method_not_allowed(world: World) -> Problem:
    return await world.ann.call("PUT", "/v1/me")


async def commit_refused(world: World) -> Problem:
    return await commit(world.ann, create_folder(fresh_id(), "f"))


async def cursor_reset(world: World) -> Problem:
    """What a restored backup looks like: the journal goes on another way than the cursor knows."""
    other = await world.server.newcomer("restored@example.org")
    await commit(other, create_folder(other.root, "f"))
    _, page = await other.get("/v1/changes")
    run_sql(world, "UPDATE namespaces SET epoch = ? WHERE namespace_id = ?", fresh_id(), other.root)
    return await other.get("/v1/changes", cursor=page["cursor"])


async def history_expired(world: World) -> Problem:
    old = await world.server.newcomer("old@example.org")
    for name in "abc":
        await commit(old, create_folder(old.root, name))
    _, page = await old.get("/v1/changes", limit=1)
    run_sql(world, "DELETE FROM journal WHERE namespace_id = ? AND sequence < 3", old.root)
    run_sql(world, "UPDATE namespaces SET pruned_sequence = 2 WHERE namespace_id = ?", old.root)
    return await old.get("/v1/changes", cursor=page["cursor"])


async def exists(world: World) -> Problem:
    content, offer = packed(os.urandom(100))
    (grant,) = await granted(world.ann, offer)
    assert await put(world.ann, grant, content) == 200
    return await bare(world, "PUT", grant["put"]["url"], data=content, headers=grant["put"]["headers"])


async def limit_exceeded(world: World) -> Problem:
    return await world.ann.post("/v1/blocks/missing", {"namespace": world.ann.root, "hashes": ["ab" * 32] * 1001})


async def request_encoding(world: World) -> Problem:
    return await world.ann.post("/v1/packs/done", {"pack_ids": []}, headers={"content-encoding": "gzip"})


async def request_head(world: World) -> Problem:
    return await bare(world, "GET", f"/healthz?x={'x' * 66_000}")


async def range_unsatisfiable(world: World) -> Problem:
    node, _ = await world.file()
    return await bare(world, "GET", await _url_of(world.ann, node), headers={"range": "bytes=99999-"})


async def idempotency_mismatch(world: World) -> Problem:
    key = {"idempotency-key": fresh_id()}
    for _ in range(2):
        body = {"namespace": world.ann.root, "changes": [create_folder(world.ann.root, fresh_id())]}
        answer = await world.ann.post("/v1/files/commit", body, headers=key)
    return answer


async def rate_limited(world: World) -> Problem:
    for _ in range(ATTEMPTS_AT_ONCE + 1):
        answer = await bare(world, "POST", "/v1/auth/token", json={"email": "guessed@example.org", "password": "x"})
    return answer


async def checksum_mismatch(world: World) -> Problem:
    content, offer = packed(os.urandom(100))
    (grant,) = await granted(world.ann, offer)
    other = content[:-1] + bytes([content[-1] ^ 1])
    return await bare(world, "PUT", grant["put"]["url"], data=other, headers=grant["put"]["headers"])


async def corrupt(world: World) -> Problem:
    """The copies of a file's blocks are gone."""
    node, content = await world.file()
    run_sql(world, "DELETE FROM block_copies WHERE hash = ?", hashlib.sha256(content).digest())
    return await bare(world, "GET", await _url_of(world.ann, node))


async def block_corrupt(world: World) -> Problem:
    """A byte of the object that holds it has turned."""
    node, content = await world.file()
    with closing(sqlite3.connect(world.server.data / "metadata.db")) as database:
        key, at = database.execute(
            "SELECT object_key, block_offset FROM block_copies JOIN packs USING (pack_id) WHERE hash = ?",
            (hashlib.sha256(content).digest(),),
        ).fetchone()
    path = next((world.server.data / "objects").rglob(key))
    damaged = bytearray(path.read_bytes())
    damaged[at + 50] ^= 1
    path.write_bytes(damaged)
    return await bare(world, "GET", await _url_of(world.ann, node))


async def server_error(world: World) -> Problem:
    """A row that no Syncline writes."""
    node, _ = await world.file()
    made = await world.link(node)
    run_sql(world, "UPDATE links SET kind = 'none' WHERE link_id = ?", made["link_id"])
    return await world.ann.get("/v1/links", node_id=node)


async def unavailable(world: World) -> Problem:
    """The database has lost a table."""
    run_sql(world, "ALTER TABLE links RENAME TO elsewhere")
    try:
        return await world.ann.get("/v1/links")
    finally:
        run_sql(world, "ALTER TABLE elsewhere RENAME TO links")


async def disk_full(world: World) -> Problem:
    content, offer = packed(os.urandom(100))
    (grant,) = await granted(world.ann, offer)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncline.adapters.objects.disk.DiskObjects.place", full)
        return await bare(world, "PUT", grant["put"]["url"], data=content, headers=grant["put"]["headers"])


DOORS: dict[str, Provocation] = {
    "request.invalid": request_invalid,
    "id.invalid": id_invalid,
    "name.invalid": name_invalid,
    "cursor.invalid": cursor_invalid,
    "auth.invalid": auth_invalid,
    "auth.wrong_password": auth_wrong_password,
    "link.password": link_password,
    "access.denied": access_denied,
    "quota.exceeded": quota_exceeded,
    "not_found": not_found,
    "method.not_allowed": method_not_allowed,
    "commit.refused": commit_refused,
    "cursor.reset": cursor_reset,
    "history.expired": history_expired,
    "exists": exists,
    "limit.exceeded": limit_exceeded,
    "request.encoding": request_encoding,
    "request.head": request_head,
    "range.unsatisfiable": range_unsatisfiable,
    "idempotency.mismatch": idempotency_mismatch,
    "rate.limited": rate_limited,
    "checksum.mismatch": checksum_mismatch,
    "corrupt": corrupt,
    "block.corrupt": block_corrupt,
    "server.error": server_error,
    "unavailable": unavailable,
    "disk.full": disk_full,
}


# -- Answers about plain uploads -------------------------------------------------------------------------------------------------


async def _complete(world: World, upload: dict[str, Any], body: Any = None) -> Problem:
    return await world.ann.call("POST", f"/v1/uploads/{upload['uploadId']}/complete", body)


async def upload_incomplete(world: World) -> Problem:
    (upload,) = await begun(world.ann, {"filepath": f"/{fresh_id()}", "size": 3})
    return await _complete(world, upload)


async def upload_part_mismatch(world: World) -> Problem:
    (upload,) = await begun(world.ann, {"filepath": f"/{fresh_id()}", "size": 3})
    await send(world.ann, upload, b"abc")
    return await _complete(world, upload, {"parts": [{"partNumber": 1, "etag": "another"}]})


async def upload_ended(world: World) -> Problem:
    (upload,) = await begun(world.ann, {"filepath": f"/{fresh_id()}", "size": 3})
    await send(world.ann, upload, b"abc")
    assert (await _complete(world, upload))[0] == 200
    return await world.ann.get(f"/v1/uploads/{upload['uploadId']}/parts")


async def upload_name_taken(world: World) -> Problem:
    """Somebody else was faster."""
    name = fresh_id()
    first, second = [(await begun(world.ann, {"filepath": f"/{name}", "size": 3}))[0] for _ in range(2)]
    for upload in (first, second):
        await send(world.ann, upload, b"abc")
    assert (await _complete(world, first))[0] == 200
    return await _complete(world, second)


async def upload_revision_stale(world: World) -> Problem:
    name = fresh_id()
    await uploaded(world.ann, f"/{name}", b"abc")
    newer = {"filepath": f"/{name}", "size": 3, "base_revision": 1}
    first, second = [(await begun(world.ann, newer))[0] for _ in range(2)]
    for upload in (first, second):
        await send(world.ann, upload, b"def")
    assert (await _complete(world, first))[0] == 200
    return await _complete(world, second)


async def upload_parent_gone(world: World) -> Problem:
    folder = create_folder(world.ann.root, fresh_id())
    assert (await commit(world.ann, folder))[0] == 200
    (upload,) = await begun(world.ann, {"filepath": f"/{folder['name']}/file", "size": 3})
    await send(world.ann, upload, b"abc")
    _, head = await world.ann.get("/v1/changes/latest")
    gone = {"op": "delete", "node_id": folder["node_id"], "recursive": True, "subtree_as_of": head["sequence"]}
    assert (await commit(world.ann, gone))[0] == 200
    return await _complete(world, upload)


async def raw_file(world: World) -> str:
    """A file whose rows say that nobody has cut it yet, and that nobody is to try for now; its id."""
    done = await uploaded(world.ann, f"/{fresh_id()}", os.urandom(100))
    node = (await _taken_in(world, done["file_id"]))["node_id"]
    run_sql(world, "UPDATE raw_contents SET state = 'waiting', due_us = 9000000000000000 WHERE node_id = ?", node)
    for table in ("revisions", "nodes"):
        run_sql(world, f"UPDATE {table} SET content_hash = NULL WHERE node_id = ?", node)
    return str(node)


async def content_raw(world: World) -> Problem:
    return await world.ann.get(f"/v1/files/{await raw_file(world)}/manifest")


async def content_rejected(world: World) -> Problem:
    """The file that was never another is deleted with its bytes, and cannot be brought back."""
    done = await uploaded(world.ann, f"/{fresh_id()}", os.urandom(100), checksum="ab" * 32)
    node = (await _taken_in(world, done["file_id"]))["node_id"]
    return await commit(world.ann, {"op": "undelete", "node_id": node})


async def _taken_in(world: World, node: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            _, found = await world.ann.get("/v1/metadata", node_id=node)
            if "content" not in found["entry"] or found["entry"].get("deleted"):
                return found["entry"]
            await asyncio.sleep(0.02)


UPLOADS: dict[str, Provocation] = {
    "upload.incomplete": upload_incomplete,
    "upload.part_mismatch": upload_part_mismatch,
    "upload.ended": upload_ended,
    "name.taken": upload_name_taken,
    "revision.stale": upload_revision_stale,
    "parent.gone": upload_parent_gone,
    "content.raw": content_raw,
}


# -- Answers in a refused changeset ----------------------------------------------------------------------------------------------


async def revision_stale(world: World) -> Problem:
    node, _ = await world.file()
    return await commit(world.ann, {"op": "delete", "node_id": node, "base_revision": 7})


async def node_missing(world: World) -> Problem:
    return await commit(world.ann, {"op": "delete", "node_id": fresh_id(), "base_revision": 1})


async def node_deleted(world: World) -> Problem:
    node, _ = await world.file()
    assert (await commit(world.ann, {"op": "delete", "node_id": node, "base_revision": 1}))[0] == 200
    move = {"op": "move", "node_id": node, "base_revision": 1, "parent_id": world.ann.root, "name": "x"}
    return await commit(world.ann, move)


async def node_exists(world: World) -> Problem:
    return await commit(world.ann, {**create_folder(world.ann.root, fresh_id()), "node_id": (await world.file())[0]})


async def parent_gone(world: World) -> Problem:
    return await commit(world.ann, create_folder(fresh_id(), "f"))


async def name_taken(world: World) -> Problem:
    name = fresh_id()
    assert (await commit(world.ann, create_folder(world.ann.root, name)))[0] == 200
    return await commit(world.ann, create_folder(world.ann.root, name))


async def name_no_node_can_have(world: World) -> Problem:
    return await commit(world.ann, create_folder(world.ann.root, "a/b"))


async def tree_cycle(world: World) -> Problem:
    above = await world.folder()
    below = create_folder(above, "below")
    assert (await commit(world.ann, below))[0] == 200
    return await commit(world.ann, {"op": "move", "node_id": above, "parent_id": below["node_id"], "name": "x"})


async def subtree_changed(world: World) -> Problem:
    folder = await world.folder()
    _, head = await world.ann.get("/v1/changes/latest")
    assert (await commit(world.ann, create_folder(folder, "later")))[0] == 200
    change = {"op": "delete", "node_id": folder, "recursive": True, "subtree_as_of": head["sequence"]}
    return await commit(world.ann, change)


async def blocks_missing(world: World) -> Problem:
    return await commit(world.ann, create_file(world.ann.root, fresh_id(), [os.urandom(10)]))


async def too_long(world: World) -> Problem:
    return await commit(world.ann, {**create_folder(world.ann.root, fresh_id()), "description": "d" * 5000})


async def change_invalid(world: World) -> Problem:
    return await commit(world.ann, {"op": "create", "node_id": fresh_id(), "parent_id": world.ann.root, "kind": "dir"})


CHANGESETS: dict[str, Provocation] = {
    "revision.stale": revision_stale,
    "node.missing": node_missing,
    "node.deleted": node_deleted,
    "node.exists": node_exists,
    "parent.gone": parent_gone,
    "name.taken": name_taken,
    "name.invalid": name_no_node_can_have,
    "tree.cycle": tree_cycle,
    "subtree.changed": subtree_changed,
    "blocks.missing": blocks_missing,
    "limit.exceeded": too_long,
    "request.invalid": change_invalid,
    "content.rejected": content_rejected,
}
