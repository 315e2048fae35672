"""Sharing: folders with their members and invitations, files granted one by one, and both as lists."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from syncline.model.entries import Access, Kind
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.protocol.changes import Entry


class ShareUser(Struct, kw_only=True):
    """Whom to share with, and what they may do. `owner` hands a shared folder over to a member who may write there."""

    email: str
    access: Access


class ShareRequest(Struct, kw_only=True):
    """`POST /v1/files/{id}/share`: a folder becomes a shared one with these people invited, a file is granted to them; at most
    `BATCH_MAX`. Without a `namespace` the id is looked for wherever the caller may read it."""

    users: list[ShareUser]
    namespace: NamespaceId | None = None


class ShareResult(Struct, kw_only=True, omit_defaults=True):
    """What became of one of them, in request order: `invited`, `changed`, `unchanged`, `owner`, `granted`; else `error`, a problem
    code, with the sentence that says why."""

    email: str
    access: Access
    status: str | None = None
    error: str | None = None
    detail: str | None = None


class ShareAnswer(Struct, kw_only=True):
    """`namespace` is where the node lives now: of a shared folder that is its own id."""

    namespace: NamespaceId
    node_id: NodeId
    kind: Kind
    users: list[ShareResult]


class Person(Struct, kw_only=True, omit_defaults=True):
    """Someone something is shared with. `invited_by` stands at those who have not answered yet, `granted_by` at those a file was
    granted to."""

    email: str
    name: str
    access: Access
    since: datetime
    user_id: UserId
    invited_by: UserId | None = None
    granted_by: UserId | None = None


class SharedWith(Struct, kw_only=True):
    """`GET /v1/files/{id}/share`: a shared folder's members and invitations, or whom a file was granted to. At most `BATCH_MAX` of
    each."""

    namespace: NamespaceId
    node_id: NodeId
    kind: Kind
    owner: str
    access: Access
    members: list[Person] = []
    invitations: list[Person] = []
    grants: list[Person] = []


class UnshareAnswer(Struct, kw_only=True):
    """`DELETE /v1/files/{id}/share?email=`: whom it is not shared with any more."""

    namespace: NamespaceId
    node_id: NodeId
    ended: list[str]


class SharedFolder(Struct, kw_only=True, omit_defaults=True):
    """A shared folder as one of its members, or of those invited, sees it. `path` is where it is mounted now; `invited_by` an
    e-mail address, for an invitation that waits for an answer."""

    namespace: NamespaceId
    name: str
    owner: str
    access: Access
    members: int
    since: datetime
    path: str | None = None
    invited_by: str | None = None


class SharedFile(Struct, kw_only=True):
    """A file that was shared by itself. It is read by id, with the namespace named."""

    namespace: NamespaceId
    entry: Entry
    owner: str
    email: str
    granted_by: str
    access: Access
    since: datetime


class Shared(Struct, kw_only=True):
    """`GET /v1/shared`: at most `BATCH_MAX` of each; `more` says that there are others."""

    folders: list[SharedFolder]
    invitations: list[SharedFolder]
    files: list[SharedFile]
    by_me: list[SharedFile]
    more: bool = False


class MountRequest(Struct, kw_only=True, omit_defaults=True):
    """`POST /v1/shares/{namespace}/accept` and `/mount`: where the folder is to lie in the caller's own tree, as a path, or as a
    folder's id and a name. What is left out is chosen: where it was before, else the top, under a free name."""

    path: str | None = None
    parent_id: NodeId | None = None
    name: str | None = None


class Mounted(Struct, kw_only=True):
    """A shared folder's place after that; `path` None where it is not mounted."""

    namespace: NamespaceId
    access: Access | None
    path: str | None
