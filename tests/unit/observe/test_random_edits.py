"""Random edits on a real disk: hints lead to the same tree as a full scan from nothing, and moves keep their ids."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.observe.world import World, on_disk

from syncline.adapters.disk.inotify import InotifyWatcher

NAMES = ("a", "b", "c")
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
edits = st.one_of(
    st.tuples(st.just("write"), paths, st.sampled_from(["", "one", "two", "three"])),
    st.tuples(st.just("folder"), paths, st.just("")),
    st.tuples(st.just("move"), paths, paths),
    st.tuples(st.just("remove"), paths, st.just("")),
    st.tuples(st.just("save"), paths, st.sampled_from(["new", "newer"])),
    st.tuples(st.just("scan"), st.just(""), st.just("")),
)


def _edit(world: World, what: str, path: str, more: str) -> None:
    target = world.at / path
    try:
        if what == "write":
            world.write(path, more)
        elif what == "folder":
            target.mkdir(parents=True)
        elif what == "move":
            world.move(path, more)
        elif what == "remove":
            world.remove(path)
        elif what == "save":
            world.write(path + ".new", more)
            os.rename(world.at / (path + ".new"), target)
    except OSError:
        return


async def _hinted(world: World, watcher: InotifyWatcher) -> None:
    """What the kernel says, until it says no more."""
    while True:
        try:
            world.observer.mark(await asyncio.wait_for(watcher.next(), 0.03))
        except TimeoutError:
            return


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(edits, max_size=14))
def test_hints_lead_where_a_full_scan_leads(steps: list[tuple[str, str, str]]) -> None:
    asyncio.run(_follow(steps))


async def _follow(steps: list[tuple[str, str, str]]) -> None:
    top = Path(tempfile.mkdtemp(prefix="observe-"))
    try:
        world = World(top / "root")
        watcher = InotifyWatcher(world.at)
        world.watcher = watcher  # type: ignore[assignment]
        world.observer = world.fresh_observer()
        world.full()
        for what, path, more in steps:
            if what == "scan":
                await _hinted(world, watcher)
                world.wind(0.06)
                world.observer.scan(full=False)
            else:
                _edit(world, what, path, more)
        for _ in range(4):
            await _hinted(world, watcher)
            world.settle()
        assert world.shape() == on_disk(world.at)
        assert not world.trees.local.ids() or len(set(world.ids().values())) == len(world.trees.local)
        for node in world.trees.local:
            assert node.signature.inode == os.lstat(world.at / str(world.trees.local_path(node.id))).st_ino
        before = world.ids()
        assert world.full().changed == 0 or world.ids() == before
        watcher.close()
    finally:
        shutil.rmtree(top)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(edits, max_size=10), st.lists(edits, max_size=10))
def test_a_full_scan_after_any_edits_shows_the_disk(before: list[tuple[str, str, str]], after: list[tuple[str, str, str]]) -> None:
    top = Path(tempfile.mkdtemp(prefix="observe-"))
    try:
        world = World(top / "root", watcher=False)
        for step in before:
            _edit(world, *step)
        world.full()
        assert world.shape() == on_disk(world.at)
        for step in after:
            _edit(world, *step)
        world.full()
        assert world.shape() == on_disk(world.at)
        world.wind(10)
        world.observer.scan(full=True)
        assert world.observer.scan(full=True).changed == 0
        assert world.observer.next_due_s() is None
    finally:
        shutil.rmtree(top)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(edits, max_size=10), paths, paths)
def test_a_moved_tree_keeps_its_ids(before: list[tuple[str, str, str]], old: str, new: str) -> None:
    top = Path(tempfile.mkdtemp(prefix="observe-"))
    try:
        world = World(top / "root", watcher=False)
        for step in before:
            _edit(world, *step)
        world.full()
        ids = world.ids()
        if (world.at / new).exists() or not (world.at / old).exists() or f"{new}/".startswith(f"{old}/"):
            return
        try:
            world.move(old, new)
        except OSError:
            return
        world.full()
        for path, node_id in ids.items():
            if path == old or path.startswith(old + "/"):
                assert world.ids().get(new + path[len(old) :]) == node_id, path
            else:
                assert world.ids().get(path) == node_id, path
    finally:
        shutil.rmtree(top)
