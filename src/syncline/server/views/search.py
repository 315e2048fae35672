"""Searching by name over everything the caller may see in their tree.

What is asked for is folded as names are, so case and spelling in Unicode do not matter. Every word must occur; one with a `*` must
match the whole name. Namespaces are asked one after the other and their hits merged: best first, newest first among equals.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import InvalidRequest, LimitExceeded
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import NAME_MAX_BYTES
from syncline.model.paths import name_key
from syncline.ports.view_store import Hit, ViewStore, Wanted
from syncline.protocol.changes import Entry
from syncline.protocol.views import Found, SearchPage
from syncline.server.caller import Caller
from syncline.server.views.places import Places, path_of
from syncline.server.views.tokens import TokenCodec

WORDS_MAX: Final = 8
PAGE_MAX: Final = 200
_NOW: Final = (1 << 62) - 1
"""No sequence is above it: what is asked for as of then is asked for as of now."""


class SearchToken(Struct, kw_only=True):
    """What was asked for, and the last hit told."""

    query: str
    path: str
    kind: Kind | None
    rank: int
    time_us: int
    node: NodeId


class SearchView:
    def __init__(self, places: Places, views: ViewStore, tokens: TokenCodec) -> None:
        self._places = places
        self._views = views
        self._tokens = tokens

    async def search(self, caller: Caller, query: str, *, path: str, kind: Kind | None, page: str | None, limit: int) -> SearchPage:
        """Raises `InvalidRequest`, `NotFound` (no such path), `CorruptCursor`, `LimitExceeded`."""
        limit = min(limit, PAGE_MAX)
        token = None if page is None else self._tokens.decode(caller.user_id, page, SearchToken)
        if token is not None and (token.query, token.path, token.kind) != (query, path, kind):
            raise InvalidRequest(message="A page goes on with the search it came from: send the same q, path and kind")
        wanted = wanted_of(query, kind)
        heads = await self._places.heads(caller)
        mounts = await self._places.mounts(caller, heads)
        scope = await self._places.find(caller, path)
        inner = scope.path.rstrip("/") + "/"
        hits: list[tuple[NamespaceId, Hit]] = []
        for namespace, prefix in mounts.items():
            if namespace == scope.namespace:
                here = wanted if scope.is_top else _below(wanted, scope.node)
            elif prefix.startswith(inner):
                here = wanted
            else:
                continue
            found = await self._views.search(namespace, here, _after(token), limit + 1)
            hits += [(namespace, hit) for hit in found]
        hits.sort(key=_order)
        more, hits = len(hits) > limit, hits[:limit]
        return SearchPage(
            entries=await self._found(mounts, hits),
            next=self._tokens.encode(caller.user_id, _token(query, path, kind, hits[-1][1])) if more else None,
        )

    async def _found(self, mounts: dict[NamespaceId, str], hits: list[tuple[NamespaceId, Hit]]) -> list[Found]:
        paths: dict[tuple[NamespaceId, NodeId], str] = {}
        for namespace in {namespace for namespace, _ in hits}:
            wanted = [(hit.entry.node_id, _NOW) for one, hit in hits if one == namespace]
            lineages = await self._views.lineages(namespace, wanted)
            paths |= {(namespace, node): path_of(lineage, mounts[namespace]) for (node, _), lineage in lineages.items()}
        return [
            Found(path=paths[namespace, hit.entry.node_id], namespace=namespace, entry=Entry.of(hit.entry))
            for namespace, hit in hits
            if (namespace, hit.entry.node_id) in paths
        ]


def wanted_of(query: str, kind: Kind | None) -> Wanted:
    """What a query asks for. Raises `InvalidRequest` for an empty one, `LimitExceeded`."""
    try:
        if len(query.encode()) > NAME_MAX_BYTES:
            raise LimitExceeded(what="The number of bytes in a search", limit=NAME_MAX_BYTES)
    except UnicodeEncodeError:
        raise InvalidRequest(message="The search is not valid Unicode") from None
    parts = name_key(query).split()
    words, globs = [part for part in parts if "*" not in part], [part for part in parts if "*" in part]
    if not parts or all(not part.strip("*") for part in parts):
        raise InvalidRequest(message="Say what to look for: `q` is one or more words")
    if len(parts) > WORDS_MAX:
        raise LimitExceeded(what="The number of words", limit=WORDS_MAX)
    return Wanted(whole=" ".join(words), words=words, globs=globs, kind=kind)


def _below(wanted: Wanted, folder: NodeId) -> Wanted:
    return Wanted(whole=wanted.whole, words=wanted.words, globs=wanted.globs, kind=wanted.kind, below=folder)


def _order(pair: tuple[NamespaceId, Hit]) -> tuple[int, int, NodeId, NamespaceId]:
    namespace, hit = pair
    return hit.rank, -hit.entry.time_us, hit.entry.node_id, namespace


def _after(token: SearchToken | None) -> tuple[int, int, NodeId] | None:
    return None if token is None else (token.rank, token.time_us, token.node)


def _token(query: str, path: str, kind: Kind | None, hit: Hit) -> SearchToken:
    return SearchToken(query=query, path=path, kind=kind, rank=hit.rank, time_us=hit.entry.time_us, node=hit.entry.node_id)
