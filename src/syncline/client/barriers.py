"""Barriers: somebody waits for "in sync as of a scan and a head check that both began after I asked"."""

from __future__ import annotations

import asyncio


class Barrier:
    """`settled` becomes true once in sync, false once nothing more can be done without a person or the server."""

    def __init__(self) -> None:
        self.scanned = False
        self.looked = False
        self.tried = False
        """A look at the server that began after the call has ended, well or not."""
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Barriers:
    """All who wait. A scan or look counts for those who waited when it began (`waiting` taken before it)."""

    def __init__(self) -> None:
        self._waiting: list[Barrier] = []

    def add(self) -> Barrier:
        barrier = Barrier()
        self._waiting.append(barrier)
        return barrier

    def drop(self, barrier: Barrier) -> None:
        if barrier in self._waiting:
            self._waiting.remove(barrier)

    def waiting(self) -> list[Barrier]:
        return list(self._waiting)

    def answer(self, *, settled: bool, in_sync: bool, stuck: bool, blocked: bool, offline: bool = False) -> None:
        """`settled` and `stuck` speak for barriers whose scan and look are done, `offline` for those whose look was tried (a round
        that was under way when somebody asked may have failed for reasons that are past); `blocked` for all."""
        for barrier in self.waiting():
            checked = barrier.scanned and barrier.looked
            if settled and checked:
                self._finish(barrier, in_sync)
            elif blocked or (offline and barrier.tried) or (stuck and checked):
                self._finish(barrier, False)

    def close(self) -> None:
        for barrier in self.waiting():
            self._finish(barrier, False)

    def _finish(self, barrier: Barrier, answer: bool) -> None:
        self._waiting.remove(barrier)
        if not barrier.settled.done():
            barrier.settled.set_result(answer)
