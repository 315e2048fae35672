"""What the server knows under an id and will not let come back, since it is of others now: what lies here begins anew."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.client.kit import HandClock, local_of, node_id, push

from syncline.client.activity import Activity
from syncline.client.commits import Committed
from syncline.client.outgoing import Outgoing, Ran
from syncline.client.parking import Parking
from syncline.client.status import Progress
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, SyncedNode
from syncline.model.ids import NodeId
from syncline.protocol.commits import Op
from syncline.testing.journal_remote import HOME
from syncline.testing.memory import MemoryTreeStore

FRESH = node_id(99)


class Refusing:
    """A server that says one code to everything."""

    code = "node.deleted"

    def fresh_id(self) -> NodeId:
        return FRESH

    async def commit(self, units: Any, prepared: Any, heads: Any) -> Committed:
        return Committed(refused={push.node: self.code for unit in units for push in unit})


def outgoing_to(server: Refusing, trees: Trees) -> Outgoing:
    clock = HandClock()
    waiting: Any = None
    return Outgoing(
        trees=trees,
        store=MemoryTreeStore(),
        sender=waiting,
        committer=server,  # type: ignore[arg-type]
        parking=Parking(trees, clock),
        activity=Activity(clock),
        progress=Progress(),
        busy=set(),
    )


@pytest.mark.parametrize("agreed", [False, True], ids=["never agreed on", "agreed on before"])
async def test_a_folder_whose_id_is_of_others_takes_one_of_its_own(agreed: bool) -> None:
    trees, server = Trees(HOME), Refusing()
    outgoing = outgoing_to(server, trees)
    trees.put_local(replace(local_of(node_id(1), "shared"), kind=Kind.DIR))
    trees.put_local(local_of(node_id(2), "inside", parent=node_id(1)))
    if agreed:
        trees.put_synced(SyncedNode(id=node_id(1), namespace=HOME, parent=NodeId(HOME), name="shared", kind=Kind.DIR))
    place = {"parent": NodeId(HOME), "name": "shared", "kind": Kind.DIR}
    await outgoing.push([push(Op.CREATE, 1, **place)], {}, Ran())
    assert outgoing.buried == {node_id(1)}
    server.code, ran = "access.denied", Ran()
    await outgoing.push([push(Op.UNDELETE, 1, **place)], {}, ran)
    assert [node.id for node in trees.local.children(NodeId(HOME))] == [FRESH]
    assert [node.id for node in trees.local.children(FRESH)] == [node_id(2)]
    assert node_id(1) not in trees.synced
    assert ran.moved
    assert not outgoing.buried


async def test_an_id_that_is_taken_out_of_sight_is_given_up_once_the_server_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, server = Trees(HOME), Refusing()
    monkeypatch.setattr(server, "code", "node.exists")
    outgoing = outgoing_to(server, trees)
    trees.put_local(replace(local_of(node_id(1), "was shared"), kind=Kind.DIR))
    made = push(Op.CREATE, 1, parent=NodeId(HOME), name="was shared", kind=Kind.DIR)
    ran = Ran()
    await outgoing.push([made], {}, ran)
    assert node_id(1) in trees.local, "it may be this device's own, whose answer was lost: the look that follows tells"
    assert ran.refused
    await outgoing.push([made], {}, Ran())
    assert [node.id for node in trees.local.children(NodeId(HOME))] == [FRESH]


@pytest.mark.parametrize("code", ["moved", "node.missing"])
async def test_what_lies_in_the_trash_of_another_namespace_comes_back_as_something_new(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, server = Trees(HOME), Refusing()
    monkeypatch.setattr(server, "code", code)
    outgoing = outgoing_to(server, trees)
    trees.put_local(local_of(node_id(1), "moved"))
    trees.put_local(local_of(node_id(2), "new"))
    trees.put_synced(SyncedNode(id=node_id(1), namespace=HOME, parent=NodeId(HOME), name="f", kind=Kind.FILE))
    back = push(Op.UNDELETE, 1, parent=NodeId(HOME), name="moved")
    new = push(Op.CREATE, 2, parent=NodeId(HOME), name="new")
    for _ in range(2):
        await outgoing.push([back, new], {}, Ran())
    assert {node.name: node.id for node in trees.local} == {"moved": FRESH, "new": node_id(2)}
    assert node_id(1) not in trees.synced
