"""Changesets: what a commit asks for, and what it answers (`protocol.md` §3)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import ChangesetId, Digest, NamespaceId, NodeId, UploadId


class Op(StrEnum):
    CREATE = "create"
    EDIT = "edit"
    MOVE = "move"
    DELETE = "delete"
    UNDELETE = "undelete"


class Change(Struct, kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """One change. What each op takes:

    - create: node_id, parent_id, name, kind; files: content_hash, size, mtime, executable, blocks, cut
    - edit: node_id, base_revision; new content (content_hash, size, blocks, cut) or only mtime / executable / description
    - move: node_id, base_revision (of the file; folders: the sequence is not checked), parent_id, name
    - delete: node_id, base_revision (files) or recursive + subtree_as_of (folders)
    - undelete: node_id, and optionally parent_id + name, recursive, and new content as in edit

    `from_revision` (edit, undelete) names content by an earlier revision of the same file: its bytes, executable bit and mtime
    come again as a new revision, and none of them need be named or sent.
    """

    op: Op
    node_id: NodeId
    base_revision: int | None = None
    parent_id: NodeId | None = None
    name: str | None = None
    kind: Kind | None = None
    content_hash: Digest | None = None
    size: int | None = None
    mtime: datetime | None = None
    executable: bool | None = None
    mime_type: str | None = None
    description: str | None = None
    blocks: list[Digest] | None = None
    cut: str | None = None
    recursive: bool = False
    subtree_as_of: int | None = None
    from_revision: int | None = None


class Expected(Struct, kw_only=True):
    """The head the caller believes in; another head refuses the commit."""

    sequence: int
    chain: Digest


class CommitRequest(Struct, kw_only=True):
    """`POST /v1/files/commit`, with header `Idempotency-Key`."""

    namespace: NamespaceId
    changes: list[Change]
    expected: Expected | None = None


class FileCommit(Struct, kw_only=True):
    """`POST /v1/files/commit`, the simple way: one file of blocks that were sent before. `upload_id` is that of
    `POST /v1/files/upload_session`: the same commit may be repeated under it.

    Without `original_version` a new file `file_name` in the folder (default: the root); with it, a new version of the file
    `file_id`, or of the one of that name. Several blocks come with the `content_hash` of the whole; `size` is told by the blocks.
    """

    upload_id: UploadId
    block_list: list[Digest]
    parent_folder_id: NodeId | None = None
    file_name: str | None = None
    original_version: int | None = None
    file_id: NodeId | None = None
    namespace: NamespaceId | None = None
    content_hash: Digest | None = None
    size: int | None = None
    cut: str | None = None
    mtime: datetime | None = None


class FileCommitted(Struct, kw_only=True):
    file_id: NodeId
    version: int


class CommitBody(Struct, kw_only=True):
    """`POST /v1/files/commit`: a changeset (`namespace`, `changes`, perhaps `expected`; fields of `CommitRequest`), or one file by
    its blocks (`upload_id`, `block_list` and the other fields of `FileCommit`)."""

    namespace: NamespaceId | None = None
    changes: list[Change] | None = None
    expected: Expected | None = None
    upload_id: UploadId | None = None
    block_list: list[Digest] | None = None
    parent_folder_id: NodeId | None = None
    file_name: str | None = None
    original_version: int | None = None
    file_id: NodeId | None = None
    content_hash: Digest | None = None
    size: int | None = None
    cut: str | None = None
    mtime: datetime | None = None

    def changeset(self) -> CommitRequest | None:
        if self.namespace is None or self.changes is None or self.upload_id is not None:
            return None
        return CommitRequest(namespace=self.namespace, changes=self.changes, expected=self.expected)

    def file(self) -> FileCommit | None:
        if self.upload_id is None or self.block_list is None or self.changes is not None:
            return None
        return FileCommit(
            upload_id=self.upload_id,
            block_list=self.block_list,
            parent_folder_id=self.parent_folder_id,
            file_name=self.file_name,
            original_version=self.original_version,
            file_id=self.file_id,
            namespace=self.namespace,
            content_hash=self.content_hash,
            size=self.size,
            cut=self.cut,
            mtime=self.mtime,
        )


class ChangeResult(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What became of one change: the node's revision and the sequence of its last journal row.

    `adopted` says that an equal node with this id (create) was there already.
    """

    node_id: NodeId
    revision: int
    sequence: int
    adopted: bool = False


class CommitAnswer(Struct, kw_only=True):
    """`sequence`, `chain` and `root` are the namespace's head after this changeset; `results` in request order.

    `time` is that of the changeset's rows and `cursor` stands at the head, so a committer whose own chain agrees with `chain` goes
    on from there without reading its rows back. Both are None in answers stored before there were any.
    """

    sequence: int
    chain: Digest
    root: str
    changeset: ChangesetId
    results: list[ChangeResult]
    time: datetime | None = None
    cursor: str | None = None


class Present(Struct, kw_only=True, omit_defaults=True):
    """The present state of a node, in a refusal."""

    node_id: NodeId
    parent_id: NodeId
    name: str
    kind: Kind
    revision: int
    content_hash: Digest | None = None
    deleted: bool = False


class Failure(Struct, kw_only=True, omit_defaults=True):
    """Why one change of a refused changeset was refused.

    `code` ∈ revision.stale · node.missing · node.deleted · node.exists · parent.gone · name.taken · name.invalid · tree.cycle ·
    subtree.changed · blocks.missing · revision.not_kept · limit.exceeded · request.invalid · access.denied · content.raw ·
    content.rejected · moved · mount.nested. `by` is who holds a taken name; `namespace` is where a node that moved can be changed
    now.
    """

    index: int
    code: str
    node_id: NodeId
    detail: str = ""
    present: Present | None = None
    by: Present | None = None
    hashes: list[Digest] | None = None
    namespace: NamespaceId | None = None
