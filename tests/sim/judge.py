"""A judge with a session of their own, who looks at the server alone: its tree, its whole history, every byte of it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from syncline.app.home import Home
from syncline.app.remote_get import stream
from syncline.app.session import connect, sign_in
from syncline.model.entries import Kind
from syncline.model.ids import NodeId
from syncline.protocol.changes import RAW, Entry
from tests.e2e.world import Tree


class Judge:
    """Follows the journal from the moment it is made. Not a device with a folder: nothing it does changes anything."""

    def __init__(self, home: Path, url: str, email: str, password: str) -> None:
        self._runner = asyncio.Runner()
        keeper = Home(home)
        credentials = self._runner.run(sign_in(url, email, password, "judge"))
        keeper.make()
        keeper.save_credentials(credentials)

        async def connected() -> None:
            self._remote = connect(keeper, credentials)

        self._runner.run(connected())
        self._space = credentials.root_namespace
        self._live: dict[NodeId, Entry] = {}
        self._revisions: dict[tuple[NodeId, int], Entry] = {}
        self._proved: set[tuple[NodeId, int]] = set()
        page = self._runner.run(self._remote.snapshot(self._space, None))
        assert not page.entries, "a judge begins with an empty tree"
        self._cursor = page.cursor

    def close(self) -> None:
        self._runner.run(self._remote.close())
        self._runner.close()

    def tree(self) -> Tree:
        """The server's tree now, as `tests.e2e.world.tree` tells one of a disk."""
        self._runner.run(self._follow())
        places = {entry.node_id: self._path(entry) for entry in self._live.values()}
        assert len(set(places.values())) == len(places), "two nodes have one path"
        return {
            places[entry.node_id]: ("dir", None, False)
            if entry.kind is Kind.DIR
            else ("file", str(entry.content_hash), entry.executable)
            for entry in self._live.values()
        }

    @property
    def history(self) -> set[str]:
        """The content hashes of every revision there ever was."""
        return {str(entry.content_hash) for entry in self._revisions.values()}

    def prove_history(self) -> int:
        """Fetches every revision not fetched before, and its bytes must be what its content hash says. How many it fetched."""
        new = [entry for key, entry in self._revisions.items() if key not in self._proved]
        self._runner.run(self._prove(new))
        self._proved.update((entry.node_id, entry.revision) for entry in new)
        return len(new)

    async def _prove(self, entries: list[Entry]) -> None:
        turns = asyncio.Semaphore(8)

        async def fetch(entry: Entry) -> None:
            digest = hashlib.sha256()
            async with turns:
                if entry.size:
                    async for block in stream(self._remote, self._space, entry):
                        digest.update(block)
            assert digest.hexdigest() == entry.content_hash, f"revision {entry.revision} of {entry.name} is not what it was"

        await asyncio.gather(*map(fetch, entries))

    async def _follow(self) -> None:
        more = True
        while more:
            page = await self._remote.changes(self._space, self._cursor)
            for entry in page.entries:
                if entry.deleted:
                    self._live.pop(entry.node_id, None)
                else:
                    self._live[entry.node_id] = entry
                    if entry.kind is Kind.FILE and entry.content != RAW:
                        self._revisions.setdefault((entry.node_id, entry.revision), entry)
            self._cursor, more = page.cursor, page.has_more

    def _path(self, entry: Entry) -> str:
        names, at = [entry.name], entry.parent_id
        while at in self._live:
            names.append(self._live[at].name)
            at = self._live[at].parent_id
        assert str(at) == str(self._space), f"{entry.name} lies under a folder that is not there"
        return "/".join(reversed(names))
