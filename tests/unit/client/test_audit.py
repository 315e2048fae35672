"""The audit: whatever disagrees is found whole, and when to look again."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.client.kit import ONE, HandClock, Watching, local_of

from syncline.client.audit import Auditor, audit
from syncline.client.proof import away_on_purpose, doubt
from syncline.model.ids import NodeId
from syncline.model.limits import AUDIT_AGAIN_S, AUDIT_INTERVAL_S
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import HOME, JournalRemote


async def agreed(*names: str) -> tuple[JournalRemote, Watching, list[NodeId]]:
    remote = JournalRemote()
    device = Watching(remote)
    nodes = [remote.put(name) for name in names]
    await device.pull()
    device.agree()
    device.trees.open.clear()
    device.trees.here.fold()
    return remote, device, nodes


def doubted(device: Watching, away: int = 0) -> str | None:
    device.trees.here.fold()
    return doubt(device.trees, device.puller.cursors, away)


async def test_where_all_agree_it_finds_nothing() -> None:
    _, device, _ = await agreed("a", "b")
    assert doubted(device) is None
    assert audit(device.trees, device.puller).is_clean


async def test_a_node_that_no_plan_would_look_at_is_opened_again_and_named() -> None:
    for change in ("edited", "gone", "extra", "base gone", "renamed there"):
        _, device, nodes = await agreed("a", "b")
        trees = device.trees
        if change == "edited":
            trees.put_local(replace(trees.local[nodes[0]], content_hash=ONE))
        elif change == "gone":
            trees.remove_local(nodes[0])
        elif change == "extra":
            trees.put_local(local_of(NodeId("01" + "Z" * 24), "extra", content=ONE))
        elif change == "base gone":
            trees.remove_synced(nodes[0])
        else:
            trees.put_remote(replace(trees.remote[nodes[0]], name="other"))
        trees.open.clear()
        if change != "renamed there":
            assert doubted(device) is not None, change
        found = audit(trees, device.puller)
        assert len(found.lost_sight_of) == 1
        assert trees.open == set(found.lost_sight_of)
        assert found.path in ("a", "extra", "other")
        assert found.problem(None).code == "proof.mismatch"
        assert found.read_anew == ([HOME] if change == "renamed there" else [])


async def test_sums_that_went_wrong_are_replaced() -> None:
    _, device, _ = await agreed("a")
    device.trees.here._disk += 1
    assert doubted(device) is not None
    found = audit(device.trees, device.puller)
    assert found.drifted
    assert not found.lost_sight_of
    assert doubted(device) is None


async def test_a_remote_tree_that_is_not_the_servers_is_to_be_read_anew() -> None:
    remote, device, nodes = await agreed("a", "b")
    device.trees.remove_remote(nodes[0])
    assert audit(device.trees, device.puller).read_anew == [HOME]
    await device.puller._observe_anew(HOME, forget_synced=False)
    assert device.is_proven()
    remote.change(Change(op=Op.DELETE, node_id=nodes[0]))
    await device.pull()
    assert doubted(device) is not None, "the server has deleted it, and it is still here"


async def test_what_is_kept_off_this_disk_counts_only_where_it_is_meant() -> None:
    remote, device, _ = await agreed("a")
    away = remote.put("away")
    await device.pull()
    assert away in device.trees.open
    assert doubted(device) == "1 entries of the server are not on this disk, though 0 are kept off it on purpose."
    assert away_on_purpose(device.trees, frozenset()) == 0
    assert away_on_purpose(device.trees, frozenset((away,))) == 1
    assert doubted(device, 1) is None
    assert device.trees.here.not_here(HOME) == 1


def test_a_namespace_that_was_never_read_proves_nothing() -> None:
    device = Watching(JournalRemote())
    assert doubted(device) == "The server's tree has not been read yet."


def test_it_is_made_daily_and_at_once_where_roots_disagree_then_less_and_less_often() -> None:
    clock = HandClock()
    auditor = Auditor(clock)
    assert not auditor.is_due(doubt=False)
    assert auditor.passed_us is None
    auditor.proven()
    assert auditor.passed_us == clock.now_us(), "the start compares everything"
    clock.pass_s(AUDIT_INTERVAL_S)
    assert auditor.is_due(doubt=False)
    auditor.done(clean=True)
    assert auditor.passed_us == clock.now_us()
    assert not auditor.is_due(doubt=False)
    auditor.proven()
    for again in range(4):
        assert auditor.is_due(doubt=True)
        auditor.done(clean=False)
        clock.pass_s(AUDIT_AGAIN_S * 2**again - 1)
        assert not auditor.is_due(doubt=True)
        clock.pass_s(1)
    auditor.proven()
    assert auditor.is_due(doubt=True), "after agreement the next doubt is news"
