"""Every statement that the suite makes is walked: it says which namespace the rows it touches belong to, or stands in the list of
those that cannot, each with its reason. So the tables can be distributed by namespace, and a question finds its one shard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Engine

from syncline.adapters.sql.schema import metadata

GLOBAL: Final = frozenset(("server", "users", "devices", "audit", "leases", "packs", "block_copies"))
"""Tables that belong to no single namespace: every shard has them whole. Copies are stored once for all; possession is asked for
beside them."""
DISTRIBUTED: Final = tuple(table.name for table in metadata.sorted_tables if table.name not in GLOBAL)

ACROSS: Final[dict[str, tuple[str, ...]]] = {
    "what one person owns, is a member of, is invited to or was granted lies in any namespace": (
        r"\b(members|invitations|grants)\.user_id = ",
        r"\bgrants\.granted_by = ",
        r"\bnamespaces\.owner_id = ",
    ),
    "an upload is known to whoever sends it by its id, its user or its object alone": (
        r"\buploads\.(upload_id|object_key|user_id|link_id) (=|IN|= ANY) ",
        r"\bupload_parts\.upload_id (IN|= ANY) ",
        r"\braw_contents\.object_key = ",
    ),
    "a link is known by its token; its maker lists theirs, and a file those that lead to it": (
        r"\blinks\.(link_id|created_by|node_id) (=|>|IN) ",
    ),
    "workers look for what is due, wherever it lies, a bounded page at a time": (
        r"\bidempotency\.time_us < ",
        r"\buploads\.(expires_us < |state = )",
        r"FROM raw_contents JOIN namespaces ",
        r"SELECT raw_contents\.\w+, .* ORDER BY raw_contents\.due_us",
        r"EXISTS \(SELECT \* FROM nodes .*nodes\.time_us < ",
        r"\(revisions\.namespace_id, revisions\.node_id\) > ",
        r"FROM namespace_blocks WHERE namespace_blocks\.namespace_id > ",
        r"FROM namespaces JOIN journal .*namespaces\.pruned_sequence",
    ),
    "the outbox is every namespace whose head moved": (
        r"\bnamespaces\.head_sequence > namespaces\.published_sequence",
        r"^WITH given AS MATERIALIZED .* UPDATE namespaces SET published_sequence ",
    ),
    "a few figures are counted over everything, once every so often": (
        r"SELECT (uploads|raw_contents)\.\w+ AS \w+ FROM (uploads|raw_contents) WHERE \1\.state ",
        r"^SELECT min\(raw_contents\.due_us\)",
    ),
    "`syncline admin check` and what writes search keys anew walk everything": (
        r"FROM namespaces LEFT OUTER JOIN users ",
        r"\braw_contents\.object_key > ",
        r"\(nodes\.namespace_id, nodes\.node_id\) > ",
    ),
    "tests look at everything, too": (
        r"^SELECT count\(\*\) AS count_1 FROM \w+$",
        r"^SELECT [\w., ]+ FROM \w+ ORDER BY [\w., ]+ LIMIT \S+$",
        r"^DELETE FROM revisions WHERE revisions\.node_id = \? AND revisions\.revision = \?$",
    ),
}
"""By reason: what a statement looks like that goes across namespaces on purpose."""

MOVES: Final = "folders that become shared ones take their rows along to a namespace of their own"
MOVING: Final = frozenset(("nodes", "revisions", "revision_blocks", "grants", "links", "raw_contents", "uploads"))
"""Whose rows may be given another namespace. No distributed table takes such an UPDATE; `docs/operations/sharding.md` says so."""

_TABLE: Final = re.compile(rf"(?:FROM|JOIN|UPDATE|INTO|,) ({'|'.join(DISTRIBUTED)})\b(?!\.)(?: AS (\w+))?")
_EQUAL: Final = re.compile(r"(\w+)\.namespace_id = (?:(\w+)\.namespace_id\b)?")
_TURNED: Final = re.compile(r"(?<!\.namespace_id) = (\w+)\.namespace_id\b")
_LISTED: Final = re.compile(r"(\w+)\.namespace_id (?:IN|= ANY) \(")
_MOVED: Final = re.compile(r"UPDATE (\w+) SET (?:.*, )?namespace_id\s?= ?")
_INSERTED: Final = re.compile(r"INTO (\w+) \(namespace_id")


class Walk:
    """Hears each statement of every engine; `astray` gives those that were not seen before and name no namespace."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._new: list[str] = []
        self.walked = 0

    def listen(self) -> None:
        event.listen(Engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement not in self._seen:
            self._seen.add(statement)
            self._new.append(statement)

    def astray(self) -> Iterator[str]:
        new, self._new = self._new, []
        for statement in new:
            text = re.sub(r"\s+", " ", statement).strip()
            self.walked += 1
            loose = unbound(text)
            if loose and not any(re.search(pattern, text) for patterns in ACROSS.values() for pattern in patterns):
                yield f"{', '.join(sorted(loose))}: {text}"
            moved = _MOVED.match(text)
            if moved is not None and moved[1] not in MOVING:
                yield f"{moved[1]} changes namespaces: {text}"


def unbound(text: str) -> set[str]:
    """The distributed tables (or their other names) that a statement touches without saying whose rows."""
    touched = {alias or table for table, alias in _TABLE.findall(text)}
    if not touched:
        return touched
    groups: dict[str, set[str]] = {name: {name} for name in touched}
    bound = {*_LISTED.findall(text), *_INSERTED.findall(text), *_TURNED.findall(text)}
    for left, right in _EQUAL.findall(text):
        if not right:
            bound.add(left)
        else:
            joined = groups.get(left, {left}) | groups.get(right, {right})
            groups |= dict.fromkeys(joined, joined)
    return {name for name in touched if not groups[name] & bound}
