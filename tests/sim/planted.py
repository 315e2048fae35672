"""Bugs to plant: mistakes of engine, protocol and server that the simulated worlds must find, each a patch of running code.

None is made up: each drops one precaution that the code takes, as a careless change would. `mode` is the kind of world in which it
shows soonest, and `faults` the groups of faults that bring it out; without them those that the seed draws.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import msgspec
from msgspec import Struct

from syncline.client.commits import Committer
from syncline.client.intents import Intents
from syncline.client.observe import entries, scene
from syncline.client.observe.hints import Dirt
from syncline.client.observe.pull import Puller
from syncline.client.observe.walk import Walk
from syncline.client.receive import arrange, moves, root
from syncline.client.receive.arrange import Arranger
from syncline.client.receive.claims import Claims
from syncline.client.receive.place import Placer
from syncline.client.receive.recover import Recovery
from syncline.client.receive.trash import Trash
from syncline.model.errors import CommitRefused
from syncline.server.blocks.receive import Receiving
from syncline.server.metadata import apply as server_apply
from syncline.server.metadata import commit as server_commit
from syncline.server.metadata import settle as server_settle
from syncline.server.metadata.commit import Commits
from syncline.testing.sim.files import SimFiles

Plant = Callable[[], AbstractContextManager[None]]


class Bug(Struct, frozen=True):
    """`where` is engine, protocol or server."""

    name: str
    where: str
    story: str
    plant: Plant
    mode: str = "many"
    faults: tuple[str, ...] = ()


@contextmanager
def patched(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    """Replaces attributes, and puts them back."""
    known = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in known:
            setattr(owner, name, value)


# -- what must be durable before it is claimed -------------------------------------------------------------------------------------


def _files_not_synced() -> AbstractContextManager[None]:
    return patched((Placer, "_sync", lambda self, opened, outcome: [item for item, _ in opened]))


def _folders_not_synced() -> AbstractContextManager[None]:
    return patched((Claims, "settle_folders", lambda self: self._folders.clear()))


def _rows_before_folders() -> AbstractContextManager[None]:
    settle, commit = Claims.settle_folders, Claims.commit

    def claimed_first(self: Claims) -> None:
        commit(self)
        settle(self)

    return patched((Claims, "commit", claimed_first), (Claims, "settle_folders", lambda self: None))


def _recovery_skipped() -> AbstractContextManager[None]:
    return patched((Recovery, "run", lambda self, rows: []))


def _arrivals_not_recorded() -> AbstractContextManager[None]:
    return patched((Claims, "begin", lambda self, rows: None))


# -- what must be looked at before it is touched -----------------------------------------------------------------------------------


def _rename_replaces() -> AbstractContextManager[None]:
    rename = SimFiles.rename

    def replacing(self: SimFiles, source: str, target: str) -> None:
        try:
            rename(self, source, target)
        except FileExistsError:
            self.remove_file(target)
            rename(self, source, target)

    return patched((SimFiles, "rename", replacing))


def _displaced_not_compared() -> AbstractContextManager[None]:
    return patched((Trash, "is_known", lambda self, path, now, before: True))


def _discard_unlinks() -> AbstractContextManager[None]:
    def unlinked(self: Arranger, step: Any, row: Any, outcome: Any) -> None:
        local, path = self._trees.local.get(step.node), self._trees.local_path(step.node)
        if local is None or path is None or row is None:
            outcome.drop(step.node)
            return
        self._claims.over(row[0])
        try:
            self._files.remove_file(path)
        except OSError as error:
            outcome.fail(step.node, path, error)
            return
        self._claims.gone(step.node)
        outcome.done.append(step.node)

    return patched((Arranger, "_discard", unlinked))


def _aside_overwritten() -> AbstractContextManager[None]:
    def overwritten(self: Placer, item: Any, present: Any, outcome: Any) -> bool:
        self._files.remove_file(item.target)
        self._files.rename(item.fetched.temp_path, item.target)
        return True

    return patched((Placer, "_set_aside", overwritten))


def _moves_not_compared() -> AbstractContextManager[None]:
    return patched(
        (moves, "stands", lambda files, path, local: True),
        (moves, "is_same", lambda now, local: True),
        (arrange, "stands", lambda files, path, local: True),
    )


# -- what must be seen before it is believed ---------------------------------------------------------------------------------------


def _unreadable_is_empty() -> AbstractContextManager[None]:
    look = Walk._list

    def believed(self: Walk, visit: Any) -> Any:
        listing = look(self, visit)
        return [] if listing is None and visit.id in self._memory.unread else listing

    return patched((Walk, "_list", believed))


def _marker_ignored() -> AbstractContextManager[None]:
    return patched(
        (Walk, "_believes", lambda self, visit, lost, found, seen: True), (root, "check_root", lambda files, expect_id: None)
    )


def _overflow_ignored() -> AbstractContextManager[None]:
    mark = Dirt.mark

    def deaf(self: Dirt, hints: Any, now_s: float) -> None:
        mark(self, msgspec.structs.replace(hints, lost=None), now_s)

    return patched((Dirt, "mark", deaf))


def _racy_trusted() -> AbstractContextManager[None]:
    return patched((scene, "is_racy", lambda signature, at_ns: False), (entries, "is_racy", lambda signature, at_ns: False))


def _absence_believed() -> AbstractContextManager[None]:
    replace_all = Puller._replace_all
    return patched((Puller, "_replace_all", lambda self, namespace, staged, forget: replace_all(self, namespace, staged, False)))


def _row_skipped() -> AbstractContextManager[None]:
    apply = Puller._apply

    def skipping(self: Puller, row: Any, rows: list[Any]) -> bool:
        return apply(self, row, rows[:-1] if len(rows) > 1 else rows)

    return patched((Puller, "_apply", skipping))


# -- what must be said once, and remembered ----------------------------------------------------------------------------------------


def _key_of_body() -> AbstractContextManager[None]:
    told = Committer._told

    async def keyed(self: Committer, namespace: Any, units: Any, pushes: Any, changes: Any, prepared: Any, outcome: Any) -> Any:
        body = hashlib.sha256(msgspec.json.encode([changes[0].node_id, changes[0].op])).hexdigest()
        ids = self._ids
        self._ids = _Fixed(body)  # type: ignore[assignment]
        try:
            return await told(self, namespace, units, pushes, changes, prepared, outcome)
        finally:
            self._ids = ids

    return patched((Committer, "_told", keyed))


class _Fixed:
    def __init__(self, text: str) -> None:
        self._text = text

    def fresh(self) -> str:
        return self._text


def _intents_forgotten() -> AbstractContextManager[None]:
    return patched((Intents, "match", lambda self, namespace, entry, device: []))


def _refusals_stored() -> AbstractContextManager[None]:
    commit = Commits.commit

    async def remembering(self: Commits, caller: Any, request: Any, key: str) -> Any:
        refused = self.__dict__.setdefault("refused", {})
        body = (caller.device_id, msgspec.json.encode(request))
        if body in refused:
            raise refused[body]
        try:
            return await commit(self, caller, request, key)
        except CommitRefused as refusal:
            refused[body] = refusal
            raise

    return patched((Commits, "commit", remembering))


def _ack_before_commit() -> AbstractContextManager[None]:
    async def early(self: Commits, caller: Any, request: Any, key: str) -> Any:
        body_hash = hashlib.sha256(server_commit._encoder.encode(request)).digest()
        context = self._store.commit(request.namespace, caller.user_id)
        transaction = await context.__aenter__()
        try:
            stored = await transaction.stored_answer(caller.device_id, key)
            if stored is None:
                recorded = await self._decide(transaction, caller, request, key, body_hash)
                await transaction.write(recorded.written)
        except BaseException as error:
            await context.__aexit__(type(error), error, None)
            raise
        # Whoever asked hears of it now; whether it lives to be committed is another matter.
        self.__dict__.setdefault("later", set()).add(asyncio.ensure_future(context.__aexit__(None, None, None)))
        return (server_commit._answers.decode(stored.answer), False) if stored else (recorded.answer, bool(recorded.written.rows))

    return patched((Commits, "commit", early))


# -- what the server must check ----------------------------------------------------------------------------------------------------


def _base_not_checked() -> AbstractContextManager[None]:
    return patched((server_apply, "_check_base", lambda node, change, *, required: None))


def _subtree_not_checked() -> AbstractContextManager[None]:
    subtree = server_apply._subtree
    return patched((server_apply, "_subtree", lambda overlay, top, as_of: subtree(overlay, top, 1 << 60)))


def _unjudged(reason: str) -> Plant:
    def plant() -> AbstractContextManager[None]:
        judge = server_settle._judge_parent

        def lenient(overlay: Any, standing: Any, draft: Any) -> Any:
            refusal = judge(overlay, standing, draft)
            return None if refusal is not None and refusal.reason == reason else refusal

        return patched((server_settle, "_judge_parent", lenient))

    return plant


def _possession_unproven() -> AbstractContextManager[None]:
    async def trusting(self: Receiving, rows: Any) -> Any:
        return list(rows)

    return patched((Receiving, "_arrived", trusting))


_BUGS: Final = (
    Bug(
        "files-not-synced",
        "engine",
        "Fetched files are renamed into place before their data is durable.",
        _files_not_synced,
        faults=("power",),
    ),
    Bug(
        "folders-not-synced",
        "engine",
        "Folders are never synced: names that rows claim may not survive.",
        _folders_not_synced,
        faults=("power",),
    ),
    Bug(
        "rows-before-folders",
        "engine",
        "Rows are written before the folders they speak of are durable.",
        _rows_before_folders,
        faults=("power",),
    ),
    Bug(
        "recovery-skipped",
        "engine",
        "What a crash cut short is not finished at the next start.",
        _recovery_skipped,
        "one-sided",
        ("crashes",),
    ),
    Bug(
        "deeds-not-recorded",
        "engine",
        "No row is written before a deed that cannot be derived again.",
        _arrivals_not_recorded,
        "one-sided",
        ("crashes",),
    ),
    Bug("rename-replaces", "engine", "Renames replace what stands at their target.", _rename_replaces, faults=("editors",)),
    Bug(
        "displaced-not-compared",
        "engine",
        "What a new version displaced is not compared with what was known.",
        _displaced_not_compared,
        faults=("editors",),
    ),
    Bug(
        "discard-unlinks",
        "engine",
        "A file deleted elsewhere is unlinked unseen, instead of put into the trash.",
        _discard_unlinks,
        faults=("editors",),
    ),
    Bug("conflict-overwritten", "engine", "Local bytes are overwritten where a conflict copy is due.", _aside_overwritten),
    Bug(
        "moves-not-compared",
        "engine",
        "What is moved is not compared with what was to be moved.",
        _moves_not_compared,
        faults=("editors",),
    ),
    Bug(
        "unreadable-is-empty",
        "engine",
        "A folder that cannot be read counts as empty.",
        _unreadable_is_empty,
        faults=("disk errors",),
    ),
    Bug("marker-ignored", "engine", "A root without its marker is believed.", _marker_ignored, faults=("crashes",)),
    Bug("overflow-ignored", "engine", "Nobody looks again after hints were lost.", _overflow_ignored, faults=("doubles",)),
    Bug("racy-trusted", "engine", "Signatures are trusted within the tick of a coarse clock.", _racy_trusted),
    Bug("absence-believed", "protocol", "What a server that lost its memory lacks counts as deleted.", _absence_believed),
    Bug("row-skipped", "protocol", "The last row of a page is lost.", _row_skipped),
    Bug("key-reused", "protocol", "One idempotency key serves several requests.", _key_of_body),
    Bug(
        "intents-forgotten",
        "protocol",
        "Changes whose answer was lost are not known again.",
        _intents_forgotten,
        "one-sided",
        faults=("network", "crashes"),
    ),
    Bug(
        "refusals-stored",
        "server",
        "A refusal is stored and given to every equal request.",
        _refusals_stored,
        faults=("slow server", "network"),
    ),
    Bug(
        "ack-before-commit",
        "server",
        "A commit is answered before it is made.",
        _ack_before_commit,
        faults=("crashes", "slow server"),
    ),
    Bug("base-not-checked", "server", "An edit based on an older revision is accepted.", _base_not_checked),
    Bug("subtree-not-checked", "server", "A folder is deleted with what came into it unseen.", _subtree_not_checked),
    Bug("cycle-not-checked", "server", "A folder may come to lie in itself.", _unjudged("tree.cycle")),
    Bug("parent-not-checked", "server", "A node may be put into a folder that was deleted.", _unjudged("parent.gone")),
    Bug(
        "possession-unproven",
        "server",
        "A pack counts as received without asking the store.",
        _possession_unproven,
        faults=("crashes",),
    ),
)
PLANTED: Final = {bug.name: bug for bug in _BUGS}
