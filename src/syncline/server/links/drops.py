"""File drop: strangers put files into a folder they cannot see.

Each file is a revision by the link's maker, from the device `link:ID`, in the folder's namespace and on its owner's quota. It is
taken in whole before the tree is touched, so one that breaks off leaves nothing. A name that is taken gets a number; what the
sender is told is the name that was sent, since the other would tell of what lies there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from syncline.model.entries import Kind
from syncline.model.errors import CommitRefused, QuotaExceeded, TooBusy, Unavailable
from syncline.model.ids import LinkId, NodeId
from syncline.model.limits import DROP_FILE_MAX_BYTES, DROPS_AT_ONCE
from syncline.model.paths import key_rule
from syncline.ports.clock import Clock, Ids
from syncline.ports.metadata_store import MetadataStore
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.protocol.links import DroppedFile
from syncline.server.blocks.intake import Intake, Stream, Taken
from syncline.server.caller import Caller
from syncline.server.links.names import dropped_name, free_name
from syncline.server.links.public import PublicLinks
from syncline.server.links.reaching import Visit
from syncline.server.links.tokens import no_such_link
from syncline.server.metadata.service import Metadata

PER_LINK: Final = max(1, DROPS_AT_ONCE // 2)
NAMES_TRIED_MAX: Final = 10


class NoRoom(QuotaExceeded):
    """There is no room for this file in the folder it should go to."""

    # How much its owner may store is nobody else's business.


class Drops:
    def __init__(
        self, links: PublicLinks, store: MetadataStore, metadata: Metadata, intake: Intake, clock: Clock, ids: Ids
    ) -> None:
        self._links = links
        self._store = store
        self._metadata = metadata
        self._intake = intake
        self._clock = clock
        self._ids = ids
        self._open: dict[LinkId, int] = {}

    async def take(self, visit: Visit, name: str, content: AsyncIterator[bytes], expected: int) -> DroppedFile:
        """Takes one file in. Raises `NotFound` where the link ended or its limit is reached, `QuotaExceeded`, `LimitExceeded`,
        `TooBusy`, and what `content` raises."""
        clean = dropped_name(name)
        with self._turn(visit.link.id):
            await self._links.count(visit)

            async def room(wanted: int) -> None:
                usage = await self._metadata.usage(Caller(visit.reach.owner, visit.as_maker.device_id))
                if usage.quota_bytes is not None and usage.used_bytes + wanted > usage.quota_bytes:
                    raise NoRoom()

            await room(0)
            taken = await self._intake.take(
                Stream(
                    source=content,
                    namespace=visit.namespace,
                    user=visit.as_maker.user_id,
                    name=clean,
                    most=DROP_FILE_MAX_BYTES,
                    room=room,
                    expected=expected,
                )
            )
            if not await self._links.still_works(visit):
                raise no_such_link()
            await self._commit(visit, clean, taken)
        return DroppedFile(name=clean, size=taken.size, sha256=taken.content_hash)

    async def _commit(self, visit: Visit, name: str, taken: Taken) -> None:
        for _ in range(NAMES_TRIED_MAX):
            change = Change(
                op=Op.CREATE,
                node_id=NodeId(self._ids.fresh()),
                parent_id=visit.reach.node,
                name=await self.free(visit, name),
                kind=Kind.FILE,
                content_hash=taken.content_hash,
                size=taken.size,
                mtime=to_time(self._clock.now_us()),
                executable=False,
                blocks=taken.blocks,
                cut=taken.cut,
            )
            request = CommitRequest(namespace=visit.namespace, changes=[change])
            try:
                await self._metadata.commit(visit.as_maker, request, self._ids.fresh())
            except CommitRefused as refusal:
                codes = {str(failure.get("code")) for failure in refusal.fields["failures"]}
                if codes == {"name.taken"}:
                    continue
                if codes & {"parent.gone", "access.denied"}:
                    raise no_such_link() from refusal
                raise
            except QuotaExceeded as full:
                raise NoRoom() from full
            return
        raise Unavailable(what="A free name in this folder")

    async def free(self, visit: Visit, name: str) -> str:
        """A name in the folder that nobody has at this moment."""
        return await free_name(name, lambda wanted: self._taken(visit, wanted))

    async def _taken(self, visit: Visit, name: str) -> bool:
        head = await self._store.head(visit.link.created_by, visit.namespace)
        if head is None:
            raise no_such_link()
        return await self._store.child(visit.namespace, (visit.reach.node, key_rule(head.name_key_version)(name))) is not None

    @contextmanager
    def _turn(self, link: LinkId) -> Iterator[None]:
        """One of the link's turns: a stranger cannot keep everybody else's busy."""
        count = self._open.get(link, 0)
        if count >= PER_LINK:
            raise TooBusy(retry_after=5)
        self._open[link] = count + 1
        try:
            yield
        finally:
            self._open[link] -= 1
            if not self._open[link]:
                del self._open[link]
