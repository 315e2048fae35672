"""Looking at the tree without syncing it: by path, by folder, by version."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.ids import NamespaceId
from syncline.protocol.changes import Entry


class Metadata(Struct, kw_only=True):
    """`GET /v1/metadata?path=` (or `?node_id=&namespace=`): one node. The root folder has `entry` None."""

    namespace: NamespaceId
    path: str
    entry: Entry | None


class ChildrenPage(Struct, kw_only=True):
    """`GET /v1/folders/{id}/children?namespace=&page=`: live children by name; `{id}` of the root is the namespace's."""

    namespace: NamespaceId
    entries: list[Entry]
    next: str | None


class Versions(Struct, kw_only=True):
    """`GET /v1/files/{id}/versions?namespace=`: the journal rows that made a revision, newest first."""

    namespace: NamespaceId
    entries: list[Entry]
