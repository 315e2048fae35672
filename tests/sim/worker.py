"""Processes that play seeds: `python -m tests.sim.worker` reads seeds from standard input and answers with what came of each.

Each has a hash seed of its own, so that runs which must be alike can be played in processes in which every set and dict of strings
has another order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from tests.sim.runs import Result, quieten, run_seed


class Ask(Struct, frozen=True):
    """A seed to play. `planted` names a bug that this process carries from then on."""

    seed: int
    mode: str | None = None
    faults: tuple[str, ...] = ()
    planted: str | None = None


class Worker:
    """One such process, ended with the `with` block. `play` answers in order."""

    def __init__(self, hash_seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sim.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        )
        self._decoder = msgspec.json.Decoder(Result)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        if error is not None:
            self._process.kill()
        self._process.wait()

    def play(self, ask: Ask) -> Result:
        """Raises `RuntimeError` when the process died over it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(ask) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that played seed {ask.seed} ended: {self._process.wait()}")
        return self._decoder.decode(line)


def _asked() -> Iterator[Ask]:
    decoder = msgspec.json.Decoder(Ask)
    for line in sys.stdin.buffer:
        yield decoder.decode(line)


def main() -> None:
    quieten()
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    planted: str | None = None
    kept = ExitStack()
    for ask in _asked():
        if ask.planted is not None and ask.planted != planted:
            from tests.sim.planted import PLANTED

            assert planted is None, "a process carries one bug at most"
            planted = ask.planted
            kept.enter_context(PLANTED[planted].plant())
        answers.write(msgspec.json.encode(run_seed(ask.seed, ask.mode, ask.faults)) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
