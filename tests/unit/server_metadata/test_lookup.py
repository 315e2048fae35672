"""Looking at the tree: by path, by id, by folder, by version."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import Member, digest

from syncline.model.errors import CorruptCursor, InvalidName, NotFound
from syncline.model.ids import NodeId
from syncline.protocol.blocks import RevisionRef


async def test_paths_find_nodes_by_name_key(ada: Member) -> None:
    await ada.commit(ada.mkdir("d", name="Docs"), ada.create("f", "d", name="Résumé.txt"))
    metadata = ada.world.metadata
    found = await metadata.metadata_by_path(ada.caller, "/docs/RÉSUMÉ.TXT")
    assert found.entry is not None
    assert found.entry.node_id == ada.world.id("f")
    root = await metadata.metadata_by_path(ada.caller, "/")
    assert (root.entry, root.path, root.namespace) == (None, "/", ada.namespace)
    for path in ("/docs/none", "/none", "/docs/résumé.txt/below"):
        with pytest.raises(NotFound):
            await metadata.metadata_by_path(ada.caller, path)
    with pytest.raises(InvalidName):
        await metadata.metadata_by_path(ada.caller, "/docs/../docs")


async def test_ids_find_nodes_with_their_paths_deleted_or_not(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e", "d"), ada.create("f", "e"))
    metadata = ada.world.metadata
    assert (await metadata.metadata_by_id(ada.caller, ada.world.id("f"))).path == "/d/e/f"
    assert (await metadata.metadata_by_id(ada.caller, ada.root)).path == "/"
    await ada.commit(ada.delete("f", 1))
    found = await metadata.metadata_by_id(ada.caller, ada.world.id("f"))
    assert found.path == "/d/e/f"
    assert found.entry is not None
    assert found.entry.deleted
    with pytest.raises(NotFound):
        await metadata.metadata_by_id(ada.caller, NodeId("none"))


async def test_children_come_by_name_in_pages(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), *[ada.create(f"f{number}", "d", name=name) for number, name in enumerate("bDaCe")])
    metadata = ada.world.metadata
    names, page = [], None
    while True:
        answer = await metadata.children(ada.caller, None, ada.world.id("d"), page, 2)
        names += [entry.name for entry in answer.entries]
        page = answer.next
        if page is None:
            break
    assert names == ["a", "b", "C", "D", "e"]
    assert [entry.name for entry in (await metadata.children(ada.caller, None, ada.root)).entries] == ["d"]
    for folder in (ada.world.id("f0"), ada.world.id("none")):
        with pytest.raises(NotFound):
            await metadata.children(ada.caller, None, folder)
    with pytest.raises(CorruptCursor):
        await metadata.children(ada.caller, None, ada.root, "é")


async def test_versions_and_blocks_of_revisions(ada: Member) -> None:
    await ada.put(b"one", b"two")
    await ada.commit(ada.create("f", data=b"one"), ada.create("empty"), ada.mkdir("d"))
    await ada.commit(ada.edit("f", 1, b"two"), ada.move("f", name="g"))
    metadata, f = ada.world.metadata, ada.world.id("f")
    versions = await metadata.versions(ada.caller, None, f)
    assert [(entry.revision, entry.name) for entry in versions.entries] == [(2, "g"), (1, "f")]
    refs = [
        RevisionRef(node_id=f, revision=2),
        RevisionRef(node_id=ada.world.id("empty"), revision=1),
        RevisionRef(node_id=f, revision=9),
        RevisionRef(node_id=ada.world.id("d"), revision=0),
        RevisionRef(node_id=f, revision=1),
    ]
    found = await metadata.revision_blocks(ada.caller, ada.namespace, refs)
    assert [(one.node_id, one.revision) for one in found] == [(one.node_id, one.revision) for one in refs]
    assert [one.blocks for one in found] == [[(digest(b"two"), 3)], [], None, None, [(digest(b"one"), 3)]]


async def test_namespaces_show_their_heads(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    answer = await ada.world.metadata.namespaces(ada.caller)
    latest = await ada.world.metadata.latest(ada.caller)
    (namespace,) = answer.namespaces
    assert (namespace.id, namespace.sequence, namespace.chain, namespace.root) == (ada.namespace, 1, latest.chain, latest.root)
    assert namespace.is_root
    assert namespace.access.may_write
    assert answer.server_id == await ada.world.stores.accounts.server_id()
