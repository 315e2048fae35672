"""Downloads through links: counted once, never beyond their limit, gone on with for nothing, and folders as ZIP files."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file
from tests.unit.server_links.visitors import BROWSER, bytes_of, file, folder, link, rows, run_sql, visited

from syncline.model.limits import GRANT_TTL_S


async def downloads_of(ann: SignedIn, made: dict[str, Any]) -> int:
    _, listed = await ann.get("/v1/links")
    return next(int(one.get("downloads", 0)) for one in listed["links"] if one["link_id"] == made["link_id"])


async def test_a_download_counts_when_it_begins_and_pages_do_not(server: RunningServer, ann: SignedIn) -> None:
    made = await link(ann, await file(ann, "a", b"0123456789"), downloads_max=2)
    door = f"/s/{made['token']}"
    for _ in range(3):
        assert (await visited(server, door, **BROWSER)).status == 200
        assert (await visited(server, f"{door}/meta")).status == 200
    assert await downloads_of(ann, made) == 0
    first = await visited(server, f"{door}/download")
    assert (first.status, await downloads_of(ann, made)) == (302, 1)
    where = first.headers["Location"]
    assert where.startswith(server.url + "/content/")
    for _ in range(3):
        part = await visited(server, where, range="bytes=4-6")
        assert (part.status, part.body) == (206, b"456")
    assert await downloads_of(ann, made) == 1
    assert (await visited(server, f"{door}/download")).status == 302
    assert (await visited(server, f"{door}/download")).status == 404
    # What began before the limit was reached may end after it.
    assert (await visited(server, where)).body == b"0123456789"


async def test_a_download_is_gone_on_with_uncounted(server: RunningServer, ann: SignedIn) -> None:
    node = await file(ann, "a", b"0123456789")
    made = await link(ann, node, downloads_max=1)
    door = f"/s/{made['token']}/download"
    begun = await visited(server, door)
    assert begun.status == 302
    more = await visited(server, door, cookies=begun.cookies, range="bytes=5-")
    assert more.status == 302
    assert (await visited(server, more.headers["Location"], range="bytes=5-")).body == b"56789"
    assert (await visited(server, door, cookies=begun.cookies)).status == 404, "a whole download is another one"
    assert (await visited(server, door, range="bytes=5-")).status == 404, "nor does anybody else go on"
    forged = {name: value[:-2] + "AA" for name, value in begun.cookies.items()}
    assert (await visited(server, door, cookies=forged, range="bytes=5-")).status == 404
    assert await downloads_of(ann, made) == 1


async def test_another_version_is_another_download(server: RunningServer, ann: SignedIn) -> None:
    node = await file(ann, "a", b"0123456789")
    made = await link(ann, node, downloads_max=1)
    begun = await visited(server, f"/s/{made['token']}/download")
    await sent(ann, b"abcdefghij")
    edit = create_file(ann.root, "a", [b"abcdefghij"])
    edit = {key: edit[key] for key in ("content_hash", "size", "mtime", "blocks", "cut")}
    assert (await commit(ann, {"op": "edit", "node_id": node, "base_revision": 1, **edit}))[0] == 200
    answer = await visited(server, f"/s/{made['token']}/download", cookies=begun.cookies, range="bytes=5-")
    assert answer.status == 404


async def test_no_more_begin_than_the_limit_however_many_ask_at_once(server: RunningServer, ann: SignedIn) -> None:
    made = await link(ann, await file(ann, "a"), downloads_max=7)
    answers = await asyncio.gather(*(visited(server, f"/s/{made['token']}/download") for _ in range(40)))
    assert sorted({answer.status for answer in answers}) == [302, 404]
    assert sum(answer.status == 302 for answer in answers) == 7
    assert await downloads_of(ann, made) == 7


async def test_a_url_of_a_link_ends_with_it(server: RunningServer, ann: SignedIn) -> None:
    top = await folder(ann, "Trip")
    node = await file(ann, "a", b"bytes", top)
    outside = await folder(ann, "Elsewhere")
    made = await link(ann, top)
    begun = await visited(server, f"/s/{made['token']}/download?path=a")
    where = begun.headers["Location"]
    assert (await visited(server, where)).body == b"bytes"
    move = {"op": "move", "node_id": node, "base_revision": 1, "parent_id": outside, "name": "a"}
    assert (await commit(ann, move))[0] == 200
    assert (await visited(server, where)).status == 404, "it left the folder"
    assert (await commit(ann, {**move, "parent_id": top}))[0] == 200
    assert (await visited(server, where)).status == 200
    assert (await commit(ann, {"op": "delete", "node_id": node, "base_revision": 1}))[0] == 200
    assert (await visited(server, where)).status == 404
    assert (await commit(ann, {"op": "undelete", "node_id": node}))[0] == 200
    assert (await visited(server, where)).status == 200
    assert (await ann.call("DELETE", f"/v1/links/{made['link_id']}"))[0] == 204
    assert (await visited(server, where)).status == 404


async def test_urls_hold_for_minutes(server: RunningServer, ann: SignedIn) -> None:
    import base64

    import msgspec

    made = await link(ann, await file(ann, "a"))
    where = (await visited(server, f"/s/{made['token']}/download")).headers["Location"]
    ticket = where.split("/content/")[1].split("/")[0]
    body = base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))[:-32]
    expires_s = msgspec.msgpack.decode(body)[4]
    (now_us,) = rows(server, "SELECT created_us FROM links")[0]
    assert 0 < expires_s - now_us // 1_000_000 <= GRANT_TTL_S + 30


# -- Folders as ZIP files ---------------------------------------------------------------------------------------------------------


async def test_a_folder_comes_as_one_zip(server: RunningServer, ann: SignedIn) -> None:
    top = await folder(ann, "Trip é")
    below = await folder(ann, "Day 1", top)
    await folder(ann, "Empty", top)
    large = os.urandom(2_500_000)
    pieces = [large[at : at + 500_000] for at in range(0, len(large), 500_000)]
    await sent(ann, *pieces)
    assert (await commit(ann, create_file(below, "large.bin", pieces)))[0] == 200
    await file(ann, "note.txt", b"hello", top)
    nothing = create_file(top, "nothing", [])
    assert (await commit(ann, nothing))[0] == 200
    made = await link(ann, top, downloads_max=2)
    answer = await visited(server, f"/s/{made['token']}/zip")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    assert "Trip%20%C3%A9.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "Trip é/Day 1/",
            "Trip é/Day 1/large.bin",
            "Trip é/Empty/",
            "Trip é/note.txt",
            "Trip é/nothing",
        ]
        assert archive.read("Trip é/Day 1/large.bin") == large
        assert archive.read("Trip é/note.txt") == b"hello"
        assert archive.getinfo("Trip é/note.txt").date_time == (2026, 1, 2, 3, 4, 4)
    assert await downloads_of(ann, made) == 1
    inner = await visited(server, f"/s/{made['token']}/zip?path=Day+1")
    with zipfile.ZipFile(io.BytesIO(inner.body)) as archive:
        assert archive.namelist() == ["Day 1/large.bin"]
    assert (await visited(server, f"/s/{made['token']}/zip")).status == 404


async def test_a_file_is_no_zip_and_a_folder_no_download(server: RunningServer, ann: SignedIn) -> None:
    one = await link(ann, await file(ann, "a"), downloads_max=1)
    assert (await visited(server, f"/s/{one['token']}/zip")).status == 404
    assert (await visited(server, f"/s/{one['token']}/download")).status == 302, "the wrong door counted nothing"
    many = await link(ann, await folder(ann, "f"), downloads_max=1)
    assert (await visited(server, f"/s/{many['token']}/download")).status == 404
    assert (await visited(server, f"/s/{many['token']}/zip")).status == 200


async def test_an_archive_is_bounded(server: RunningServer, ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    top = await folder(ann, "f")
    for name in ("a", "b", "c"):
        await folder(ann, name, top)
    made = await link(ann, top, downloads_max=1)
    monkeypatch.setattr("syncline.server.links.zipped.LINK_ZIP_FILES_MAX", 2)
    answer = await visited(server, f"/s/{made['token']}/zip", **BROWSER)
    assert answer.status == 413
    assert "archive" in answer.text
    monkeypatch.undo()
    assert (await visited(server, f"/s/{made['token']}/zip")).status == 200


async def test_an_archive_that_breaks_off_is_not_taken_for_whole(server: RunningServer, ann: SignedIn) -> None:
    import aiohttp

    top = await folder(ann, "f")
    first, second = os.urandom(600_000), os.urandom(600_000)
    await file(ann, "a", first, top)
    await file(ann, "b", second, top)
    token = (await link(ann, top))["token"]
    keys = rows(server, "SELECT object_key FROM packs ORDER BY pack_id")
    next((server.data / "objects").rglob(keys[1][0])).unlink()
    with pytest.raises(aiohttp.ClientError):
        await visited(server, f"/s/{token}/zip")


async def test_what_hangs_on_a_folder_by_a_mount_is_no_part_of_its_link(server: RunningServer, ann: SignedIn) -> None:
    top = await folder(ann, "f")
    inner = await folder(ann, "shared", top)
    await file(ann, "secret", b"x", inner)
    token = (await link(ann, top))["token"]
    run_sql(server, "UPDATE nodes SET mount = 1 WHERE node_id = ?", inner)
    assert "shared" not in (await visited(server, f"/s/{token}/meta")).text
    assert (await visited(server, f"/s/{token}/meta?path=shared")).status == 404
    assert (await visited(server, f"/s/{token}/download?path=shared/secret")).status == 404
    archive = zipfile.ZipFile(io.BytesIO((await visited(server, f"/s/{token}/zip")).body))
    assert archive.namelist() == []


async def test_a_link_reads_with_any_client(server: RunningServer, ann: SignedIn) -> None:
    token = (await link(ann, await file(ann, "a b.txt", b"bytes")))["token"]
    assert await bytes_of(server, f"/s/{token}/download", accept="*/*", user_agent="curl/8") == b"bytes"
