"""Views of a world's metadata, for tests, and their answers read to the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.server_metadata.world import Member, World

from syncline.adapters.sql.stores import Stores
from syncline.protocol.views import Update
from syncline.server.views.places import Places
from syncline.server.views.service import NoContentUrls, Views
from syncline.server.views.tokens import TokenCodec
from syncline.server.views.updates import parsed_statuses


def views_of(world: World, urls: Any = None) -> Views:
    assert isinstance(world.stores, Stores)
    places = Places(world.metadata, world.stores.metadata, world.stores.views)
    codec = TokenCodec(bytes(32))
    return Views(places, world.stores.metadata, world.stores.views, codec, urls or NoContentUrls())


async def updates(
    views: Views,
    member: Member,
    path: str = "/",
    *,
    since: str | None = None,
    until: str | None = None,
    status: str | None = None,
    page_size: int = 1000,
) -> tuple[list[Update], str]:
    """Every page's entries, and the `next_since`."""
    found: list[Update] = []
    page: str | None = None
    for _ in range(100_000):
        answer = await views.updates.updates(
            member.caller,
            path,
            since=since,
            until=until,
            statuses=parsed_statuses(status),
            page=page,
            page_size=page_size,
        )
        assert len(answer.entries) <= page_size
        found += answer.entries
        page = answer.next
        if page is None:
            assert answer.next_since is not None
            return found, answer.next_since
    raise AssertionError("the pages do not end")


def told(entries: Sequence[Update]) -> set[tuple[str, str, str | None]]:
    """(status, path or old path, new path where both are told)."""
    return {
        (one.status, one.filepath, None) if isinstance(one.filepath, str) else (one.status, str(one.filepath.old), one.filepath.new)
        for one in entries
    }
