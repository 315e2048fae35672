"""Times looking about in one large namespace on SQLite: search, sizes, updates, the activity feed, a copy.

`python -m bench.views [NODES] [DATABASE]`; figures are milliseconds of processor time, so that a busy machine does not
count (median of the calls made). A database that exists is used again.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.metadata import Stopwatch
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.entries import Kind
from syncline.model.ids import EMPTY_DIGEST, DeviceId, NamespaceId, NodeId, UserId
from syncline.ports.account_store import User
from syncline.ports.clock import Ids
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.server.caller import Caller
from syncline.server.metadata.service import CursorCodec, Metadata
from syncline.server.views.fold import STATUSES
from syncline.server.views.places import Places
from syncline.server.views.service import NoContentUrls, Views
from syncline.server.views.tokens import TokenCodec

BATCH = 1000
TIMES = 7
WORDS = (
    *("plan", "report", "invoice", "photo", "summer", "meeting", "budget", "draft"),
    *("final", "notes", "contract", "scan", "holiday", "letter", "talk", "thesis"),
)
ENDINGS = ("pdf", "txt", "jpg", "docx", "md")


async def main(nodes: int, database: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = database or Path(folder) / "metadata.db"
        stores = await open_stores(path)
        try:
            await _run(stores, nodes)
        finally:
            await stores.close()
        print(f"the database has {path.stat().st_size / 1e6:,.0f} MB")


async def _run(stores: Stores, nodes: int) -> None:
    clock, chance, watch = MachineClock(), MachineChance(), Stopwatch(time.process_time)
    ids = Ids(clock, chance)
    metadata = Metadata(stores.metadata, CursorCodec(chance.token(32)), clock, ids, lambda _namespace, _head: None)
    user = await stores.accounts.user_by_email("b@x")
    if user is None:
        user = User(
            id=UserId(ids.fresh()),
            email="b@x",
            name="b",
            password_hash="",
            root_namespace=NamespaceId(ids.fresh()),
            created_us=clock.now_us(),
        )
        await stores.accounts.add_user(user)
        await _fill(metadata, Caller(user.id, DeviceId(ids.fresh())), user.root_namespace, ids, nodes, watch)
    caller = Caller(user.id, DeviceId(ids.fresh()))
    places = Places(metadata, stores.metadata, stores.views)
    views = Views(places, stores.metadata, stores.views, TokenCodec(bytes(32)), NoContentUrls())
    await _look(views, caller, watch, to_time(clock.now_us()).isoformat())
    watch.report()


async def _fill(metadata: Metadata, caller: Caller, root: NamespaceId, ids: Ids, nodes: int, watch: Stopwatch) -> None:
    """Folders of 999 files each, one in ten of them inside another."""
    chance = random.Random(7)
    folders = [NodeId(root)]
    for number in range(nodes // BATCH):
        folder = NodeId(ids.fresh())
        parent = chance.choice(folders) if number % 10 == 9 else NodeId(root)
        name = f"{chance.choice(WORDS)} {number}"
        changes = [Change(op=Op.CREATE, node_id=folder, parent_id=parent, name=name, kind=Kind.DIR)]
        for file in range(BATCH - 1):
            name = f"{chance.choice(WORDS)}_{chance.choice(WORDS)} {file:04} {chance.randrange(10**6)}.{chance.choice(ENDINGS)}"
            changes.append(
                Change(
                    op=Op.CREATE,
                    node_id=NodeId(ids.fresh()),
                    parent_id=folder,
                    name=name,
                    kind=Kind.FILE,
                    content_hash=EMPTY_DIGEST,
                    size=0,
                    blocks=[],
                )
            )
        request = CommitRequest(namespace=root, changes=changes)
        await watch.time("commit 1,000 creates", lambda r=request: metadata.commit(caller, r, ids.fresh()))  # type: ignore[misc]
        folders.append(folder)


async def _look(views: Views, caller: Caller, watch: Stopwatch, now: str) -> None:
    queries = ("no such name", "424242", "thesis contract 42", "plan", "*.docx", "report 0999*")
    for _ in range(TIMES):
        for query in queries:
            await watch.time(
                f"search {query!r}",
                lambda q=query: views.search.search(caller, q, path="/", kind=None, page=None, limit=50),  # type: ignore[misc]
            )
        await watch.time("usage of everything, depth 1", lambda: views.usage.usage(caller, "/", depth=1, held=False))
        await watch.time(
            "updates, the first page of all",
            lambda: views.updates.updates(caller, "/", since=None, until=None, statuses=STATUSES, page=None, page_size=1000),
        )
        await watch.time(
            "updates, nothing since now",
            lambda: views.updates.updates(caller, "/", since=now, until=None, statuses=STATUSES, page=None, page_size=1000),
        )
        await watch.time("usage with what bytes are held for", lambda: views.usage.usage(caller, "/", depth=0, held=True))
        await watch.time(
            "activity, a page of 50",
            lambda: views.activity.activity(caller, path="/", actor=None, device=None, before=None, limit=50),
        )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    uvloop.run(main(count, Path(sys.argv[2]) if len(sys.argv) > 2 else None))
