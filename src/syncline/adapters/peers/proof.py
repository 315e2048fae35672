"""Proof that a message is from a process of the same server: an HMAC under the cluster's secret, on questions and on answers.

A question's proof covers its address, its time, a nonce and the whole body; an answer's covers the nonce it answers, so none can be
passed off for another. Whoever reads along on the wire learns no secret, but sees what is asked, and could repeat a question within
`SKEW_MAX_S`: where the network between processes is not to be trusted, use TLS as well.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from syncline.model.errors import Unauthenticated
from syncline.ports.clock import Chance, Clock

SECRET_MIN_BYTES: Final = 32
SKEW_MAX_S: Final = 300
NONCE_BYTES: Final = 12
_QUESTION: Final = b"syncline question 1\0"
_ANSWER: Final = b"syncline answer 1\0"


class Proof:
    def __init__(self, secret: bytes, clock: Clock, chance: Chance) -> None:
        if len(secret) < SECRET_MIN_BYTES:
            raise ValueError(f"a cluster's secret takes at least {SECRET_MIN_BYTES} bytes")
        self._secret = secret
        self._clock = clock
        self._chance = chance

    def ask(self, address: str, body: bytes) -> str:
        """The proof that goes with a question."""
        said = f"{self._now_s()}.{self._chance.token(NONCE_BYTES).hex()}"
        return f"{said}.{self._of_question(address, said, body)}"

    def check(self, address: str, body: bytes, proof: str) -> None:
        """Raises `Unauthenticated` unless the question is from a process of this server, and of now."""
        said, _, mac = proof.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._of_question(address, said, body).encode()):
            raise Unauthenticated(reason="the two processes do not have the same cluster secret")
        if abs(int(said.partition(".")[0]) - self._now_s()) > SKEW_MAX_S:
            raise Unauthenticated(reason="the clocks of the two processes are too far apart")

    def answer(self, proof: str, body: bytes) -> str:
        """The proof that goes with the answer to a question with `proof`."""
        return hmac.new(self._secret, _ANSWER + proof.encode() + b"\0" + body, hashlib.sha256).hexdigest()

    def is_answer(self, proof: str, body: bytes, answered: str) -> bool:
        """Whether this is the answer to the question with `proof`, from a process of this server."""
        return hmac.compare_digest(self.answer(proof, body).encode(), answered.encode())

    def _of_question(self, address: str, said: str, body: bytes) -> str:
        head = f"{address}\0{said}\0".encode()
        return hmac.new(self._secret, _QUESTION + head + body, hashlib.sha256).hexdigest()

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000
