"""Which peer is asked next."""

from __future__ import annotations

from syncline.adapters.peers.ring import RETRY_MAX_S, Peer, Ring
from syncline.testing.clocks import ManualClock


class Even:
    """Chance in the middle: a pause is as long as its bound."""

    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def fraction(self) -> float:
        return 0.5


def ring_of(clock: ManualClock, *names: str) -> tuple[Ring[None], dict[str, Peer[None]]]:
    ring: Ring[None] = Ring(clock, Even())
    peers = {name: Peer(name, None) for name in names}
    ring.set(peers.values())
    return ring, peers


def named(ring: Ring[None]) -> str:
    return "".join(peer.name for peer in ring.order())


def test_each_is_asked_in_turn_and_the_others_after_it() -> None:
    ring, _ = ring_of(ManualClock(), "a", "b", "c")
    assert sorted(named(ring) for _ in range(3)) == ["abc", "bca", "cab"]


def test_who_fails_is_left_out_at_once_and_tried_again_last() -> None:
    clock = ManualClock()
    ring, peers = ring_of(clock, "a", "b")
    ring.failed(peers["a"])
    assert {named(ring) for _ in range(4)} == {"b"}
    assert ring.due() == []
    clock.advance(0.11)
    assert {named(ring) for _ in range(4)} == {"ba"}
    assert ring.due() == [peers["a"]]
    ring.worked(peers["a"])
    assert {named(ring) for _ in range(4)} == {"ab", "ba"}


def test_the_longer_it_fails_the_rarer_it_is_tried_but_never_given_up() -> None:
    clock = ManualClock()
    ring, peers = ring_of(clock, "a")
    pauses = []
    for _ in range(12):
        ring.failed(peers["a"])
        pauses.append(peers["a"].out_until_s - clock.monotonic_s())
    assert [round(pause, 3) for pause in pauses[:4]] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == RETRY_MAX_S
    assert ring.order() == []
    clock.advance(RETRY_MAX_S + 0.01)
    assert named(ring) == "a"


def test_nobody_is_asked_where_there_is_nobody() -> None:
    ring, _ = ring_of(ManualClock())
    assert ring.order() == []
