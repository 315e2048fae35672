"""The applier: the only hand that changes a synced root.

It carries out the disk steps of a plan, places what was fetched, and cleans up after a crash. It is synchronous: the control task
calls it in a worker thread and awaits it, and nobody else touches the trees meanwhile. Its laws are those of its rooms: `arrange`
(moves, folders, discards), `place` (fetched bytes), `claims` (disk before rows), `trash`, `recover`, `root`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from syncline.client.plan.steps import Fetch, Step
from syncline.client.receive import root
from syncline.client.receive.arrange import Arranger
from syncline.client.receive.claims import Claims
from syncline.client.receive.conflict_book import ConflictBook
from syncline.client.receive.fetched import Fetched
from syncline.client.receive.inflight import Trashed, effect_of
from syncline.client.receive.moves import Mover
from syncline.client.receive.outcome import Outcome
from syncline.client.receive.place import Placer
from syncline.client.receive.recover import Recovery
from syncline.client.receive.resolve import Resolver
from syncline.client.receive.trash import KEPT_S, Purged, Trash
from syncline.client.trees.trees import Trees
from syncline.model.ids import Digest
from syncline.ports.clock import Clock, Ids
from syncline.ports.local_files import LocalFiles
from syncline.ports.tree_store import InflightRow, TreeStore

__all__ = ["Applier", "Fetched", "Outcome", "Purged"]


class Applier:
    """`prepare_root`, then `recover`, then `disk` and `place` as plans have it. `device` names conflict copies."""

    def __init__(
        self,
        files: LocalFiles,
        store: TreeStore,
        trees: Trees,
        ids: Ids,
        clock: Clock,
        device: str = "this device",
    ) -> None:
        self._files = files
        self._store = store
        self._trees = trees
        self._ids = ids
        self._clock = clock
        self._claims = Claims(files, store, trees, ConflictBook(trees, clock, device))
        self._trash = Trash(files, self._claims, clock, device)
        self._mover = Mover(files, trees, self._claims, self._trash, ids)
        self._arranger = Arranger(files, trees, self._claims, self._trash, ids, self._mover)
        self._placer = Placer(files, trees, self._claims, self._trash, ids, clock)
        self.resolver = Resolver(files, trees, self._claims, self._trash, ids)
        """What conflicts are resolved with; for the control task, as everything here."""

    def prepare_root(self, expect_id: str | None) -> str:
        """Makes the state folder and, for a root linked for the first time (`expect_id` None), its marker; the root's id. A root
        that shows another marker, or none, raises `RootChanged` or `RootMissing`: it is not the folder that was linked."""
        return root.prepare_root(self._files, self._ids, expect_id)

    def check_root(self, expect_id: str) -> None:
        """That the root is the one that was linked; cheap enough for every round. Raises what
        `prepare_root` does."""
        root.check_root(self._files, expect_id)

    def disk(self, steps: Sequence[Step]) -> Outcome:
        """Carries out `MakeFolder`, `Relocate`, `Stage`, `SetExecutable`, `Discard` and `RemoveFolder` steps, in order. Raises
        `LocalIo` when the disk cannot make durable what was done."""
        return self._arranger.run(steps)

    def place(self, fetches: Sequence[tuple[Fetch, Fetched]]) -> Outcome:
        """Carries out `Fetch` steps whose bytes are here, a batch of up to `BATCH_MAX`. Raises `LocalIo` as `disk` does."""
        return self._placer.place(fetches)

    def settle(self) -> None:
        """What was done on disk before, but not seen to its end or not made durable since the disk failed, is so and claimed when
        this returns: until then nothing else may write what the trees hold. What the disk still fails is `Trees.away`. Costs
        nothing when there is nothing. Raises `LocalIo`."""
        unfinished = self._claims.unfinished()
        if unfinished:
            self._recovery().finish(unfinished)
        effects = (effect_of(row) for row in self._claims.unfinished())
        self._trees.away = frozenset(effect.node for effect in effects if effect is not None and not isinstance(effect, Trashed))
        self._placer.claim(Outcome())

    def drop_temp(self, temp_path: str) -> None:
        """Removes a fetched file that no plan asks for any more."""
        self._placer.drop_temp(temp_path)

    def recover(self, inflight: Sequence[InflightRow] | None = None) -> list[str]:
        """At start, after `prepare_root` and before watching: finishes or undoes what a crash cut short; lines for the log.
        `inflight` are the store's rows, if they were loaded already. Raises `LocalIo`."""
        rows = self._store.load().inflight if inflight is None else inflight
        return self._recovery().run(rows)

    def _recovery(self) -> Recovery:
        return Recovery(self._files, self._trees, self._claims, self._trash, self._mover, self._clock)

    def purge_trash(self, older_than_s: float = KEPT_S, *, keep: Collection[Digest] = ()) -> Purged:
        """Empties the local trash of what came longer ago (a minute at least), except contents in `keep`. Files that changed there
        return as conflict copies. A bounded number a call; `more` asks for another. Raises `LocalIo`."""
        return self._trash.purge(older_than_s, keep)
