"""Mistakes that the planner's world must find out (`make sim` and a test run them all): the mutation gate.

Each is a rule left out or turned round in the running program. `mode` is the world that shows it soonest. One that changes nothing
that a person could tell is marked as equivalent, with the reason: the gate then demands that it does stay undetected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tests.property.plan import client
from tests.property.plan.drive import run_seed

from syncline.client.plan import changeset, collide, decide, disk, groups, namespaces, planner, removals, revival, target, view
from syncline.client.plan.decision import Content, Place

Mutate = Callable[[Any], Any]


@dataclass(frozen=True)
class Mutant:
    """`mutate` makes the mistaken function of the right one, which is `name` in `owner`."""

    title: str
    owner: Any
    name: str
    mutate: Mutate
    mode: str | None = "client and server"
    equivalent: str = ""
    looked_at: int = 20_000
    """In how many cases an equivalent one has to stay undetected."""

    also: Mutant | None = None
    """Made together with this one, where each alone is made good by the other rule."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The mistake is made while this is open."""
        with self.also.planted() if self.also else nullcontext(), self._planted_alone():
            yield

    @contextmanager
    def _planted_alone(self) -> Iterator[None]:
        right = self.owner.__dict__[self.name]
        function = right.__func__ if isinstance(right, staticmethod) else right
        setattr(self.owner, self.name, self.mutate(function))
        try:
            yield
        finally:
            setattr(self.owner, self.name, right)


def kill(mutant: Mutant, seeds: range) -> int | None:
    """How many cases it takes until one fails; None when none does."""
    with mutant.planted():
        for count, seed in enumerate(seeds, 1):
            try:
                run_seed(seed, mutant.mode)
            except Exception:
                return count
    return None


def _says(answer: Any) -> Mutate:
    return lambda _: lambda *args, **options: answer


def _nothing(_: Any) -> Any:
    return lambda *args, **options: None


def _then(change: Callable[[Any], None]) -> Mutate:
    """The decision is made, and then spoilt: it is the second argument of every rule."""

    def mutate(right: Any) -> Any:
        def wrong(plan_view: Any, decision: Any, *rest: Any) -> None:
            right(plan_view, decision, *rest)
            change(decision)

        return wrong

    return mutate


def _turned(old: Content, new: Content) -> Mutate:
    def change(decision: Any) -> None:
        if decision.content is old:
            decision.content = new

    return _then(change)


def _gone_although_changed(decision: Any) -> None:
    if decision.content is Content.PUSH:
        decision.exists = False


def _gone_although_changed_there(decision: Any) -> None:
    if decision.base is not None:
        decision.exists = False


def _unread_is_unchanged(decision: Any) -> None:
    if decision.here.content_hash is None and decision.content is Content.PUSH:
        decision.content = Content.KEEP


def _knows_all(_: Any) -> Any:
    def is_removal(self: Any, node_id: Any) -> bool:
        decision = self.view.decisions.get(node_id)
        return decision is not None and decision.there is not None and decision.here is None

    return is_removal


def _gives_up_nothing(right: Any) -> Any:
    return lambda plan_view, unsettled: (right(plan_view, unsettled)[0], frozenset())


def _forgets_who_is_busy(right: Any) -> Any:
    return lambda trees, *, context, busy: right(trees, context=context)


def _local_place_wins(right: Any) -> Any:
    def merge(plan_view: Any, decision: Any) -> None:
        right(plan_view, decision)
        if decision.place.name == "REMOTE" and decision.base is not None:
            decision.place = Place.LOCAL
            decision.parent, decision.name = decision.here.parent, decision.here.name

    return merge


def _first_of(right: Any) -> Any:
    """Only the first of every changeset's changes is sent."""
    return lambda self, component, group: list(islice(right(self, component, group), 1))


_NO_BREAKER = Mutant(
    "no breaker where nothing else goes on",
    planner,
    "_round",
    _gives_up_nothing,
    equivalent="rings are looked for before they block anything",
)
MUTANTS: tuple[Mutant, ...] = (
    # Contents
    Mutant("bytes replaced instead of a conflict copy", decide, "_merge_content", _turned(Content.ASIDE, Content.FETCH)),
    Mutant("the last writer wins", decide, "_merge_content", _turned(Content.ASIDE, Content.PUSH)),
    Mutant("what was not read is taken for unchanged", decide, "_merge_content", _then(_unread_is_unchanged)),
    Mutant("after a reset bytes are replaced", decide, "_compare_content", _turned(Content.ASIDE, Content.FETCH), "reset"),
    Mutant("after a reset copies of copies", view.View, "holds_already", _says(False), "reset"),
    Mutant("executable bits are not merged", decide, "_merge_executable", _nothing),
    # Deletes
    Mutant("a remote delete ignores a local edit", decide, "_gone_there", _then(_gone_although_changed)),
    Mutant("a local delete beats a remote edit", decide, "_not_here", _then(_gone_although_changed_there)),
    Mutant("folders stay gone above a change", target, "_bring_back_folders", _nothing),
    Mutant("a folder moved here does not come back whole", view.View, "revived", _says(False)),
    Mutant("a folder moved there does not come back whole", view.View, "restored", _says(False)),
    Mutant("a whole folder comes back piece by piece", revival.Revival, "group_of", _says(None), "parked"),
    Mutant("folders deleted unseen", removals.Removals, "is_removal", _knows_all),
    # Places and names
    Mutant("the local move wins over the remote one", decide, "_merge_place", _local_place_wins),
    Mutant("collisions are not seen", planner, "settle_names", _nothing),
    Mutant("the same thing is not known again", collide, "_is_same", _says(False), "reset"),
    Mutant("a conflict takes a name that is taken", view.View, "_is_free", _says(True)),
    Mutant(
        "no look for rings", target, "_ring", _says([]), equivalent="the breaker undoes the same move when nothing else goes on"
    ),
    _NO_BREAKER,
    Mutant("no look for rings, and no breaker", target, "_ring", _says([]), also=_NO_BREAKER),
    # Order
    Mutant("no atomic changeset", groups.Groups, "form", _says([]), "local only"),
    Mutant("a changeset sent in part", groups.Groups, "_steps", _first_of, "local only"),
    Mutant("pushes in no order", changeset.Changeset, "_blocker", _says(None), "local only"),
    Mutant("no hop over the stage", disk.Disk, "_pick_hop", _says(None), "remote only"),
    Mutant("no hop over one's own name", disk.Disk, "_hop_over_own_name", _nothing, "remote only"),
    Mutant("a folder may go into itself", disk.Disk, "_way_out", _says(None), "remote only"),
    # What the engine remembers
    Mutant("an engine's rename is read as a person's", client.Client, "follow", _nothing),
    Mutant(
        "the base does not follow a move at once",
        client.Client,
        "agree",
        _nothing,
        None,
        "the next plan finds both sides equal and adopts that",
    ),
    Mutant("a push is no base until it is read back", client, "book_push", _nothing, "live"),
    Mutant("a fetch is no base", client, "book_fetch", _nothing, "live"),
    Mutant(
        "no base is renewed under a local change",
        decide,
        "_local_has_all",
        _says(False),
        "client and server",
        "a push names the server's revision anyway, and what it commits is the base at once",
    ),
    Mutant(
        "busy nodes are planned for",
        client,
        "plan",
        _forgets_who_is_busy,
        "parked",
        "begun twice, a transfer does here what it does once: the simulation of whole devices sees the waste",
    ),
    # Namespaces and what is not synced
    Mutant("a READ mount is written to", view.View, "may_write", _says(True), "read mount"),
    Mutant("nothing is kept aside", planner, "keep_aside", _nothing, "read mount"),
    Mutant("a lost namespace is one where all was deleted", planner, "rules_for", _says(None), "lost mount"),
    Mutant("a move into another namespace keeps its id", namespaces, "_in_another", lambda right: decide.decide, "write mount"),
    Mutant("what is kept off this disk looks deleted", view.View, "is_excluded", _says(False), "selective"),
    Mutant("leftovers are removed again and again", view.View, "holds_leftovers", _says(False), "leftovers"),
)
