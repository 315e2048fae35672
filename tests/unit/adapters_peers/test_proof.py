"""Proof that a message is from a process of the same server."""

from __future__ import annotations

import pytest

from syncline.adapters.machine import MachineChance
from syncline.adapters.peers.proof import SKEW_MAX_S, Proof
from syncline.model.errors import Unauthenticated
from syncline.testing.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def proof(clock: ManualClock) -> Proof:
    return Proof(bytes(32), clock, MachineChance())


def test_what_was_asked_is_what_is_proven(proof: Proof, clock: ManualClock) -> None:
    said = proof.ask("metadata/commit", b"body")
    proof.check("metadata/commit", b"body", said)
    stranger = Proof(bytes([1]) * 32, clock, MachineChance())
    head, _, mac = said.rpartition(".")
    for address, body, given in (
        ("metadata/latest", b"body", said),
        ("metadata/commit", b"bodY", said),
        ("metadata/commit", b"body", stranger.ask("metadata/commit", b"body")),
        ("metadata/commit", b"body", f"{head}0.{mac}"),
        ("metadata/commit", b"body", mac),
        ("metadata/commit", b"body", ""),
        ("metadata/commit", b"body", "ü"),
    ):
        with pytest.raises(Unauthenticated, match="secret"):
            proof.check(address, body, given)


def test_it_is_good_for_a_while(proof: Proof, clock: ManualClock) -> None:
    said = proof.ask("a/b", b"")
    clock.advance(SKEW_MAX_S)
    proof.check("a/b", b"", said)
    clock.advance(2)
    with pytest.raises(Unauthenticated, match="clocks"):
        proof.check("a/b", b"", said)


def test_an_answer_is_of_one_question(proof: Proof, clock: ManualClock) -> None:
    one, other = proof.ask("a/b", b""), proof.ask("a/b", b"")
    answered = proof.answer(one, b"answer")
    assert proof.is_answer(one, b"answer", answered)
    assert not proof.is_answer(other, b"answer", answered)
    assert not proof.is_answer(one, b"Answer", answered)
    assert not Proof(bytes([1]) * 32, clock, MachineChance()).is_answer(one, b"answer", answered)


def test_a_short_secret_is_none(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="32"):
        Proof(bytes(31), clock, MachineChance())
