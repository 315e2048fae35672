"""What a script may lead to: a model that watches users alone, after "Mysteries of Dropbox" (Hughes et al., ICST 2016).

Users act on what their own device shows them, and every act notes exactly what it displaced. Engines work in between, at moments
nobody sees, so the model never says what a disk holds before `settle`; then it demands:

- all devices hold one tree, and it is the server's;
- a content that no user displaced is live;
- a content that a user displaced, and no other device touched since the last settling, is live nowhere;
- where no two devices acted on paths that touch, the tree is exactly what the acts add up to;
- there are no more new conflict copies than pairs of acts on paths that touch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.e2e.world import Tree, difference

MARKS = ("'s conflicted copy ", " (case conflict")


@dataclass(frozen=True)
class Act:
    """What a user did, as it came out. `made` are folders that had to be made for it; `touched` the contents that it moved or
    displaced, of which `displaced` are gone from that device by a user's will."""

    device: str
    op: str
    path: str
    target: str = ""
    content: str = ""
    made: tuple[str, ...] = ()
    touched: frozenset[str] = frozenset()
    displaced: frozenset[str] = frozenset()

    @property
    def places(self) -> tuple[str, ...]:
        return (self.path, self.target) if self.target else (self.path,)


@dataclass
class Model:
    """`act` as users act, `settled` when devices say that they are in sync."""

    tree: Tree = field(default_factory=dict)
    """The tree as of the last settling."""
    acts: list[Act] = field(default_factory=list)
    """What happened since."""
    wanted: set[str] = field(default_factory=set)
    """Contents that somebody wrote and nobody displaced."""
    seen: Counter[str] = field(default_factory=Counter)
    """What came to pass, so that a run can tell that it tried anything."""

    def act(self, act: Act) -> None:
        self.acts.append(act)
        self.wanted -= act.displaced
        if act.content:
            self.wanted.add(act.content)

    def settled(self, found: Tree) -> None:
        """Takes the tree that all hold now. Raises AssertionError where it cannot be."""
        live = Counter(sha for kind, sha, _ in found.values() if kind == "file")
        lost = sorted(self.wanted - set(live))
        assert not lost, f"nobody displaced these contents, and they are not live: {[self._origin(sha) for sha in lost]}"
        risen = sorted(self._must_be_gone() & set(live))
        assert not risen, (
            f"these were displaced on one device, touched by no other, and live: {[self._origin(sha) for sha in risen]}"
        )
        copies = _marked(found) - _marked(self.tree)
        pairs = self.touching_pairs()
        assert copies.total() <= pairs, f"{pairs} pairs of acts touch, and there are new conflict copies {sorted(copies)}"
        self.seen["settlings"] += 1
        self.seen["acts"] += len(self.acts)
        self.seen["touching pairs"] += pairs
        self.seen["conflict copies"] += copies.total()
        self.seen["exact trees"] += not pairs
        self.seen["contents that had to go"] += len(self._must_be_gone())
        if not pairs:
            expected = self.sum_of_acts()
            assert found == expected, f"no two devices acted on paths that touch, yet\n{difference(expected, found)}"
        self.tree, self.acts = found, []

    def touching_pairs(self) -> int:
        """Pairs of acts of two devices on paths of which one is, or lies below, the other. Two that only make a folder agree."""
        count = 0
        for index, one in enumerate(self.acts):
            for other in self.acts[index + 1 :]:
                count += one.device != other.device and _touch(one, other)
        return count

    def sum_of_acts(self) -> Tree:
        """The last tree with every act done to it, in order."""
        tree = dict(self.tree)
        for act in self.acts:
            for folder in act.made:
                tree[folder] = ("dir", None, False)
            if act.op == "write":
                tree[act.path] = ("file", act.content, False)
            elif act.op == "delete":
                tree = {path: item for path, item in tree.items() if not _is_within(path, act.path)}
            elif act.op == "move":
                moved = {path: item for path, item in tree.items() if _is_within(path, act.path)}
                tree = {path: item for path, item in tree.items() if path not in moved}
                tree |= {act.target + path.removeprefix(act.path): item for path, item in moved.items()}
        return tree

    def _must_be_gone(self) -> set[str]:
        touched: dict[str, set[str]] = defaultdict(set)
        displaced: set[str] = set()
        for act in self.acts:
            displaced |= act.displaced
            for content in act.touched:
                touched[content].add(act.device)
        before = Counter(sha for _, sha, _ in self.tree.values())
        return {content for content in displaced if len(touched[content]) == 1 and before[content] <= 1}

    def _origin(self, sha: str) -> str:
        wrote = [f"{act.device}.{act.op} {act.path}" for act in self.acts if sha == act.content or sha in act.touched]
        places = [path for path, item in self.tree.items() if item[1] == sha]
        return f"{sha[:8]} (last at {places}, then {wrote})"


def _touch(one: Act, other: Act) -> bool:
    if any(_is_within(here, there) or _is_within(there, here) for here in one.places for there in other.places):
        return not one.op == other.op == "mkdir"
    # A folder made on the way is in the way only of what is no folder.
    return _blocks(one, other) or _blocks(other, one)


def _blocks(one: Act, other: Act) -> bool:
    return any(_is_within(folder, place) for folder in one.made for place in other.places if other.op != "mkdir")


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def _marked(tree: Tree) -> Counter[str]:
    names = (PurePosixPath(path).name for path in tree)
    return Counter(name for name in names if any(mark in name for mark in MARKS))
