"""Placing fetched files: verified bytes in `.syncline/tmp` become the user's file, in batches.

The order of a batch: look at every temporary file, make their data durable with one sync, write down which present files will be
displaced, rename, make the folders durable with one sync, look once more, claim everything in one transaction.

Laws: an absent place is taken by a rename that never replaces. A present file is first compared with the local tree, then exchanged
in one step with the new one, which waits under its name in the trash: so at every instant the place holds either the old bytes or
the new ones, and what is displaced lies in the trash already. It is compared again there; if somebody wrote in between it returns
as a conflict copy. Every file has a row that names its revision: found after a crash, that is the base, though the server may have
a newer one by then, which would else look like a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, BinaryIO, Final

from msgspec import Struct

from syncline.client.observe.racy import is_racy_though_set
from syncline.client.plan.steps import Fetch
from syncline.client.receive.claims import Claims
from syncline.client.receive.displace import Displacer
from syncline.client.receive.fetched import Fetched
from syncline.client.receive.inflight import Arriving, Effect, Replacing, Setting, mark_of, row_of, same_bytes
from syncline.client.receive.moves import refuse_place
from syncline.client.receive.outcome import Outcome
from syncline.client.receive.trash import Trash
from syncline.client.trees.trees import Trees
from syncline.model.conflicts import Reason
from syncline.model.entries import Kind, LocalNode, RemoteNode, Signature
from syncline.model.ids import NodeId
from syncline.model.paths import join, name_problem
from syncline.ports.clock import Clock, Ids
from syncline.ports.local_files import LocalFiles, Stat

OPEN_FILES_MAX: Final = 256
"""Temporary files open at once while their data is synced: well below the usual limit of 1,024 descriptors."""
_WORD: Final = (".doc", ".docx", ".docm", ".dot", ".dotx", ".dotm", ".rtf")


class _Item(Struct):
    """One file on its way. `present` is the local file it replaces or sets aside."""

    fetch: Fetch
    fetched: Fetched
    remote: RemoteNode
    folder: str
    target: str
    present: LocalNode | None
    arriving: Signature
    born_ns: int | None = None
    row_id: str = ""
    trash: str = ""
    aside: Stat | None = None


class Placer:
    """Carries out `Fetch` steps whose bytes are here."""

    def __init__(self, files: LocalFiles, trees: Trees, claims: Claims, trash: Trash, ids: Ids, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._trees = trees
        self._claims = claims
        self._trash = trash
        self._ids = ids
        self._unclaimed: list[_Item] = []
        """Placed, but not yet known to be durable there."""
        self._displacer = Displacer(files, claims, trash)

    def place(self, fetches: Sequence[tuple[Fetch, Fetched]]) -> Outcome:
        """Everything that could be placed is durable and claimed when this returns. A temporary file is used up by being placed, or
        removed when its revision is no longer wanted; else it stays for another try."""
        outcome = Outcome()
        items = self._seal(list(self._wanted(fetches, outcome)), outcome)
        self._claims.begin([row_of(item.row_id, self._effect(item)) for item in items])
        self._unclaimed += [item for item in items if self._put(item, outcome)]
        self.claim(outcome)
        return outcome

    def claim(self, outcome: Outcome) -> None:
        """What was placed is made durable and claimed, also what an earlier call could not make so. Raises `LocalIo`."""
        self._claims.settle_folders()
        placed, self._unclaimed = self._unclaimed, []
        for item in placed:
            self._claim(item, outcome)
        self._claims.commit()

    # -- before ------------------------------------------------------------------------------------------------------------------

    def _wanted(self, fetches: Sequence[tuple[Fetch, Fetched]], outcome: Outcome) -> Iterator[_Item]:
        """What still is to be placed, by the trees."""
        folders: dict[NodeId, str | None] = {}
        nothing = Signature(0, 0, 0, 0, 0)
        for fetch, fetched in fetches:
            node = fetch.node
            remote, present = self._trees.remote.get(node), self._trees.local.get(node)
            stale = fetched.ours is not None and (present is None or present.content_hash != fetched.ours)
            if remote is None or remote.content_hash != fetched.content_hash or stale:
                self.drop_temp(fetched.temp_path)
                outcome.drop(node)
                continue
            if fetch.parent not in folders:
                folders[fetch.parent] = self._claims.folder_path(fetch.parent, {})
            folder = folders[fetch.parent]
            if folder is None or not self._fits(fetch, present):
                outcome.drop(node)
                continue
            target = join(folder, fetch.name)
            problem = name_problem(fetch.name) or (fetch.aside_name is not None and name_problem(fetch.aside_name)) or None
            if problem is not None:
                outcome.tell("name.invalid", target, f"{fetch.name!r} cannot be a name here: {problem}.")
                continue
            if present is not None and self._is_locked(folder, fetch.name):
                outcome.tell("file.locked", target, "It is open in an office program; the new version comes once it is closed.")
                continue
            item = _Item(fetch, fetched, remote, folder, target, present, nothing, row_id=self._ids.fresh())
            if present is not None:
                item.trash = self._trash.place(item.row_id, fetch.name)
            yield item

    def _fits(self, fetch: Fetch, present: LocalNode | None) -> bool:
        """Whether the step still speaks of what the local tree holds."""
        if present is None:
            return fetch.aside_name is None
        if present.kind is not Kind.FILE or present.parent != fetch.parent or present.name != fetch.name:
            return False
        if fetch.aside_name is not None:
            return fetch.aside_id is not None and fetch.aside_id not in self._trees.local
        # Bytes nobody has read yet must not be displaced: the planner has them read first.
        return present.content_hash is not None

    def _is_locked(self, folder: str, name: str) -> bool:
        """Whether an office program marks the file as open by a lock file beside it."""
        marks = [f"~${name}", f".~lock.{name}#"]
        if name.lower().endswith(_WORD):
            marks += [f"~${name[1:]}", f"~${name[2:]}"]
        return any(self._exists(join(folder, mark)) for mark in marks)

    def _exists(self, path: str) -> bool:
        try:
            self._files.stat(path)
        except OSError:
            return False
        return True

    def _seal(self, items: Sequence[_Item], outcome: Outcome) -> list[_Item]:
        """Makes the data of the temporary files durable; those that are what they claim to be."""
        sealed: list[_Item] = []
        for start in range(0, len(items), OPEN_FILES_MAX):
            with ExitStack() as stack:
                opened: list[tuple[_Item, BinaryIO]] = []
                for item in items[start : start + OPEN_FILES_MAX]:
                    file = self._open(item, outcome)
                    if file is not None:
                        opened.append((item, stack.enter_context(file)))
                sealed += self._sync(opened, outcome)
        return sealed

    def _open(self, item: _Item, outcome: Outcome) -> BinaryIO | None:
        try:
            file = self._files.open_read(item.fetched.temp_path)
        except OSError as error:
            outcome.fail(item.fetch.node, item.target, error)
            return None
        try:
            if item.remote.revision != item.fetched.revision and item.fetched.merged is None:
                # The same bytes in a newer revision: its mode and time are the newer one's.
                self._files.set_attributes(file, executable=item.remote.executable, mtime_us=item.remote.mtime_us)
            item.arriving = self._files.fstat_signature(file)
            item.born_ns = self._files.birth_ns(item.fetched.temp_path)
        except OSError as error:
            file.close()
            outcome.fail(item.fetch.node, item.target, error)
            return None
        if item.arriving.size == item.fetched.size:
            return file
        file.close()
        self.drop_temp(item.fetched.temp_path)
        outcome.drop(item.fetch.node)
        return None

    def _sync(self, opened: Sequence[tuple[_Item, BinaryIO]], outcome: Outcome) -> list[_Item]:
        """One sync for all; when that fails, one for each, so that only those at fault are held back."""
        try:
            self._files.sync_files([file for _, file in opened])
            return [item for item, _ in opened]
        except OSError:
            durable: list[_Item] = []
            for item, file in opened:
                try:
                    self._files.sync_files([file])
                    durable.append(item)
                except OSError as error:
                    outcome.fail(item.fetch.node, item.target, error)
            return durable

    def _effect(self, item: _Item) -> Effect:
        fetch, remote = item.fetch, item.remote
        coming: dict[str, Any] = {
            "node": fetch.node,
            "origin": item.target,
            "arriving": item.arriving.inode,
            "namespace": remote.namespace,
            "parent": fetch.parent,
            "revision": remote.revision,
            "arriving_hash": item.fetched.content_hash,
            "executable": remote.executable,
            "born_ns": item.born_ns,
        }
        if item.present is None:
            return Arriving(**coming | mark_of(item.arriving))
        coming |= mark_of(item.present.signature)
        if fetch.aside_name is not None:
            assert fetch.aside_id is not None
            return Setting(aside=join(item.folder, fetch.aside_name), aside_id=fetch.aside_id, **coming)
        return Replacing(trash=item.trash, content_hash=item.present.content_hash, **coming)

    # -- the deed ----------------------------------------------------------------------------------------------------------------

    def _put(self, item: _Item, outcome: Outcome) -> bool:
        """Whether the new file is at its place now."""
        node, temp = item.fetch.node, item.fetched.temp_path
        try:
            if item.present is None:
                # Over either way: what was placed is claimed from memory, unless the process ends before it could be.
                self._claims.over(item.row_id)
                self._files.rename(temp, item.target)
            elif not self._displace(item, item.present, outcome):
                return False
        except FileExistsError:
            refuse_place(self._files, node, item.target, item.folder, outcome)
            return False
        except OSError as error:
            outcome.fail(node, item.target, error, item.folder)
            return False
        self._claims.touch(item.folder)
        return True

    def _displace(self, item: _Item, present: LocalNode, outcome: Outcome) -> bool:
        over = True
        try:
            if self._files.stat(item.target).signature != present.signature:
                outcome.drop(item.fetch.node, item.folder)
                return False
            if item.fetch.aside_name is not None:
                return self._set_aside(item, present, outcome)
            over = self._displacer.replace(item.row_id, item.fetched.temp_path, item.trash, item.target, present, outcome)
            return True
        except OSError:
            # A row whose hidden file is still there, since the disk failed midway, is left for the next start to finish.
            over = item.fetch.aside_name is not None or not self._exists(item.trash)
            raise
        finally:
            if over:
                self._claims.over(item.row_id)

    def _set_aside(self, item: _Item, present: LocalNode, outcome: Outcome) -> bool:
        """Renames the present file to its new name, and puts the new file at its place."""
        files = self._files
        assert item.fetch.aside_name is not None
        aside = join(item.folder, item.fetch.aside_name)
        try:
            files.rename(item.target, aside)
        except FileExistsError:
            outcome.drop(item.fetch.node, item.folder)
            return False
        self._claims.touch(item.folder)
        try:
            files.rename(item.fetched.temp_path, item.target)
        except OSError as error:
            try:
                files.rename(aside, item.target)
            except FileExistsError:
                # A new file of the user's has the place: what was set aside stays so, and the place is observed anew.
                self._claim_aside(item, present, files.stat(aside))
            outcome.fail(item.fetch.node, item.target, error, item.folder)
            return False
        item.aside = files.stat(aside)
        return True

    # -- after -------------------------------------------------------------------------------------------------------------------

    def _claim(self, item: _Item, outcome: Outcome) -> None:
        """The trees learn what is on disk, as a last look has it."""
        node = item.fetch.node
        if item.aside is not None and item.present is not None:
            self._claim_aside(item, item.present, item.aside)
            if not same_bytes(item.aside.signature, item.present.signature):
                outcome.rescan.add(item.folder)
        try:
            now = self._files.stat(item.target)
        except (FileNotFoundError, NotADirectoryError) as error:
            outcome.fail(node, item.target, error, item.folder)
            return
        except OSError:
            # It is there, as it was before its rename: the next scan will look again.
            now = Stat(item.fetch.name, Kind.FILE, item.arriving, 1, item.remote.executable)
            outcome.rescan.add(item.folder)
        if now.kind is not Kind.FILE:
            outcome.drop(node, item.folder)
            return
        # Written to since: the place holds an edit on top of this revision, whose bytes are not known yet.
        ours = same_bytes(now.signature, item.arriving)
        content = (item.fetched.merged or item.fetched.content_hash) if ours else None
        racy = is_racy_though_set(now.signature, self._clock.now_us() * 1000)
        self._claims.here(node, item.fetch.parent, now, name=item.fetch.name, content_hash=content, racy=racy)
        # In both cases this revision lay there: it is what an edit since is based on.
        self._claims.fetched(node, item.fetch.parent, item.fetch.name)
        if not ours:
            outcome.rescan.add(item.folder)
        outcome.done.append(node)

    def _claim_aside(self, item: _Item, present: LocalNode, aside: Stat) -> None:
        """The present file became a node of its own under its new name."""
        fetch = item.fetch
        if fetch.aside_id is None or fetch.aside_name is None or aside.kind is None:
            return
        self._claims.conflicts.open(
            Reason.BOTH_EDITED,
            copy=fetch.aside_id,
            original=fetch.node,
            source=item.target,
            copy_path=join(item.folder, fetch.aside_name),
            ours=present.content_hash,
        )
        self._trees.remove_local(fetch.node)
        content = present.content_hash if same_bytes(aside.signature, present.signature) else None
        self._claims.here(fetch.aside_id, present.parent, aside, name=fetch.aside_name, content_hash=content, racy=present.racy)

    def drop_temp(self, temp_path: str) -> None:
        """Removes a temporary file nobody wants any more."""
        try:
            self._files.remove_file(temp_path)
        except OSError:
            # Whatever keeps it there, the next start's cleaning meets it again.
            return
