"""Checking a device: beside a running engine, which heals what was found, or with none, from what it left behind.

Without an engine everything is opened to be read only: a scan or a pull would mend what a check is there to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.state.reading import read_remembered, written_ns
from syncline.app.home import Home
from syncline.app.session import connect
from syncline.client.engine import Engine
from syncline.client.observe.pull import NAME_KEYS
from syncline.client.receive.root import check_root
from syncline.client.trees.trees import Trees
from syncline.client.verify.held import Held
from syncline.client.verify.report import Notebook, Progress, Report, Show
from syncline.client.verify.verifier import Verifier
from syncline.model.entries import LocalNode, Signature, SyncedNode
from syncline.model.ids import NamespaceId
from syncline.model.limits import FULL_SCAN_INTERVAL_S, QUIET_CAP_S
from syncline.model.paths import EXACT_KEYS, key_rule

UNSEEN_NS = round((FULL_SCAN_INTERVAL_S + QUIET_CAP_S) * 1e9)
"""What an engine did not see for so long before it last wrote anything down, it may never have seen: nobody knows when it ended."""


class Verifying:
    """Checks beside a running engine, one at a time."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._files = LinuxFiles(folder)
        self._turn = asyncio.Lock()
        self._verifier: Verifier | None = None

    @property
    def progress(self) -> Progress:
        return Progress() if self._verifier is None else self._verifier.progress

    async def verify(self, *, deep: bool, only: Sequence[str]) -> Report:
        """Raises what the folder's absence raises."""
        async with self._turn:
            held = await self._held()
            await asyncio.to_thread(check_root, self._files, self._engine.parts.root_id)
            self._verifier = Verifier(held, self._files, self._engine.parts.remote, deep=deep, only=only)
            try:
                notes = await self._verifier.run()
            finally:
                self._verifier = None
            await self._heal(notes)
            return notes.report

    async def _held(self) -> Held:
        """Copies of what the engine goes by, taken between two of its rounds; what takes long is done after that."""
        parts = self._engine.parts
        held, nodes, still_open = await self._engine.between(
            lambda: (
                self._hold(),
                (list(parts.trees.remote), list(parts.trees.local), list(parts.trees.synced)),
                set(parts.trees.open),
            )
        )
        await asyncio.to_thread(held.trees.load, *nodes)
        held.trees.open = still_open
        return held

    def _hold(self) -> Held:
        """All but the nodes."""
        engine, parts = self._engine, self._engine.parts
        trees = Trees(NamespaceId(parts.trees.root), parts.trees.access, key=parts.trees.key)
        seen_us = engine.lookout.scanned_us
        return Held(
            trees=trees,
            cursors=[row for row in parts.puller.cursors.values() if row.cursor],
            # What was being written to when the scan came by is looked at later.
            seen_until_ns=None if seen_us is None else seen_us * 1000 - round(QUIET_CAP_S * 1e9),
            unquiet=frozenset(engine.lookout.observed.unquiet),
            claims=True,
            kept_roots={row.namespace: parts.puller.roots.text(row.namespace) for row in parts.puller.cursors.values()},
        )

    async def _heal(self, notes: Notebook) -> None:
        """What can be set right by looking is looked at anew: the folder, the nodes concerned, the server's tree."""
        report, parts = notes.report, self._engine.parts
        if not report.findings_total:
            return
        report.healing = bool(notes.nodes or notes.namespaces)
        first = report.findings[0]
        parts.activity.note("verify", first.path, f"{report.findings_total} found wrong, the first: {first.code}")
        if report.healing:
            await self._engine.between(lambda: self._doubt(notes))

    def _doubt(self, notes: Notebook) -> None:
        """In one go, so that the next plan comes after the scan and the snapshot. A node that one side lacks is not opened: before
        that side was looked at anew, the lack would read as a deletion. Looking opens it."""
        trees = self._engine.parts.trees
        for base in notes.lost:
            if base.id not in trees.local and (base.parent == trees.root or base.parent in trees.local):
                trees.put_local(_unseen(base))
        trees.open.update(node for node in notes.nodes if node in trees.local and node in trees.remote)
        self._engine.parts.puller.doubt(notes.namespaces)
        self._engine.refresh()


def _unseen(base: SyncedNode) -> LocalNode:
    """A lost node's place in the local tree: with a signature that no file has, so that the scan takes what is there for its."""
    return LocalNode(id=base.id, parent=base.parent, name=base.name, kind=base.kind, signature=Signature(0, 0, 0, 0, 0))


async def verify_here(home: Home, *, deep: bool, only: Sequence[str], show: Show) -> Report:
    """The same for a home without a running engine. Raises `NotLoggedIn`, `NotLinked`, `RootMissing`, `RootChanged`, `Corrupt`."""
    credentials, link = home.credentials(), home.link()
    files = LinuxFiles(Path(link.folder))
    await asyncio.to_thread(check_root, files, link.root_id)
    held = await asyncio.to_thread(_left_behind, home, NamespaceId(credentials.root_namespace))
    remote = connect(home, credentials)
    try:
        return (await Verifier(held, files, remote, deep=deep, only=only, show=show).run()).report
    finally:
        await remote.close()


def _left_behind(home: Home, root: NamespaceId) -> Held:
    # While syncing is paused nobody looks at the folder, whatever is written.
    written = None if home.is_paused else written_ns(home.state_db)
    remembered = read_remembered(home.state_db)
    access = {row.namespace: row.access for row in remembered.cursors if row.cursor}
    trees = Trees(root, access or None, key=key_rule(int(remembered.meta.get(NAME_KEYS, EXACT_KEYS))))
    trees.load(remembered.remote, remembered.local, remembered.synced)
    return Held(
        trees=trees,
        cursors=[row for row in remembered.cursors if row.cursor],
        seen_until_ns=None if written is None else written - UNSEEN_NS,
        resting=not remembered.inflight,
    )
