"""The block door's simple half, from outside: a session, a commit of one file, a file with its blocks."""

from __future__ import annotations

import os

from tests.server import SignedIn
from tests.unit.server_gateway.content import sent, sha256
from tests.unit.server_gateway.uploading import uploaded

NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"


async def test_a_file_is_committed_by_its_blocks_and_read_back(ann: SignedIn) -> None:
    blocks = [os.urandom(3000), os.urandom(2000)]
    hashes = [sha256(block) for block in blocks]
    await sent(ann, blocks[0])
    status, session = await ann.post("/v1/files/upload_session", {"block_list": [*hashes, hashes[0]]})
    assert (status, session["missing"], session["namespace"]) == (200, hashes[1:], ann.root)
    commit = {
        "upload_id": session["upload_id"],
        "block_list": [*hashes, hashes[0]],
        "parent_folder_id": ann.root,
        "file_name": "three blocks",
        "content_hash": sha256(blocks[0] + blocks[1] + blocks[0]),
    }
    status, problem = await ann.post("/v1/files/commit", commit)
    assert (status, problem["code"], problem["hashes"]) == (409, "blocks.missing", hashes[1:])
    await sent(ann, blocks[1])
    answers = [await ann.post("/v1/files/commit", commit) for _ in range(2)]
    assert answers[0] == answers[1] == (200, {"file_id": session["upload_id"], "version": 1})
    status, found = await ann.get("/v1/files/metadata", file_id=session["upload_id"])
    assert (status, found["path"], found["size"], found["version"], found["owner"]) == (200, "/three blocks", 8000, 1, ann.user_id)
    assert found["block_list"] == commit["block_list"]


async def test_a_new_version_names_the_one_it_follows(ann: SignedIn) -> None:
    block = os.urandom(100)
    await sent(ann, block)
    done = await uploaded(ann, "/doc", b"plain")
    _, session = await ann.post("/v1/files/upload_session", {"block_list": [sha256(block)]})
    commit = {"upload_id": session["upload_id"], "block_list": [sha256(block)], "file_name": "doc"}
    status, problem = await ann.post("/v1/files/commit", commit)
    assert (status, problem["failures"][0]["code"]) == (409, "name.taken")
    status, problem = await ann.post("/v1/files/commit", commit | {"original_version": 7})
    assert (status, problem["failures"][0]["code"]) == (409, "revision.stale")
    for named in ({}, {"file_name": None, "file_id": done["file_id"]}):
        status, answer = await ann.post("/v1/files/commit", commit | named | {"original_version": 1})
        assert (status, answer) == (200, {"file_id": done["file_id"], "version": 2})
    status, problem = await ann.post("/v1/files/commit", commit | {"file_name": "none", "original_version": 1})
    assert status == 404


async def test_an_empty_file_needs_no_block(ann: SignedIn) -> None:
    _, session = await ann.post("/v1/files/upload_session", {"block_list": []})
    status, answer = await ann.post("/v1/files/commit", {"upload_id": session["upload_id"], "block_list": [], "file_name": "empty"})
    assert (status, answer["version"]) == (200, 1)


async def test_what_is_neither_a_changeset_nor_a_file_is_refused(ann: SignedIn) -> None:
    wrong = (
        {},
        {"namespace": ann.root},
        {"namespace": ann.root, "changes": []},
        {"upload_id": "x", "block_list": []},
        {"upload_id": NOBODY, "block_list": ["ab" * 32, "cd" * 32], "file_name": "f"},
        {"upload_id": NOBODY, "block_list": ["no"], "file_name": "f"},
        {"upload_id": NOBODY, "block_list": [], "changes": [], "namespace": ann.root},
    )
    for body in wrong:
        status, problem = await ann.post("/v1/files/commit", body)
        assert (status, problem["code"] in ("request.invalid", "id.invalid")) == (400, True), (body, problem)


async def test_others_files_are_not_found(ann: SignedIn, bob: SignedIn) -> None:
    done = await uploaded(ann, "/mine", b"mine")
    for file in (done["file_id"], NOBODY):
        assert (await bob.get("/v1/files/metadata", file_id=file))[0] == 404
    assert (await bob.get("/v1/files/metadata", file_id=done["file_id"], namespace=ann.root))[0] == 404
    status, _ = await bob.post("/v1/files/upload_session", {"block_list": [], "namespace": ann.root})
    assert status == 404
