"""Receiving: from revisions wanted to verified files beside their places, as few bytes over the wire as can be.

    submit → known on this device? → copy ───────────────────────────────────────────────▶ results, in batches
                     └ no → manifests → blocks, from this disk where they are, else from packs (`pouring`) ──▶

Two workers take batches of short files, one takes long files, so neither keeps the other waiting.

Laws: every node wanted gets exactly one result unless it is cancelled; a content is fetched once however many nodes want it;
nothing on this device or from the server is believed before it hashed to its name; damage is met with one fresh manifest, then
told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from syncline.client.local_errors import writing_error
from syncline.client.receive.buffers import Buffers
from syncline.client.receive.content import Content, Part, TempNames
from syncline.client.receive.fetched import Fetched, FetchFailed, Wanted
from syncline.client.receive.manifests import Needs, accept, reference
from syncline.client.receive.outbox import Outbox
from syncline.client.receive.pouring import Pour
from syncline.client.receive.ranges import Near, plan_in_order, plan_ranges
from syncline.client.receive.root import TMP
from syncline.client.receive.writing import Event, Writer
from syncline.model.entries import Signature
from syncline.model.errors import Corrupt, CorruptManifest, DiskFull, Forbidden, NotFound, SynclineError
from syncline.model.ids import EMPTY_DIGEST, Digest, NodeId
from syncline.model.limits import BATCH_MAX, MIB
from syncline.ports.clock import Chance, Clock
from syncline.ports.local_files import LocalFiles
from syncline.ports.remote import Remote
from syncline.ports.tree_store import TreeStore
from syncline.protocol.blocks import PackSource

log = structlog.get_logger(__name__)

SHORT_MAX_BYTES: Final = 64 * MIB
SHORT_WORKERS: Final = 2
BATCH_BYTES: Final = 256 * MIB
STRIKES_MAX: Final = 2
ROUNDS_MAX: Final = 3
"""Fresh manifests in a row that bring no new block."""

Locate = Callable[[Digest], tuple[str, Signature] | None]
Lane = OrderedDict[NodeId, Wanted]


class Receiver:
    """Takes revisions wanted, gives batches of results. `locate` says where on this device a content lies (on the event loop)."""

    def __init__(self, files: LocalFiles, remote: Remote, store: TreeStore, clock: Clock, chance: Chance, locate: Locate) -> None:
        self._files = files
        self._remote = remote
        self._store = store
        self._clock = clock
        self._locate = locate
        self._writer = Writer(files, TempNames(chance))
        self._buffers = Buffers()
        self._short: Lane = OrderedDict()
        self._long: Lane = OrderedDict()
        self._taking: dict[NodeId, Content] = {}
        self._contents: dict[Digest, Content] = {}
        self._pending_bytes = 0
        self._short_wake = asyncio.Event()
        self._long_wake = asyncio.Event()
        self._outbox = Outbox(lambda: bool(self._short or self._long or self._taking))
        self.results: asyncio.Queue[list[Fetched | FetchFailed]] = self._outbox.results

    # -- what others call ------------------------------------------------------------------------------------------------------

    async def submit(self, wanted: Sequence[Wanted]) -> None:
        """Queues revisions; what was wanted for the same nodes before is cancelled."""
        for want in wanted:
            self.cancel(want.node)
            short = want.size <= SHORT_MAX_BYTES
            (self._short if short else self._long)[want.node] = want
            self._pending_bytes += want.size
            (self._short_wake if short else self._long_wake).set()

    def cancel(self, node: NodeId) -> None:
        """No result will come for `node`. A long file's part stays, for the next time."""
        want = self._short.pop(node, None) or self._long.pop(node, None)
        content = self._taking.pop(node, None)
        if content is not None:
            want = next(taker for taker in content.takers if taker.node == node)
            content.takers = tuple(taker for taker in content.takers if taker is not want)
        if want is not None:
            self._pending_bytes -= want.size

    @property
    def pending(self) -> tuple[int, int]:
        """Files and bytes without a result yet."""
        return len(self._short) + len(self._long) + len(self._taking), self._pending_bytes

    async def run(self) -> None:
        """Until cancelled. What was being worked on when an earlier run ended is worked on again."""
        await self.submit([taker for content in self._contents.values() for taker in content.takers])
        self._contents.clear()
        await asyncio.to_thread(self._prepare)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._outbox.run())
            group.create_task(self._work(self._long, self._long_wake, 1))
            for _ in range(SHORT_WORKERS):
                group.create_task(self._work(self._short, self._short_wake, BATCH_MAX))

    def _prepare(self) -> None:
        try:
            self._writer.prepare(self._clock.now_us() * 1000)
        except OSError as error:
            log.warning("receive.not_prepared", error=str(writing_error(error, TMP)))

    # -- batches ---------------------------------------------------------------------------------------------------------------

    async def _work(self, lane: Lane, wake: asyncio.Event, count_max: int) -> None:
        while True:
            while not lane:
                if not self._taking:
                    self._buffers.rest()
                wake.clear()
                await wake.wait()
            await self._outbox.room()
            batch = await self._next_batch(lane, count_max)
            if batch:
                try:
                    await self._receive(batch)
                finally:
                    await asyncio.shield(self._close(batch))

    async def _next_batch(self, lane: Lane, count_max: int) -> list[Content]:
        """Contents of one namespace to fetch. Nodes whose content is being fetched already join it."""
        batch: list[Content] = []
        room = BATCH_BYTES
        failed: list[Fetched | FetchFailed] = []
        while lane and len(batch) < count_max:
            node, want = next(iter(lane.items()))
            room -= want.size
            if batch and (room < 0 or want.namespace != batch[0].namespace):
                break
            lane.popitem(last=False)
            content = self._contents.get(want.content_hash)
            if content is not None and not content.is_dropped and content.size == want.size:
                content.takers += (want,)
            else:
                try:
                    content = Content(want)
                except SynclineError as error:
                    self._pending_bytes -= want.size
                    failed.append(FetchFailed(node=node, error=error))
                    continue
                self._contents[content.hash] = content
                batch.append(content)
            self._taking[node] = content
        await self._outbox.put(failed)
        return batch

    async def _close(self, batch: Sequence[Content]) -> None:
        """Whatever is left open is given back, and forgotten."""
        parts = [content.part for content in batch if content.part is not None]
        for content in batch:
            if self._contents.get(content.hash) is content and content.is_dropped:
                del self._contents[content.hash]
        if parts:
            await asyncio.to_thread(_close_parts, parts)

    # -- one batch -------------------------------------------------------------------------------------------------------------

    async def _receive(self, batch: Sequence[Content]) -> None:
        left = dict.fromkeys(await self._from_this_device(await self._with_room(batch)))
        while left:
            for content in [content for content in left if content.is_dropped]:
                del left[content]
            asked = [(content, reference(content)) for content in list(left)[:BATCH_MAX]]
            if not asked:
                return
            for content, _ in asked:
                content.trouble = None
            before = [content.part.have_count if content.part is not None else 0 for content, _ in asked]
            try:
                answer = await self._remote.manifests(asked[0][0].namespace, [ref for _, ref in asked])
            except SynclineError as error:
                # It is about the question, and about none of the contents: each ends with it.
                for content in left:
                    await self._fail(content, error)
                return
            if not answer.manifests:
                await self._take([(asked[0][0], CorruptManifest(reason="the server sent none"))])
                continue
            needs, failed = accept(self._files, asked, answer)
            await self._take(failed)
            answered = asked[: len(answer.manifests)]
            needs = await self._from_parts(needs, [(content, ref.from_block) for content, ref in answered])
            await self._pour(needs, answer.packs)
            await self._count_rounds(answered, before)

    async def _with_room(self, batch: Sequence[Content]) -> list[Content]:
        """The contents that the disk has room for; a large one that it has not must not eat the room of small ones."""
        try:
            free = await asyncio.to_thread(self._files.free_bytes)
        except OSError as error:
            # The disk went away: nothing can be written now.
            for content in batch:
                await self._fail(content, writing_error(error, TMP))
            return []
        fit: list[Content] = []
        for content in batch:
            if content.size > free and not await asyncio.to_thread(self._writer.has_begun, content.hash):
                await self._fail(content, DiskFull(path="this folder"))
            else:
                free -= content.size
                fit.append(content)
        return fit

    async def _count_rounds(self, answered: Sequence[tuple[Content, object]], before: Sequence[int]) -> None:
        """A content whose manifests keep bringing nothing is given up: the server says one thing and the store another."""
        for (content, _), had in zip(answered, before, strict=False):
            have = content.part.have_count if content.part is not None else 0
            content.rounds = 0 if have > had else content.rounds + 1
            if content.rounds >= ROUNDS_MAX:
                await self._fail(content, content.trouble or CorruptManifest(reason="its blocks never come"))

    async def _from_this_device(self, batch: Sequence[Content]) -> list[Content]:
        """Copies contents that lie here already, and makes empty files; the contents that must come from the server."""
        near: list[tuple[Content, str | None]] = []
        far: list[Content] = []
        for content in batch:
            found = self._locate(content.hash) if content.hash != EMPTY_DIGEST else None
            if found is None and content.size:
                far.append(content)
            else:
                near.append((content, found[0] if found is not None else None))
        if near:
            events, not_so = await asyncio.to_thread(self._writer.copy_near, near)
            await self._take(events)
            far += not_so
        return far

    async def _from_parts(self, needs: Needs, contents: Sequence[tuple[Content, int]]) -> Needs:
        """Opens the files long contents grow in; blocks that an earlier run left there are no longer needed."""
        long = [(content, since) for content, since in contents if content.part is not None]
        if not long:
            return needs
        await self._take(await asyncio.to_thread(self._writer.reserve, long))
        for need in needs.values():
            need.targets = [
                (content, index) for content, index in need.targets if content.part is None or not content.part.has(index)
            ]
        return {name: need for name, need in needs.items() if need.is_wanted}

    async def _known_blocks(self, needs: Needs) -> Near:
        """Where blocks of long contents should lie in other files on this device. Hints: a block is believed once it was read."""
        hopeful = [name for name, need in needs.items() if any(content.part is not None for content, _ in need.targets)]
        if not hopeful:
            return {}
        try:
            sources = await asyncio.to_thread(self._store.block_sources, hopeful)
        except SynclineError as error:
            log.warning("receive.no_hints", error=str(error))
            return {}
        near: dict[Digest, tuple[str, int]] = {}
        for name, source in sources.items():
            found = self._locate(source.content_hash)
            if found is not None and source.size == needs[name].block.size:
                near[name] = (found[0], source.offset)
        return near

    async def _pour(self, needs: Needs, packs: list[PackSource]) -> None:
        """Reads blocks from this disk where they should be here, the others from the store. A long file's come in its own order,
        short ones' in that of the packs, so that a few reads bring them."""
        near = await self._known_blocks(needs)
        pour = Pour(self._remote, self._writer, self._buffers, self._take)
        if any(content.size > SHORT_MAX_BYTES for need in needs.values() for content, _ in need.targets):
            absent = await pour.run(plan_in_order(needs.values(), packs, near))
        else:
            absent = await pour.run(plan_in_order([need for name, need in needs.items() if name in near], packs, near))
            absent += [need for name, need in needs.items() if name not in near]
        await pour.run(plan_ranges(absent, packs))

    # -- ends ------------------------------------------------------------------------------------------------------------------

    async def _take(self, events: Iterable[Event]) -> None:
        """Contents that ended are handed out; those in trouble get another manifest, or are given up."""
        done: list[Fetched | FetchFailed] = []
        for content, outcome in events:
            if isinstance(outcome, Fetched):
                done += await self._hand_out(content, outcome)
            elif isinstance(outcome, Corrupt | NotFound):
                await self._struck(content, outcome)
            elif isinstance(outcome, Forbidden):
                # The address ran out: the next round's manifest brings a new one.
                content.trouble = outcome
            else:
                await self._fail(content, outcome)
        await self._outbox.put(done)

    async def _struck(self, content: Content, error: SynclineError) -> None:
        """Damage: once a round it counts, and the next round's manifest may name a sound copy."""
        if content.trouble is None:
            content.strikes += 1
            log.info("receive.damaged", node=content.node, code=error.code, strikes=content.strikes)
        content.trouble = error
        if isinstance(error, CorruptManifest) and content.part is not None:
            part, content.part = content.part, None
            await asyncio.to_thread(part.close, remove=True)
        if content.strikes >= STRIKES_MAX:
            await self._fail(content, error)

    async def _hand_out(self, content: Content, got: Fetched) -> list[Fetched | FetchFailed]:
        """The file for the taker it was made for, and copies of it for the others."""
        results: list[Fetched | FetchFailed] = []
        served: set[NodeId] = set()
        while others := [taker for taker in content.takers if taker.node not in served and taker.node != got.node]:
            results += await asyncio.to_thread(self._writer.copies, got, others)
            served.update(taker.node for taker in others)
        alive = {taker.node for taker in content.takers}
        content.takers = ()
        if self._contents.get(content.hash) is content:
            del self._contents[content.hash]
        for node in alive:
            self._forget(node)
        results = [got, *results]
        unwanted = [result.temp_path for result in results if result.node not in alive and isinstance(result, Fetched)]
        if unwanted:
            await asyncio.to_thread(self._writer.remove, unwanted)
        return [result for result in results if result.node in alive]

    async def _fail(self, content: Content, error: SynclineError) -> None:
        takers, content.takers = content.takers, ()
        if self._contents.get(content.hash) is content:
            del self._contents[content.hash]
        for taker in takers:
            self._forget(taker.node)
        if isinstance(error, DiskFull) and content.part is not None:
            part, content.part = content.part, None
            await asyncio.to_thread(part.close, remove=True)
        await self._outbox.put([FetchFailed(node=taker.node, error=error) for taker in takers])

    def _forget(self, node: NodeId) -> None:
        content = self._taking.pop(node, None)
        if content is not None:
            self._pending_bytes -= content.size


def _close_parts(parts: Iterable[Part]) -> None:
    for part in parts:
        part.close()
