"""A check of a device, hop by hop: disk ↔ local tree, local ↔ synced ↔ remote, remote ↔ server, and deep the bytes and manifests.

It works on copies of the trees and reads the disk and the server beside whatever runs; it changes nothing. A server that cannot be
reached ends only its own hops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from syncline.client.verify.agreement import AgreementCheck
from syncline.client.verify.content import ContentCheck
from syncline.client.verify.disk import DiskCheck, ToRead
from syncline.client.verify.held import Held
from syncline.client.verify.manifests import ManifestCheck
from syncline.client.verify.report import Notebook, Progress, Show
from syncline.client.verify.server import ServerCheck
from syncline.model.errors import TooBusy, Unauthenticated, Unavailable
from syncline.ports.local_files import LocalFiles
from syncline.ports.remote import Remote


class Verifier:
    """For one check. `notes` may be read while it runs."""

    def __init__(
        self, held: Held, files: LocalFiles, remote: Remote, *, deep: bool, only: Sequence[str] = (), show: Show | None = None
    ) -> None:
        self._held = held
        self._files = files
        self._remote = remote
        self._only = only
        self._deep = deep
        self._show = show
        self._is_over = False
        self.progress = Progress()
        self.notes = Notebook(deep=deep)

    async def run(self) -> Notebook:
        """Raises what the disk raises where the root itself cannot be looked at."""
        try:
            to_read = await asyncio.to_thread(self._disk)
            if self._deep:
                await asyncio.to_thread(self._content, to_read)
        finally:
            # A thread cannot be cancelled: it ends at the next file, or the next mebibyte.
            self._is_over = True
        await asyncio.to_thread(self._agreement)
        await self._server()
        return self.notes

    def _disk(self) -> list[ToRead]:
        check = DiskCheck(self._files, self._held, self.notes, self._only, lambda: self._is_over)
        check.check()
        compared = f"{check.entries:,} entries on the disk with the local tree, both ways"
        self.notes.hop("disk", compared)
        return check.to_read

    def _content(self, to_read: Sequence[ToRead]) -> None:
        check = ContentCheck(self._files, self._held, self.notes, self._shown, lambda: self._is_over)
        check.check(to_read)
        unknown = f"; {check.unknown:,} not hashed yet" if check.unknown else ""
        self.notes.hop("content", f"{check.files:,} files read whole ({check.bytes:,} bytes) with their hashes{unknown}")

    def _shown(self, progress: Progress) -> None:
        self.progress = progress
        if self._show is not None:
            self._show(progress)

    def _agreement(self) -> None:
        AgreementCheck(self._held, self.notes, self._only).check()
        trees = self._held.trees
        counts = f"{len(trees.local):,} local, {len(trees.synced):,} synced and {len(trees.remote):,} remote nodes"
        self.notes.hop("trees", f"{counts} with each other")

    async def _server(self) -> None:
        server = ServerCheck(self._remote, self._held, self.notes)
        await self._asked("server", server.check, lambda: _roots(server))
        if self._deep:
            manifests = ManifestCheck(self._remote, self._held, self.notes, self._only)
            await self._asked(
                "manifests",
                manifests.check,
                lambda: f"manifests of {manifests.revisions:,} files in sync, {manifests.blocks:,} blocks: all named, sizes add up",
            )

    async def _asked(self, hop: str, check: Callable[[], Awaitable[None]], compared: Callable[[], str]) -> None:
        if self.notes.report.lost is not None:
            self.notes.hop(hop, "not asked: the server was not reached", verdict="unreachable")
            return
        try:
            await check()
        except (Unavailable, TooBusy, Unauthenticated) as error:
            self.notes.report.lost = error.code
            self.notes.hop(hop, str(error), verdict="unreachable")
        else:
            self.notes.hop(hop, compared())


def _roots(check: ServerCheck) -> str:
    if not check.sequences:
        return "nothing: this device has not read the server's tree yet" if not check.nodes else f"{check.nodes:,} nodes"
    at = ", ".join(f"{sequence:,}" for sequence in check.sequences)
    return f"the Merkle root of {check.nodes:,} remote nodes with the server's at sequence {at}"
