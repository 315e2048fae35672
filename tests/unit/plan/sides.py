"""Three trees written in a few words, and plans told in as few, so that a test reads like a row of the decision table."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from syncline.client.plan import steps as S
from syncline.client.plan.planner import PlanContext, plan
from syncline.client.trees.trees import Trees
from syncline.model.entries import Access, Kind, LocalNode, RemoteNode, Signature, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId

ROOT = NodeId("root")
SIGNATURE = Signature(1, 1, 1, 1, 1)


class Sides:
    """Everything agrees until `here` (this disk) or `there` (the server) says otherwise. Ids are names given by the test; contents
    are short texts; a content of "?" is one that was not hashed yet."""

    def __init__(self, **access: Access) -> None:
        self.trees = Trees(
            NamespaceId("root"), {NamespaceId("root"): Access.OWNER} | {NamespaceId(k): v for k, v in access.items()}
        )
        self._ids = itertools.count(1)

    def both(self, node_id: str, path_parent: str, name: str, content: str | None = None, *, namespace: str = "root") -> Sides:
        """A node on both sides and in the base."""
        self.there(node_id, path_parent, name, content, namespace=namespace)
        self.here(node_id, path_parent, name, content)
        node = self.trees.remote[NodeId(node_id)]
        self.trees.put_synced(
            SyncedNode(
                id=node.id,
                namespace=node.namespace,
                parent=node.parent,
                name=node.name,
                kind=node.kind,
                revision=node.revision,
                content_hash=node.content_hash,
            )
        )
        return self

    def mount(self, node_id: str, name: str) -> Sides:
        self.both(node_id, "root", name)
        self.trees.put_remote(replace(self.trees.remote[NodeId(node_id)], mount=True))
        return self

    def there(
        self,
        node_id: str,
        parent: str,
        name: str,
        content: str | None = None,
        *,
        namespace: str = "root",
        revision: int = 1,
        executable: bool = False,
    ) -> Sides:
        self.trees.put_remote(
            RemoteNode(
                id=NodeId(node_id),
                namespace=NamespaceId(namespace),
                parent=NodeId(parent),
                name=name,
                kind=Kind.DIR if content is None else Kind.FILE,
                revision=revision,
                content_hash=None if content is None else Digest(content),
                executable=executable,
            )
        )
        return self

    def here(self, node_id: str, parent: str, name: str, content: str | None = None, *, executable: bool | None = None) -> Sides:
        self.trees.put_local(
            LocalNode(
                id=NodeId(node_id),
                parent=NodeId(parent),
                name=name,
                kind=Kind.DIR if content is None else Kind.FILE,
                signature=SIGNATURE,
                content_hash=None if content in (None, "?") else Digest(content or ""),
                executable=executable,
            )
        )
        return self

    def gone_here(self, *nodes: str) -> Sides:
        for node in nodes:
            self.trees.remove_local(NodeId(node))
        return self

    def gone_there(self, *nodes: str) -> Sides:
        for node in nodes:
            self.trees.remove_remote(NodeId(node))
        return self

    def plan(self, *, busy: tuple[str, ...] = (), **options: Any) -> S.Plan:
        context = PlanContext(device="Me", today="2026-01-02", fresh_id=lambda: NodeId(f"new{next(self._ids)}"), **options)
        return plan(self.trees, context=context, busy={NodeId(node) for node in busy})

    def told(self, *, busy: tuple[str, ...] = (), **options: Any) -> list[str]:
        return [tell(step) for step in self.plan(busy=busy, **options).steps]


def tell(step: S.Step) -> str:
    """A step in a few words: what, which node, where to."""
    node = step.node
    if isinstance(step, S.Push):
        words = ["up", step.op.value, node]
        if step.name is not None:
            words.append(f"→ {step.parent}/{step.name}")
        words += ["+bytes"] * step.content + ["whole"] * step.recursive
        if step.group is not None:
            words.append(f"#{step.group}")
        if step.executable:
            words.append("+x")
        return " ".join(words)
    if isinstance(step, S.Fetch):
        return f"fetch {node} → {step.parent}/{step.name}" + (f", mine → {step.aside_name}" if step.aside_name else "")
    if isinstance(step, S.Relocate):
        return f"move {node} → {step.parent}/{step.name}" + (f" as {step.new_id}" if step.new_id else "")
    if isinstance(step, S.MakeFolder):
        return f"make {node} → {step.parent}/{step.name}"
    if isinstance(step, S.Link):
        return f"link {node} = {step.to}"
    if isinstance(step, S.Report):
        return f"report {node} {step.code}"
    if isinstance(step, S.SetExecutable):
        return f"set {node} {'+x' if step.executable else '-x'}"
    return f"{_WORDS[type(step)]} {node}"


_WORDS: dict[type[S.Step], str] = {
    S.Adopt: "adopt",
    S.Forget: "forget",
    S.Rebase: "rebase",
    S.Hash: "hash",
    S.Stage: "stage",
    S.Discard: "trash",
    S.RemoveFolder: "rmdir",
}
