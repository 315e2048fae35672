"""One linked device, wired: home, disk, store, server and engine. What the command line and the daemon drive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from syncline.adapters import failpoints
from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.disk.inotify import InotifyWatcher
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.app.home import Credentials, Home, HomeLock, Link
from syncline.app.root_lock import lock_root
from syncline.app.session import connect
from syncline.app.verifying import Verifying
from syncline.client.activity import LogLine
from syncline.client.assemble import Grounds, Identity, assemble
from syncline.client.engine import Engine
from syncline.client.inbox import Conflicted, inbox
from syncline.client.parts import Parts
from syncline.client.plan.describe import describe
from syncline.client.resolve import Keep, Resolved, resolve
from syncline.client.status import NamespaceStatus, Pending, Planned, Status
from syncline.client.verify.report import Progress, Report
from syncline.ports.remote import Remote
from syncline.protocol.changes import to_text


class Device:
    """An engine and everything it stands on. Make it with `open`, and `close` it."""

    def __init__(self, engine: Engine, home: Home, credentials: Credentials, link: Link, root: HomeLock) -> None:
        self._engine = engine
        self._home = home
        self._credentials = credentials
        self._link = link
        self._verifying = Verifying(engine, Path(link.folder))
        self._root = root

    @classmethod
    async def open(cls, home: Home, *, confirm_deletes: bool = False, once: bool = False) -> Device:
        """Wires the device of a home that the caller has locked. Raises `NotLoggedIn`, `NotLinked`, `NeedsDecision` when the folder
        is not the one that was linked, `RootBusy` when another engine syncs it, `Corrupt` when the device's own database is
        damaged."""
        credentials, link = home.credentials(), home.link()
        home.make()
        root = lock_root(Path(link.folder))
        remote = connect(home, credentials)
        try:
            parts = await asyncio.to_thread(_wire, home, credentials, link, remote)
        except BaseException:
            await remote.close()
            root.release()
            raise
        engine = Engine(parts, confirm_deletes=confirm_deletes, once=once)
        engine.paused = home.is_paused
        device = cls(engine, home, credentials, link, root)
        device.configure()
        return device

    async def run(self) -> None:
        """Syncs until `stop`."""
        await self._engine.run()

    async def sync_once(self) -> Status:
        """Syncs until nothing is left that can be done now (the device must be opened with `once`)."""
        await self._engine.run()
        return self.status()

    def status(self) -> Status:
        engine, parts, witness = self._engine, self._engine.parts, self._engine.witness
        state, problems, unproven = engine.claim()
        uploads, upload_bytes = parts.sender.pending
        downloads, download_bytes = parts.receiver.pending
        spaces = [
            NamespaceStatus(
                id=row.namespace,
                name=row.name,
                sequence=row.sequence,
                root=parts.trees.here.root(row.namespace),
                verified_at=_time_text(witness.verified_us.get(row.namespace)),
                not_here=parts.trees.here.not_here(row.namespace),
            )
            for row in list(parts.puller.cursors.values())
            if row.cursor
        ]
        return Status(
            state=state,
            folder=self._link.folder,
            server=self._credentials.server,
            device=self._credentials.device_name,
            pending=Pending(
                uploads=uploads,
                upload_bytes=upload_bytes,
                downloads=downloads,
                download_bytes=download_bytes,
                other=max(0, len(parts.trees.open) - uploads - downloads),
                unquiet=len(engine.lookout.observed.unquiet),
            ),
            progress=parts.executor.progress,
            traffic=parts.remote.traffic,
            namespaces=spaces,
            problems=problems,
            unproven=unproven,
            scanned_at=_time_text(engine.lookout.scanned_us),
            asked_at=_time_text(engine.contact.heard_us),
            audited_at=_time_text(witness.auditor.passed_us),
            offline_since=_time_text(engine.contact.offline_since_us),
        )

    async def wait(self, timeout_s: float | None) -> bool:
        return await self._engine.wait(timeout_s)

    def pause(self) -> None:
        """Until `resume`, also across restarts. Raises `LocalIo`."""
        self._home.remember_paused(True)
        self._engine.pause()

    def resume(self, *, confirm_deletes: bool = False) -> None:
        self._home.remember_paused(False)
        self._engine.resume(confirm_deletes=confirm_deletes)

    async def refresh(self) -> None:
        self._engine.refresh()

    def stop(self) -> None:
        self._engine.stop()

    async def plan(self) -> Planned:
        trees, looked = self._engine.parts.trees, await self._engine.look()
        held = {id(step) for step in looked.held}
        return Planned(steps=[describe(step, trees, held=id(step) in held) for step in looked.steps], guard=looked.guard)

    async def conflicts(self) -> list[Conflicted]:
        """The conflict inbox."""
        trees = self._engine.parts.trees
        return await self._engine.errand(lambda: inbox(trees))

    async def resolve(self, path: str, keep: Keep) -> Resolved:
        return await resolve(self._engine, path, keep)

    def configure(self) -> None:
        """Takes up settings that changed. Raises `LocalIo`."""
        self._engine.parts.merging = self._home.options().conflicts == "merge"

    async def verify(self, *, deep: bool, only: Sequence[str]) -> Report:
        return await self._verifying.verify(deep=deep, only=only)

    def verify_progress(self) -> Progress:
        return self._verifying.progress

    def log(self, limit: int) -> list[LogLine]:
        return self._engine.parts.activity.latest(limit)

    async def close(self) -> None:
        parts = self._engine.parts
        if parts.watcher is not None:
            parts.watcher.close()
        await parts.remote.close()
        await asyncio.to_thread(parts.store.close)
        self._root.release()


def _wire(home: Home, credentials: Credentials, link: Link, remote: Remote) -> Parts:
    store = SqliteTreeStore(home.state_db)
    store.prune()
    folder = Path(link.folder)
    on = Grounds(
        files=LinuxFiles(folder),
        watcher=InotifyWatcher(folder),
        store=store,
        remote=remote,
        spool=home.spool,
        clock=MachineClock(),
        chance=MachineChance(),
    )
    failpoints.arm(files=on.files, store=store, remote=remote)
    who = Identity(
        namespace=credentials.root_namespace,
        user=credentials.user_id,
        device=credentials.device_id,
        device_name=credentials.device_name,
        root_id=link.root_id,
    )
    return assemble(on, who)


def _time_text(time_us: int | None) -> str | None:
    return None if time_us is None else to_text(time_us)
