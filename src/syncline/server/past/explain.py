"""The policy in words: what it means for one file or folder, which version is kept until when, and why."""

from __future__ import annotations

from typing import Final

from syncline.model.entries import Kind
from syncline.model.errors import InvalidRequest, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.past_store import PastStore
from syncline.protocol.changes import Entry, to_text, to_time, to_us
from syncline.protocol.past import KeptVersion, Policy, RetentionAnswer
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.past.retention import Kept, Made, Retention, Why, judge

_TEXTS: Final = {
    Why.PRESENT: "the present version; kept for as long as the file",
    Why.SETTLING: "still being taken in; kept until that is done",
    Why.DAILY: "the last version of its day; kept for {daily} days after it was replaced",
    Why.RECENT: "a later version was made the same day; kept for {all} days after it was replaced",
}


class Explaining:
    def __init__(self, metadata: Metadata, store: PastStore, policy: Retention) -> None:
        self._metadata = metadata
        self._store = store
        self._policy = policy

    async def explain(
        self, caller: Caller, path: str | None, node: NodeId | None, namespace: NamespaceId | None
    ) -> RetentionAnswer:
        """The policy, and what it means for a path (a live node's) or a node. Raises `NotFound`, `InvalidRequest`."""
        if path is not None and node is not None:
            raise InvalidRequest(message="Name the node by `path` or by `node_id`")
        if path is None and node is None:
            return RetentionAnswer(policy=self._told, lines=self._general())
        if path is not None:
            found = await self._metadata.metadata_by_path(caller, path, namespace)
        else:
            assert node is not None
            found = await self._metadata.metadata_by_id(caller, node, namespace)
        entry = found.entry
        answer = RetentionAnswer(policy=self._told, lines=[], namespace=found.namespace, path=found.path)
        if entry is None:
            answer.kind, answer.lines = Kind.DIR, self._general()
            return answer
        answer.node_id, answer.kind = entry.node_id, entry.kind
        self._say_trash(answer, entry)
        if entry.kind is Kind.FILE:
            await self._say_versions(answer, entry)
        return answer

    def _say_trash(self, answer: RetentionAnswer, entry: Entry) -> None:
        days = self._policy.trash_days
        what = "file" if entry.kind is Kind.FILE else "folder"
        if entry.deleted:
            answer.deleted = entry.time
            answer.purged_after = to_time(to_us(entry.time) + self._policy.trash_us)
            until = to_text(to_us(answer.purged_after))
            answer.lines.append(f"This {what} was deleted and stays in the trash until {until} ({days} days).")
        else:
            if entry.kind is Kind.DIR:
                answer.lines += self._general()[1:]
            answer.lines.append(f"If this {what} is deleted, it can be restored from the trash for {days} days.")

    async def _say_versions(self, answer: RetentionAnswer, entry: Entry) -> None:
        assert answer.namespace is not None
        rows = await self._store.versions(answer.namespace, entry.node_id, None, BATCH_MAX + 1)
        if not rows:
            raise NotFound(what="The file's versions")
        answer.more = len(rows) > BATCH_MAX
        made = [Made(row.revision, row.time_us, row.content_hash is not None) for row in reversed(rows)]
        verdicts = {kept.revision: kept for kept in judge(self._policy, made, entry.revision)}
        answer.lines.append(f"{len(verdicts)} version{'s are' if len(verdicts) != 1 else ' is'} kept.")
        for row in rows[:BATCH_MAX]:
            kept = verdicts[row.revision]
            until_us = kept.until_us
            answer.versions.append(
                KeptVersion(
                    revision=row.revision,
                    made=to_time(row.time_us),
                    why=kept.why.value,
                    text=self._text(kept),
                    kept_until=None if until_us is None else to_time(until_us),
                )
            )

    def _text(self, kept: Kept) -> str:
        said = _TEXTS[kept.why].format(daily=self._policy.daily_versions_days, all=self._policy.versions_days)
        return said if kept.until_us is None else f"{said}, until {to_text(kept.until_us)}"

    def _general(self) -> list[str]:
        policy = self._policy
        return [
            f"Deleted files and folders stay in the trash for {policy.trash_days} days.",
            f"Every version of a file is kept for {policy.versions_days} days after a newer one replaced it.",
            f"Of each day (UTC) the last version is kept for {policy.daily_versions_days} days after it was replaced.",
            "The present version stays for as long as its file.",
        ]

    @property
    def _told(self) -> Policy:
        policy = self._policy
        return Policy(
            trash_days=policy.trash_days,
            versions_days=policy.versions_days,
            daily_versions_days=policy.daily_versions_days,
        )
