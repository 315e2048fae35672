"""What a changeset may name, what it costs its owner, and the request as a whole."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import Member, World, content, digest

from syncline.model.errors import (
    CommitRefused,
    CursorReset,
    IdempotencyMismatch,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
)
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.commits import Change, Expected, Op


async def test_missing_blocks_are_named_change_by_change(ada: Member) -> None:
    await ada.put(b"have")
    changes = [
        ada.create("f", data=b"have"),
        ada.create("g", **content([b"have", b"not", b"nor", b"not"])),
        ada.create("h", data=b"nor"),
    ]
    failures = await ada.refused(*changes)
    assert {index: failure.hashes for index, failure in failures.items()} == {
        1: [digest(b"not"), digest(b"nor")],
        2: [digest(b"nor")],
    }
    await ada.commit(changes[0])


async def test_a_hash_is_not_a_capability(ada: Member) -> None:
    await ada.put(b"secret", state="verified")
    await ada.commit(ada.create("f", data=b"secret"))
    eve = await ada.world.person("eve")
    failures = await eve.refused(eve.create("mine", data=b"secret"))
    assert failures[0].code == "blocks.missing"


async def test_quota_refuses_new_bytes_only(world: World) -> None:
    small = await world.person("small", quota_bytes=10)
    await small.put(b"12345")
    await small.commit(small.create("f", data=b"12345"))
    await small.put(b"123456")
    with pytest.raises(QuotaExceeded):
        await small.commit(small.create("g", data=b"123456"))
    await small.commit(small.mkdir("d"), small.create("empty"), small.move("f", "d"))
    usage = await world.metadata.usage(small.caller)
    assert (usage.used_bytes, usage.quota_bytes) == (11, 10)


# -- The request as a whole -------------------------------------------------------------------------------------------------------


async def test_a_node_is_named_once_for_each_op(ada: Member) -> None:
    await ada.commit(ada.create("f"), ada.mkdir("d"))
    changes = [
        ada.move("f", name="x"),
        ada.move("f", name="y"),
        ada.mkdir("n"),
        ada.edit("n", None, description="t"),
        ada.move("d", name="e"),
        ada.delete("d"),
    ]
    codes = await ada.refused_codes(*changes)
    assert codes == {1: "request.invalid", 3: "request.invalid", 5: "request.invalid"}


async def test_requests_are_bounded(ada: Member) -> None:
    with pytest.raises(InvalidRequest):
        await ada.commit()
    with pytest.raises(LimitExceeded):
        await ada.commit(*[ada.mkdir(f"d{number}") for number in range(BATCH_MAX + 1)])
    with pytest.raises(InvalidRequest):
        await ada.commit(ada.mkdir("a"), key="k" * 1000)


async def test_an_expected_head_is_checked(ada: Member) -> None:
    first = await ada.commit(ada.mkdir("a"))
    then = Expected(sequence=first.sequence, chain=first.chain)
    await ada.commit(ada.mkdir("b"), expected=then)
    with pytest.raises(CommitRefused) as caught:
        await ada.commit(ada.mkdir("c"), expected=then)
    assert caught.value.fields["reason"] == "head.moved"
    with pytest.raises(CursorReset):
        await ada.commit(ada.mkdir("c"), expected=Expected(sequence=1, chain=digest(b"another history")))
    with pytest.raises(CursorReset):
        await ada.commit(ada.mkdir("c"), expected=Expected(sequence=9, chain=first.chain))


async def test_the_same_request_under_the_same_key_happens_once(ada: Member) -> None:
    first = await ada.commit(ada.mkdir("a"), key="k")
    await ada.commit(ada.mkdir("b"))
    assert await ada.commit(ada.mkdir("a"), key="k") == first
    assert len(await ada.entries()) == 2
    assert len(ada.world.committed) == 2
    with pytest.raises(IdempotencyMismatch):
        await ada.commit(ada.mkdir("c"), key="k")


async def test_an_answer_says_when_and_where_to_go_on_from_and_says_so_again(ada: Member) -> None:
    await ada.commit(ada.mkdir("before"))
    answer = await ada.commit(ada.mkdir("a"), ada.create("f"), key="k")
    page = await ada.world.metadata.changes(ada.caller, ada.namespace, None)
    assert {row.time for row in page.entries if row.changeset == answer.changeset} == {answer.time}
    assert (answer.cursor, answer.chain, answer.root) == (page.cursor, page.chain, page.root)
    await ada.commit(ada.mkdir("after"))
    assert [row.name for row in await ada.entries(answer.cursor)] == ["after"]
    assert await ada.commit(ada.mkdir("a"), ada.create("f"), key="k") == answer
    adopted = await ada.commit(ada.mkdir("a"))
    assert adopted.time is not None
    assert adopted.cursor == (await ada.world.metadata.latest(ada.caller, ada.namespace)).cursor


async def test_a_refusal_is_not_remembered(ada: Member) -> None:
    create = ada.create("f", data=b"later")
    with pytest.raises(CommitRefused):
        await ada.commit(create, key="k")
    await ada.put(b"later")
    await ada.commit(create, key="k")


async def test_keys_belong_to_devices(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), key="k")
    other = Member(
        ada.world, type(ada.caller)(ada.caller.user_id, type(ada.caller.device_id)(ada.world.ids.fresh())), ada.namespace
    )
    await other.commit(other.mkdir("b"), key="k")


async def test_foreign_namespaces_are_not_found(ada: Member) -> None:
    eve = await ada.world.person("eve")
    stranger = Member(ada.world, eve.caller, ada.namespace)
    with pytest.raises(NotFound):
        await stranger.commit(stranger.mkdir("a"))
    assert await ada.entries() == []


async def test_equal_ids_in_two_namespaces_do_not_meet(ada: Member) -> None:
    bob = await ada.world.person("bob")
    await ada.commit(ada.mkdir("d"), ada.create("f", "d"))
    await bob.commit(bob.mkdir("d"), bob.create("f"))
    await bob.commit(bob.delete("d"), bob.move("f", name="g"))
    assert await ada.tree() == {"d": "d", "d/f": "f"}
    assert await bob.tree() == {"g": "f"}
    await ada.check()
    await bob.check()


async def test_values_no_database_can_hold_are_refused_as_such(ada: Member) -> None:
    await ada.commit(ada.create("a"))
    assert await ada.refused_codes(ada.edit("a", 1, description="a\0b")) == {0: "request.invalid"}
    for strange in ("a\0b", "x" * 5000):
        assert await ada.refused_codes(Change(op=Op.DELETE, node_id=NodeId(strange), base_revision=1)) == {0: "node.missing"}
    with pytest.raises((NotFound, InvalidRequest)):
        await ada.world.metadata.changes(ada.caller, NamespaceId("a\0b"), None)
    with pytest.raises(CommitRefused):
        await ada.commit(ada.edit("a", 1 << 80, executable=True))
