"""What a plan is told besides the trees: this device, the day, fresh ids, the disk's habits, and what is kept off this disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from msgspec import Struct, field

from syncline.model.ids import Digest, NamespaceId, NodeId


class PlanContext(Struct, frozen=True, kw_only=True):
    """`today` is an ISO date. `fresh_id` gives a new node id at each call; nothing else here may differ between two equal plans."""

    device: str
    today: str
    fresh_id: Callable[[], NodeId]
    case_sensitive_disk: bool = True
    """Whether the disk tells apart names whose keys are equal; where it does not, a case-only rename takes two hops."""
    excluded: Set[NodeId] = frozenset()
    """Remote nodes which, with everything below them, are not wanted on this disk. Their absence is never a delete. When this set
    changes, the engine opens the nodes concerned."""
    leftovers: Set[NodeId] = frozenset()
    """Folders gone from the server that `RemoveFolder` found holding ignored or unknown files: they stay, and are not re-created
    on the server until they gain a file that is synced."""
    buried: Set[NodeId] = frozenset()
    """Nodes whose create the server refused because it knows them as deleted (a lost base): they are undeleted instead."""
    kept_names: Mapping[NamespaceId, str] = field(default_factory=dict)
    """Names of shared namespaces, lost ones among them, for `Kept from NAME`; without one, the mount's last name is used."""
    merge: bool = False
    """Whether texts that both sides edited are merged where that is clean, instead of keeping a conflict copy."""
    unmerged: Mapping[NodeId, tuple[Digest, Digest]] = field(default_factory=dict)
    """Nodes of which these contents, local and remote, were found to have no clean merge."""
    seeking: bool = False
    """Something vanished from its place on this disk and may turn up at another: until then no move made here is taken back for
    want of a way to carry it out, since what is in the way may have left."""
    only_namespaces: Set[NamespaceId] | None = None
    """Where given, nodes of other namespaces are left alone."""
