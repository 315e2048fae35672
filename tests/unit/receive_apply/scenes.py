"""What is done to a disk, and a crash in the midst of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from syncline.client.plan.steps import Discard, MakeFolder, Relocate, RemoveFolder, SetExecutable, Stage
from syncline.content.digest import digest
from syncline.model.ids import NodeId
from syncline.testing.faulty import Countdown, Crash

ROOT = NodeId("0" * 26)
Deed = Callable[[], Any]


def placing(desk: Any) -> Deed:
    """New, replaced and set aside, in one batch."""
    new, replaced, aside = desk.fresh_id(), desk.known("d/replaced", b"old"), desk.known("d/both", b"mine")
    desk.remote_has(new, ROOT, "new", b"")
    steps = [
        desk.fetched(new, b"brand new"),
        desk.fetched(replaced, b"next"),
        desk.fetched(aside, b"theirs", aside_id=desk.fresh_id(), aside_name="both (copy)"),
    ]
    return lambda: desk.applier.place(steps)


def placing_without_exchange(desk: Any) -> Deed:
    def refuse(*_: str) -> None:
        raise OSError(22, "Invalid argument")

    desk.files.before["exchange"] = refuse
    step = desk.fetched(desk.known("d/replaced", b"old"), b"next")
    return lambda: desk.applier.place([step])


def moving(desk: Any) -> Deed:
    node, folder, other = desk.known("a", b"1"), desk.known("d"), desk.known("d/inner", b"2")
    made, copy = desk.fresh_id(), desk.fresh_id()
    desk.remote_has(folder, ROOT, "moved", None)
    desk.remote_has(made, folder, "made", None)
    desk.remote_has(node, made, "b", b"1")
    steps = [
        Relocate(node=folder, why="", parent=ROOT, name="moved"),
        MakeFolder(node=made, why="", parent=folder, name="made"),
        Relocate(node=node, why="", parent=made, name="b"),
        SetExecutable(node=node, why="", executable=True),
        Relocate(node=other, why="", parent=ROOT, name="inner (copy)", new_id=copy),
    ]
    return lambda: desk.applier.disk(steps)


def swapping_files(desk: Any) -> Deed:
    one, other = desk.known("a", b"1"), desk.known("b", b"2")
    desk.remote_has(one, ROOT, "b", b"1")
    desk.remote_has(other, ROOT, "a", b"2")
    steps = [
        Stage(node=one, why=""),
        Relocate(node=other, why="", parent=ROOT, name="a"),
        Relocate(node=one, why="", parent=ROOT, name="b"),
    ]
    return lambda: desk.applier.disk(steps)


def rotating_folders(desk: Any) -> Deed:
    """Upside down: a/b becomes b/a."""
    desk.known("a/b/deep", b"1")
    desk.known("a/shallow", b"2")
    outer, inner = desk.node_at("a"), desk.node_at("a/b")
    desk.remote_has(inner, ROOT, "b", None)
    desk.remote_has(outer, inner, "a", None)
    steps = [
        Stage(node=inner, why=""),
        Stage(node=outer, why=""),
        Relocate(node=inner, why="", parent=ROOT, name="b"),
        Relocate(node=outer, why="", parent=inner, name="a"),
    ]
    return lambda: desk.applier.disk(steps)


def discarding(desk: Any) -> Deed:
    nodes = [desk.known(f"d/{number}", b"%d" % number) for number in range(2)]
    folder = desk.node_at("d")
    for node in (*nodes, folder):
        desk.trees.remove_remote(node)
    desk.save()
    steps = [*(Discard(node=node, why="") for node in nodes), RemoveFolder(node=folder, why="")]
    return lambda: desk.applier.disk(steps)


def replacing_what_was_edited(desk: Any) -> Deed:
    """The user saves between look and exchange."""
    step = desk.fetched(desk.known("d/a", b"old"), b"next")
    desk.files.before["exchange"] = lambda *_: desk.user_writes("d/a", b"saved just now")
    return lambda: desk.applier.place([step])


def discarding_what_was_edited(desk: Any) -> Deed:
    node = desk.known("d/a", b"old")
    desk.files.before["rename"] = lambda source, target: desk.user_writes("d/a", b"saved just now") if source == "d/a" else None
    return lambda: desk.applier.disk([Discard(node=node, why="")])


def resolving_ours(desk: Any) -> Deed:
    file, copy = desk.known("d/both", b"theirs"), desk.known("d/both (copy)", b"mine")

    def deed() -> None:
        desk.applier.resolver.put_copy(desk.trees.local[copy], desk.trees.local[file])
        desk.applier.resolver.discard(desk.trees.local[copy])

    return deed


def resolving_theirs(desk: Any) -> Deed:
    desk.known("d/both", b"theirs")
    copy = desk.known("d/both (copy)", b"mine")
    return lambda: desk.applier.resolver.discard(desk.trees.local[copy])


def resolving_merged(desk: Any) -> Deed:
    file, copy = desk.known("d/both", b"theirs"), desk.known("d/both (copy)", b"mine")

    def deed() -> None:
        desk.applier.resolver.put_bytes(b"of both", desk.trees.local[file], 1_600_000_000_000_000)
        desk.applier.resolver.discard(desk.trees.local[copy])

    return deed


def merging(desk: Any) -> Deed:
    fetch, got = desk.fetched(desk.known("d/both", b"mine"), b"theirs")
    ours = desk.trees.local[fetch.node].content_hash
    temp = desk.root / got.temp_path
    temp.write_bytes(b"of both")
    merged = replace(got, ours=ours, merged=digest(b"of both"), size=len(b"of both"))
    return lambda: desk.applier.place([(fetch, merged)])


def dressing(desk: Any) -> Deed:
    node = desk.known("d/a", b"tool")
    desk.remote_has(node, desk.node_at("d"), "a", b"tool", revision=2, executable=True)
    return lambda: desk.applier.disk([SetExecutable(node=node, why="", executable=True)])


SCENES = [
    dressing,
    resolving_ours,
    resolving_theirs,
    resolving_merged,
    merging,
    placing,
    placing_without_exchange,
    moving,
    swapping_files,
    rotating_folders,
    discarding,
    replacing_what_was_edited,
    discarding_what_was_edited,
]
EDITED = {replacing_what_was_edited, discarding_what_was_edited}


def user_bytes(desk: Any, scene: Callable[[Any], Deed]) -> set[bytes]:
    """Every byte string of the user's that must still be somewhere."""
    held = {data for data in desk.tree().values() if data is not None}
    return held - {b"old"} | {b"saved just now"} if scene in EDITED else held


def run_and_crash(desk: Any, deed: Deed, at: int, *, after: bool) -> bool:
    """Whether the crash came before the deed was through."""
    countdown = Countdown(at, after=after)
    desk.files.countdown = desk.doubtful_store.countdown = countdown
    try:
        deed()
    except Crash:
        return True
    return False


def both(desk: Any) -> dict[str, bytes | None]:
    return {**desk.tree(), **desk.hidden()}


def crash(*_: Any, **__: Any) -> None:
    raise Crash
