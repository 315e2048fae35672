"""What changed below a path since a time or an earlier answer: folded, with paths, page by page.

The first page fixes one window for each namespace in reach: from where its journal stood then to where it stands now. Pages walk
those windows by sequence, so what happens meanwhile belongs to the next question and shifts nothing. A folder that comes into the
path from elsewhere is followed by what is in it, since nobody who follows the path has seen that; so is a shared folder that was
mounted in the window. What was created and deleted within the window is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.errors import CursorReset, HistoryExpired, InvalidRequest, LimitExceeded, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.limits import BATCH_MAX
from syncline.ports.freshness import check_newest
from syncline.ports.metadata_store import Head, MetadataStore
from syncline.ports.view_store import ViewStore
from syncline.protocol.changes import to_time
from syncline.protocol.views import MovedPath, Update, Updates
from syncline.server.caller import Caller
from syncline.server.views.fold import MOVED, STATUSES, Change, Prefixes, fold
from syncline.server.views.places import Heads, Places, Scope, path_of, since_sequence, time_of
from syncline.server.views.tokens import TokenCodec

_NEWEST: Final = "The newest state of the namespace"
NAMESPACES_MAX: Final = 100
"""Namespaces in one answer: their windows travel in its tokens."""
ROUNDS_MAX: Final = 10
"""Questions to the store for one page; what finds little by then is a short page."""


class Window(Struct, frozen=True, array_like=True, kw_only=True):
    """A stretch of one journal; `listed` says that all live nodes are told instead, since all are new to the caller's tree."""

    namespace: NamespaceId
    epoch: str
    after: int
    upto: int
    old_prefix: str
    new_prefix: str
    listed: bool = False


class UpdatesToken(Struct, kw_only=True, omit_defaults=True):
    """Where a reading stands: in which window, after which row; within a folder that came in, or a listing, after which node."""

    scope: Scope
    windows: list[Window]
    statuses: list[str]
    at: int = 0
    position: int = 0
    below: NodeId | None = None
    listed: NodeId | None = None


class UpdatesMark(Struct, kw_only=True):
    """Where the journals stood at an answer's end."""

    positions: list[tuple[NamespaceId, str, int]]


class ContentUrls(Protocol):
    """Addresses from which revisions' bytes can be read for a few minutes."""

    async def urls(self, caller: Caller, files: Sequence[tuple[NamespaceId, JournalEntry]]) -> list[str | None]:
        """In request order; None for what cannot be had now."""
        ...


class UpdatesView:
    def __init__(self, places: Places, store: MetadataStore, views: ViewStore, tokens: TokenCodec, urls: ContentUrls) -> None:
        self._places = places
        self._store = store
        self._views = views
        self._tokens = tokens
        self._urls = urls

    async def updates(
        self,
        caller: Caller,
        path: str,
        *,
        since: str | None,
        until: str | None,
        statuses: Sequence[str],
        page: str | None,
        page_size: int,
    ) -> Updates:
        """Raises `NotFound`, `InvalidRequest`, `CorruptCursor`, `HistoryExpired`, `CursorReset`, `LimitExceeded`."""
        heads = await self._places.heads(caller)
        if page is None:
            token = await self._begin(caller, heads, path, since, until, statuses)
        else:
            token = self._tokens.decode(caller.user_id, page, UpdatesToken)
            _check(token, heads)
        found: list[tuple[Window, Change]] = []
        for _ in range(ROUNDS_MAX):
            if token.at >= len(token.windows) or len(found) >= page_size:
                break
            window = token.windows[token.at]
            scope = _scope_in(token.scope, window)
            if window.namespace not in heads:
                changes = _next(token)
            elif window.listed:
                changes = await self._listed(token, window, page_size - len(found))
            elif token.below is not None:
                changes = await self._came_in(token, window, scope, page_size - len(found))
            else:
                changes = await self._journal(token, window, scope, page_size - len(found))
            found += [(window, change) for change in changes if change.status in token.statuses]
        return await self._answer(caller, token, found)

    # -- Windows -----------------------------------------------------------------------------------------------------------

    async def _begin(
        self, caller: Caller, heads: Heads, path: str, since: str | None, until: str | None, statuses: Sequence[str]
    ) -> UpdatesToken:
        scope = await self._places.find(caller, path)
        mounts = await self._places.mounts(caller, heads)
        if scope.namespace not in mounts:
            raise NotFound(what=path)
        reached = [scope.namespace]
        if heads[scope.namespace].is_root:
            inner = scope.path.rstrip("/") + "/"
            reached += [one for one, place in mounts.items() if one not in reached and place.startswith(inner)]
        if len(reached) > NAMESPACES_MAX:
            raise LimitExceeded(what="The number of shared folders below one path", limit=NAMESPACES_MAX)
        upto = {one: await self._upto(heads[one], until) for one in reached}
        after = await self._after(caller, heads, reached, since, upto)
        windows = [
            Window(
                namespace=one,
                epoch=heads[one].epoch,
                after=min(after.get(one, 0), upto[one]),
                upto=upto[one],
                old_prefix=mounts[one],
                new_prefix=mounts[one],
                listed=one not in after,
            )
            for one in reached
        ]
        if heads[scope.namespace].is_root:
            windows = [await self._mounted(windows[0], window) for window in windows]
        return UpdatesToken(scope=scope, windows=windows, statuses=list(statuses), position=windows[0].after)

    async def _upto(self, head: Head, until: str | None) -> int:
        if until is None:
            return head.sequence
        time_us = time_of(until)
        if time_us is None:
            raise InvalidRequest(message="`until` is a time such as 2026-01-31T12:00:00Z")
        return await since_sequence(self._views, head, time_us)

    async def _after(
        self, caller: Caller, heads: Heads, reached: Sequence[NamespaceId], since: str | None, upto: dict[NamespaceId, int]
    ) -> dict[NamespaceId, int]:
        """Where the windows begin. A namespace an earlier answer did not know is left out: everything in it is new."""
        if since is None:
            after = dict.fromkeys(reached, 0)
        elif (time_us := time_of(since)) is not None:
            after = {one: await since_sequence(self._views, heads[one], time_us) for one in reached}
        else:
            mark = self._tokens.decode(caller.user_id, since, UpdatesMark)
            after = {}
            for namespace, epoch, sequence in mark.positions:
                if namespace in upto:
                    _check_epoch(heads[namespace], epoch, sequence)
                    after[namespace] = sequence
        for one, sequence in after.items():
            if sequence < heads[one].pruned_sequence:
                raise HistoryExpired(namespace=one)
        return after

    async def _mounted(self, root: Window, window: Window) -> Window:
        """A mounted namespace's window, seen from the root: what was not mounted before is listed; what was made from a folder in
        the window begins after that, since its files were there before."""
        if window.namespace == root.namespace:
            return window
        mount = NodeId(window.namespace)
        before = (await self._views.lineages(root.namespace, [(mount, root.after)])).get((mount, root.after), [])
        if not before or before[0].deleted:
            return replace(window, listed=True)
        old_prefix = path_of(before)
        if before[0].mount:
            return replace(window, old_prefix=old_prefix)
        rows = await self._views.node_rows(root.namespace, mount, root.after, BATCH_MAX)
        turned = next((row for row in rows if row.mount), None)
        made = None if turned is None else await self._views.position_at(window.namespace, turned.time_us)
        after = window.after if made is None else max(window.after, min(made.sequence, window.upto))
        return replace(window, old_prefix=old_prefix, after=after, listed=False)

    # -- Rows --------------------------------------------------------------------------------------------------------------

    async def _journal(self, token: UpdatesToken, window: Window, scope: Scope, limit: int) -> list[Change]:
        """The next nodes that changed in the window, up to one that brings others with it."""
        folded = await self._views.folded(window.namespace, token.position, window.upto, limit)
        token.position = folded.seen
        rows = folded.entries
        changes = await self._fold(window, scope, rows)
        found: list[Change] = []
        for row in rows:
            change = changes.get(row.node_id)
            if change is None:
                continue
            found.append(change)
            if change.enters and row.kind is Kind.DIR and MOVED in token.statuses:
                token.position, token.below = row.sequence, row.node_id
                return found
        if token.position >= window.upto:
            _next(token)
        return found

    async def _came_in(self, token: UpdatesToken, window: Window, scope: Scope, limit: int) -> list[Change]:
        """What lies in a folder that came into the scope and has not changed itself since before the window."""
        assert token.below is not None
        folder = token.below
        rows = await self._views.unchanged_below(window.namespace, folder, window.after, token.listed, limit)
        if len(rows) < limit:
            token.below, token.listed = None, None
            if token.position >= window.upto:
                _next(token)
        else:
            token.listed = rows[-1].node_id
        lineages = await self._views.lineages(window.namespace, [(row.node_id, window.upto) for row in rows])
        brought = [row for row in rows if _bringer(lineages.get((row.node_id, window.upto), []), window.after) == folder]
        changes = await self._fold(window, scope, brought)
        return [change for row in brought if (change := changes.get(row.node_id)) is not None]

    async def _listed(self, token: UpdatesToken, window: Window, limit: int) -> list[Change]:
        rows = await self._store.live(window.namespace, token.listed, limit)
        if len(rows) < limit:
            _next(token)
        else:
            token.listed = rows[-1].node_id
        wanted = [(row.node_id, max(row.sequence, window.upto)) for row in rows]
        lineages = await self._views.lineages(window.namespace, wanted)
        prefixes = Prefixes(window.old_prefix, window.new_prefix)
        top = Scope(namespace=window.namespace, node=NodeId(window.namespace), path=window.new_prefix)
        changes = [fold([], lineages[one], top, prefixes) for one in wanted if one in lineages]
        return [change for change in changes if change is not None]

    async def _fold(self, window: Window, scope: Scope, rows: Sequence[JournalEntry]) -> dict[NodeId, Change]:
        wanted = [(row.node_id, as_of) for row in rows for as_of in (window.after, window.upto)]
        lineages = await self._views.lineages(window.namespace, wanted)
        prefixes = Prefixes(window.old_prefix, window.new_prefix)
        found: dict[NodeId, Change] = {}
        for row in rows:
            after = lineages.get((row.node_id, window.upto), [row])
            change = fold(lineages.get((row.node_id, window.after), []), after, scope, prefixes)
            if change is not None:
                found[row.node_id] = change
        return found

    # -- Answers -----------------------------------------------------------------------------------------------------------

    async def _answer(self, caller: Caller, token: UpdatesToken, found: Sequence[tuple[Window, Change]]) -> Updates:
        files = [(window.namespace, change.entry) for window, change in found if change.renewed and change.entry.kind is Kind.FILE]
        urls = dict(zip([entry.node_id for _, entry in files], await self._urls.urls(caller, files), strict=True))
        ended = token.at >= len(token.windows)
        mark = UpdatesMark(positions=[(window.namespace, window.epoch, window.upto) for window in token.windows])
        return Updates(
            path=token.scope.path,
            entries=[_update(window, change, urls.get(change.entry.node_id)) for window, change in found],
            next=None if ended else self._tokens.encode(caller.user_id, token),
            next_since=self._tokens.encode(caller.user_id, mark) if ended else None,
        )


def _bringer(lineage: Sequence[JournalEntry], after: int) -> NodeId | None:
    """The nearest folder above a node that changed in the window: the one whose coming in brought it."""
    return next((entry.node_id for entry in lineage[1:] if entry.sequence > after), None)


def _next(token: UpdatesToken) -> list[Change]:
    """On to the next window."""
    token.at += 1
    token.below = token.listed = None
    token.position = token.windows[token.at].after if token.at < len(token.windows) else 0
    return []


def _scope_in(scope: Scope, window: Window) -> Scope:
    """The scope within a window's namespace: a namespace mounted below the scope lies in it whole."""
    if window.namespace == scope.namespace:
        return scope
    return Scope(namespace=window.namespace, node=NodeId(window.namespace), path=window.new_prefix)


def _check(token: UpdatesToken, heads: Heads) -> None:
    """Raises `NotFound`, `CursorReset` or `HistoryExpired` where the rest cannot be read any more."""
    if token.scope.namespace not in heads:
        check_newest(_NEWEST)
        raise NotFound(what=token.scope.path)
    for window in token.windows[token.at :]:
        head = heads.get(window.namespace)
        if head is not None:
            _check_epoch(head, window.epoch, window.upto)
            if window.after < head.pruned_sequence and not window.listed:
                check_newest(_NEWEST)
                raise HistoryExpired(namespace=head.namespace)


def _check_epoch(head: Head, epoch: str, sequence: int) -> None:
    if epoch != head.epoch or sequence > head.sequence:
        check_newest(_NEWEST)
        reason = "epoch_changed" if epoch != head.epoch else "history_diverged"
        raise CursorReset(reason=reason, epoch=head.epoch, namespace=head.namespace)


def _update(window: Window, change: Change, url: str | None) -> Update:
    entry = change.entry
    old, new = change.old, change.new
    filepath: str | MovedPath = new or old or ""
    if old is not None and new is not None and (old != new or change.status == MOVED):
        filepath = MovedPath(old=old, new=new)
    return Update(
        status=change.status,
        filepath=filepath,
        namespace=window.namespace,
        node_id=entry.node_id,
        kind=entry.kind,
        revision=entry.revision,
        size=entry.size,
        content_hash=entry.content_hash,
        executable=entry.executable,
        mtime=to_time(entry.mtime_us),
        time=to_time(entry.time_us),
        actor=entry.actor,
        device=entry.device,
        presignedUrl=url,
    )


def parsed_statuses(text: str | None) -> list[str]:
    """The statuses of `status=created,moved`; all without it. Raises `InvalidRequest`."""
    wanted = [one.strip() for one in (text or "").split(",") if one.strip()]
    if any(one not in STATUSES for one in wanted):
        raise InvalidRequest(message=f"`status` is a list of {', '.join(STATUSES)}")
    return wanted or list(STATUSES)
