"""What each change does to the overlay. Whether the outcome may stand is `settle`'s question, asked of the final state.

Every function looks first and changes the overlay last, so a refused change leaves it as it was. An equal change is adopted: it is
answered with the present state and leaves no row.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.ids import NamespaceId, NodeId, is_ulid
from syncline.model.limits import DESCRIPTION_MAX_BYTES
from syncline.model.paths import is_storable, name_problem
from syncline.protocol.changes import REJECTED, to_time, to_us
from syncline.protocol.commits import Change, Op
from syncline.server.metadata.content import content_of
from syncline.server.metadata.drafts import Content, Draft, Node, Overlay, Refusal, ServerOp, present

MIME_TYPE_MAX_BYTES: Final = 255


def apply(overlay: Overlay, index: int, change: Change) -> None:
    """Raises `Refusal` with the overlay unchanged."""
    _check_texts(change)
    if change.from_revision is not None:
        change = _resolved(overlay, change)
    match change.op:
        case Op.CREATE:
            _create(overlay, index, change)
        case Op.EDIT:
            _edit(overlay, index, change)
        case Op.MOVE:
            _move(overlay, index, change)
        case Op.DELETE:
            _delete(overlay, index, change)
        case Op.UNDELETE:
            _undelete(overlay, index, change)


# -- Create ----------------------------------------------------------------------------------------------------------------------


def _create(overlay: Overlay, index: int, change: Change) -> None:
    node = overlay.look(change.node_id)
    if change.parent_id is None or change.name is None or change.kind is None:
        raise Refusal("request.invalid", "a create takes parent_id, name and kind")
    if node is not None:
        if node.deleted:
            raise Refusal("node.deleted", "the node was deleted; undelete it", present=present(node))
        if change.kind is not node.kind or not _same_place(node, change) or not _same_content(node, change):
            raise Refusal("node.exists", "another node has this id", present=present(node))
        overlay.adopted.add(index)
        return
    _add(overlay, index, change, change.kind, Op.CREATE)


def _add(overlay: Overlay, index: int, change: Change, kind: Kind, op: Op) -> None:
    """Drafts a node that is not stored."""
    if not is_ulid(change.node_id) or change.node_id == overlay.facts.root:
        raise Refusal("request.invalid", "the id of a new node is a fresh ULID")
    if change.node_id in overlay.facts.taken:
        raise Refusal("node.exists", "another of your shared folders has this id; what is new takes another")
    if change.parent_id is None or change.name is None:
        raise Refusal("request.invalid", "a new node takes parent_id and name")
    _check_name(change.name)
    content = _new_content(overlay, change, kind)
    if kind is Kind.FILE and content is None:
        raise Refusal("request.invalid", "a file takes content_hash, size and blocks")
    overlay.drafts[change.node_id] = draft = Draft(
        node_id=change.node_id,
        parent_id=change.parent_id,
        name=change.name,
        kind=kind,
        index=index,
        op=op,
        mtime_us=_mtime_us(overlay, change),
        placed=True,
        key=overlay.facts.key(change.name),
    )
    if content is not None:
        draft.revision = overlay.facts.purged.get(change.node_id, 0) + 1
        draft.renewed = True
        draft.executable = bool(change.executable)
        _take(draft, content)
    _describe(overlay, change)


# -- Edit ------------------------------------------------------------------------------------------------------------------------


def _edit(overlay: Overlay, index: int, change: Change) -> None:
    node = _live(overlay, change)
    told = change.description is not None or change.mime_type is not None
    if node.kind is Kind.DIR:
        _new_content(overlay, change, node.kind)
    raw = change.node_id in overlay.facts.raws
    same = node.kind is Kind.DIR or (_same_content(node, change) and not raw)
    if same and not told:
        overlay.adopted.add(index)
        return
    if node.kind is Kind.FILE:
        _check_base(node, change, required=True)
    changed = raw or (change.content_hash is not None and change.content_hash != node.content_hash)
    content = _given(overlay, change) if changed else None
    if not same:
        _check_known(node, content)
    mtime_us = _mtime_us(overlay, change)
    draft = overlay.draft(node, index, Op.EDIT)
    if not same:
        _renew(draft, change, content)
    if change.mtime is not None or content is not None:
        draft.mtime_us = mtime_us
    _describe(overlay, change)


# -- Move ------------------------------------------------------------------------------------------------------------------------


def _move(overlay: Overlay, index: int, change: Change) -> None:
    node = _live(overlay, change)
    if change.parent_id is None and change.name is None:
        raise Refusal("request.invalid", "a move takes parent_id, name, or both")
    if node.kind is Kind.FILE:
        _check_base(node, change, required=False)
    if _same_place(node, change):
        overlay.adopted.add(index)
        return
    if change.name is not None:
        _check_name(change.name)
    if node.kind is Kind.DIR and change.subtree_as_of is not None:
        _subtree(overlay, node.node_id, change.subtree_as_of)
    _place(overlay, overlay.draft(node, index, Op.MOVE), index, change)


# -- Delete ----------------------------------------------------------------------------------------------------------------------


def _delete(overlay: Overlay, index: int, change: Change) -> None:
    node = overlay.look(change.node_id)
    if node is None:
        raise Refusal("node.missing", "there is no such node")
    if node.deleted:
        overlay.adopted.add(index)
        return
    below: list[NodeId] = []
    if node.kind is Kind.FILE:
        _check_base(node, change, required=True)
    elif change.recursive:
        if change.subtree_as_of is None:
            raise Refusal("request.invalid", "a recursive delete says as of which sequence (subtree_as_of)")
        below = _subtree(overlay, node.node_id, change.subtree_as_of)
    for node_id in (change.node_id, *below):
        found = overlay.look(node_id)
        if found is not None and not found.deleted:
            # What a mount shows belongs to others too: it is only no longer shown here.
            draft = overlay.draft(found, index, ServerOp.UNMOUNT if found.mount else Op.DELETE)
            draft.deleted = True
            draft.index = index


def _subtree(overlay: Overlay, top: NodeId, as_of: int) -> list[NodeId]:
    """The ids below `top` but for what the changeset itself places elsewhere or changes (it stays, and is judged by its parent).

    Raises `Refusal` (`subtree.changed`) where something else changed it after `as_of`.
    """
    found: list[NodeId] = []
    frontier = [top]
    while frontier:
        for node_id in overlay.facts.children.get(frontier.pop(), ()):
            draft = overlay.drafts.get(node_id)
            if draft is not None and not draft.deleted:
                continue
            stored = overlay.facts.nodes[node_id]
            if draft is None and stored.sequence > as_of:
                raise Refusal("subtree.changed", "something below the folder has changed", present=present(stored))
            found.append(node_id)
            frontier.append(node_id)
    return found


# -- Undelete --------------------------------------------------------------------------------------------------------------------


def _undelete(overlay: Overlay, index: int, change: Change) -> None:
    node = overlay.look(change.node_id)
    if node is None:
        kind = change.kind or (Kind.DIR if change.content_hash is None else Kind.FILE)
        if kind is Kind.FILE and _given(overlay, change) is None:
            raise Refusal("node.missing", "there is no such node, and no content to make it of")
        _add(overlay, index, change, kind, Op.UNDELETE)
        return
    if not node.deleted:
        if not _same_place(node, change) or not _same_content(node, change):
            raise Refusal("node.exists", "the node is not deleted", present=present(node))
        overlay.adopted.add(index)
        return
    if change.kind is not None and change.kind is not node.kind:
        raise Refusal("request.invalid", "a node's kind never changes", present=present(node))
    if node.mount and NamespaceId(node.node_id) not in overlay.facts.joined:
        raise Refusal("access.denied", "the shared folder is not shared with you any more", present=present(node))
    _check_base(node, change, required=False)
    if change.name is not None:
        _check_name(change.name)
    changed = change.content_hash is not None and change.content_hash != node.content_hash
    content = _new_content(overlay, change, node.kind) if changed else None
    if content is None and not isinstance(node, Draft) and node.op == REJECTED:
        raise Refusal("content.rejected", "its bytes were not those announced, and were not kept", present=present(node))
    renewed = node.kind is Kind.FILE and not _same_content(node, change)
    if renewed:
        _check_known(node, content)
    mtime_us = _mtime_us(overlay, change)
    draft = overlay.draft(node, index, ServerOp.MOUNT if node.mount else Op.UNDELETE)
    draft.deleted = False
    if renewed:
        _renew(draft, change, content)
    if change.mtime is not None or content is not None:
        draft.mtime_us = mtime_us
    _place(overlay, draft, index, change)
    _describe(overlay, change)
    if change.recursive:
        _undelete_below(overlay, index, change.node_id)


def _undelete_below(overlay: Overlay, index: int, top: NodeId) -> None:
    """What was deleted together with `top` comes back with it, where it was, but for what the changeset undeletes by name."""
    frontier = [top]
    while frontier:
        for node_id in overlay.facts.gone.get(frontier.pop(), ()):
            if node_id in overlay.undeleted or node_id in overlay.drafts:
                continue
            stored = overlay.facts.nodes[node_id]
            if stored.mount and NamespaceId(node_id) not in overlay.facts.joined:
                continue
            draft = overlay.draft(stored, index, ServerOp.MOUNT if stored.mount else Op.UNDELETE)
            draft.deleted = False
            draft.placed = True
            frontier.append(node_id)


# -- Shared ----------------------------------------------------------------------------------------------------------------------


def _live(overlay: Overlay, change: Change) -> Node:
    node = overlay.look(change.node_id)
    if node is None:
        raise Refusal("node.missing", "there is no such node")
    if node.deleted:
        raise Refusal("node.deleted", "the node was deleted", present=present(node))
    return node


def _resolved(overlay: Overlay, change: Change) -> Change:
    """The change with the content of the revision it names. What it says itself of bit and mtime stands."""
    if change.op not in (Op.EDIT, Op.UNDELETE) or change.content_hash is not None or change.blocks:
        raise Refusal("request.invalid", "from_revision is for an edit or an undelete without content of its own")
    assert change.from_revision is not None
    row = overlay.facts.kept.get((change.node_id, change.from_revision))
    if row is None or row.content_hash is None:
        reason = "is not kept" if row is None else "is still being taken in"
        raise Refusal("revision.not_kept", f"revision {change.from_revision} {reason}")
    executable = row.executable if change.executable is None else change.executable
    mtime = to_time(row.mtime_us) if change.mtime is None else change.mtime
    return replace(change, content_hash=row.content_hash, size=row.size, executable=executable, mtime=mtime)


def _check_base(node: Node, change: Change, *, required: bool) -> None:
    base = change.base_revision
    if base is None and required:
        raise Refusal("request.invalid", "this change of a file takes base_revision", present=present(node))
    now = node.base if isinstance(node, Draft) else node.revision
    if base is not None and base != now:
        raise Refusal("revision.stale", f"revision {base} is not the present one", present=present(node))


def _check_name(name: str) -> None:
    problem = name_problem(name)
    if problem is not None:
        raise Refusal("name.invalid", problem)


def _check_texts(change: Change) -> None:
    for text, limit_bytes in ((change.description, DESCRIPTION_MAX_BYTES), (change.mime_type, MIME_TYPE_MAX_BYTES)):
        if text is not None and len(text.encode(errors="replace")) > limit_bytes:
            raise Refusal("limit.exceeded", f"a text is longer than {limit_bytes} bytes")
        if text is not None and not is_storable(text):
            raise Refusal("request.invalid", "a text holds what no text may: NUL, or half a character")
    if change.mtime is not None and change.mtime.tzinfo is None:
        raise Refusal("request.invalid", "mtime has no time zone")


def _new_content(overlay: Overlay, change: Change, kind: Kind) -> Content | None:
    """The change's content, if it names any. Raises `Refusal` for a folder's."""
    if kind is Kind.FILE:
        return _given(overlay, change)
    if change.content_hash is not None or change.blocks:
        raise Refusal("request.invalid", "a folder has no content")
    return None


def _given(overlay: Overlay, change: Change) -> Content | None:
    """The bytes a change brings: named by their hash, or an object that was uploaded for it."""
    raw = overlay.facts.raws.get(change.node_id)
    if raw is not None:
        return Content(None, raw.size, "", (), raw)
    return None if change.content_hash is None else content_of(change, overlay.facts)


def _check_known(node: Node, content: Content | None) -> None:
    """A new revision without new bytes takes those of the one before, so they must have been cut."""
    if content is None and node.content_hash is None:
        raise Refusal(
            "content.raw", "its bytes were just uploaded and are being taken in; try again shortly", present=present(node)
        )


def _same_place(node: Node, change: Change) -> bool:
    return change.parent_id in (None, node.parent_id) and change.name in (None, node.name)


def _same_content(node: Node, change: Change) -> bool:
    """Whether content and executable bit are what the change asks for; an mtime alone is never a change."""
    return change.content_hash in (None, node.content_hash) and (
        change.executable in (None, node.executable) or node.kind is Kind.DIR
    )


def _mtime_us(overlay: Overlay, change: Change) -> int:
    return overlay.facts.now_us if change.mtime is None else to_us(change.mtime)


def _renew(draft: Draft, change: Change, content: Content | None) -> None:
    if not draft.renewed:
        draft.revision += 1
        draft.renewed = True
    if change.executable is not None:
        draft.executable = change.executable
    if content is not None:
        _take(draft, content)


def _take(draft: Draft, content: Content) -> None:
    draft.content = content
    draft.content_hash = content.content_hash
    draft.size = content.size


def _place(overlay: Overlay, draft: Draft, index: int, change: Change) -> None:
    draft.index = index
    draft.placed = True
    draft.parent_id = change.parent_id or draft.parent_id
    if change.name is not None:
        draft.name = change.name
        draft.key = overlay.facts.key(change.name)


def _describe(overlay: Overlay, change: Change) -> None:
    if change.description is not None or change.mime_type is not None:
        overlay.described.append(change)
