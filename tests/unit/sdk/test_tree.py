"""The tree by path."""

from __future__ import annotations

import unicodedata

import pytest

from syncline import AsyncClient, errors
from syncline.sdk import Item, Kind


def paths(items: list[Item]) -> list[str]:
    return [item.path for item in items]


async def test_folders_and_listings(ann: AsyncClient) -> None:
    made = await ann.mkdir("/a/b/c", parents=True)
    assert (made.path, made.kind, made.is_folder, made.name) == ("/a/b/c", Kind.DIR, True, "c")
    await ann.mkdir("/a/b/c", parents=True)
    with pytest.raises(errors.AlreadyExists):
        await ann.mkdir("/a/b/c")
    with pytest.raises(errors.NotFound):
        await ann.mkdir("/x/y")
    with pytest.raises(errors.InvalidName):
        await ann.mkdir("/a/..")
    await ann.upload_bytes(b"one", "/a/one.txt")
    assert paths(await ann.list("/a")) == ["/a/b", "/a/one.txt"]
    assert paths(await ann.list("/", recursive=True)) == ["/a", "/a/b", "/a/b/c", "/a/one.txt"]
    assert paths([item async for item in ann.walk("/a")]) == ["/a/b", "/a/one.txt", "/a/b/c"]
    (file,) = await ann.list("/a/one.txt")
    assert (file.size, file.kind, file.revision) == (3, Kind.FILE, 1)
    root = await ann.stat("/")
    assert (root.path, root.is_folder) == ("/", True)
    assert await ann.exists("/a/one.txt")
    assert not await ann.exists("/a/two.txt")
    with pytest.raises(errors.NotFound):
        await ann.stat("/a/two.txt")
    with pytest.raises(errors.NotFound):
        await ann.list("/nothing")
    with pytest.raises(errors.NotAFolder):
        await anext(ann.walk("/a/one.txt"))


async def test_an_item_has_the_name_it_has_whatever_form_was_asked_for(ann: AsyncClient) -> None:
    await ann.mkdir("/" + unicodedata.normalize("NFC", "Müll"))
    found = await ann.stat("/" + unicodedata.normalize("NFD", "Müll"))
    assert found.path == "/" + unicodedata.normalize("NFC", "Müll")


async def test_moves_copies_and_deletions(ann: AsyncClient) -> None:
    await ann.upload_bytes(b"one", "/one.txt")
    await ann.mkdir("/in")
    assert (await ann.move("/one.txt", "/in")).path == "/in/one.txt"
    assert (await ann.move("/in/one.txt", "/in/two.txt")).path == "/in/two.txt"
    copied = await ann.copy("/in", "/out")
    assert (copied.item.path, copied.nodes, copied.left_out) == ("/out", 2, 0)
    assert await ann.read("/out/two.txt") == b"one"
    with pytest.raises(errors.Conflict):
        await ann.copy("/in/two.txt", "/out")
    assert (await ann.copy("/in/two.txt", "/out", autorename=True)).item.path != "/out/two.txt"
    with pytest.raises(errors.AlreadyExists):
        await ann.move("/in/two.txt", "/out/two.txt")
    for nonsense in (ann.move("/", "/in"), ann.copy("/", "/in"), ann.delete("/")):
        with pytest.raises(errors.InvalidRequest):
            await nonsense
    with pytest.raises(errors.FolderNotEmpty):
        await ann.delete("/in")
    assert (await ann.delete("/in", recursive=True)).path == "/in"
    with pytest.raises(errors.NotFound):
        await ann.delete("/in")
