"""`make demo`: two devices and a server on real files. Everything is done by the real command line, timed, counted and compared.

Each step changes files in one folder (or both), waits until both devices say they are in sync, and then compares the folders byte
by byte, names, empty folders and executable bits included. A difference ends the demo with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import click

from syncline.cli import show
from syncline.cli.demo_world import EMAIL, DemoFailed, Traffic, World, tree, until
from syncline.model.limits import MIB

LARGE_BYTES: Final = 256 * MIB
KILLED_BYTES: Final = 128 * MIB
KILL_AFTER_BYTES: Final = 40 * MIB
KILL_TRIES: Final = 3
ROOM_BYTES: Final = 3 << 30
LEFT_OUT: Final = frozenset(("__pycache__", "site-packages", "dist-packages"))
COLUMNS: Final = ("time", "up", "down", "requests", "files/s")


class Demo:
    """The steps, in order. A is `one`, B is `other`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.one, self.other = world.devices
        self.large = "large.bin"

    def run(self) -> None:
        _say_head()
        with _spinner("starting a server and two devices"):
            self.world.server.start()
            for device in self.world.devices:
                device.set_up(self.world.server)
                device.start()
                device.wait()
        self.step(f"Python's library and {show.size(LARGE_BYTES)} of random bytes appear on A", self.first)
        self.step("one byte of the large file changes", self.edit)
        self.step("one byte is inserted at its head", self.insert)
        self.step("a folder is renamed", self.rename)
        self.step("A and B edit the same file at once", self.conflict, then=self.has_both)
        self.step("an executable bit and an empty folder", self.bit_and_folder)
        self.killed()
        memory = ", ".join(f"{name} {mib} MiB" for name, mib in self.world.memory_mib().items())
        _say(f"\nPeak memory: {memory}.")

    def step(self, what: str, change: Callable[[], int], *, then: Callable[[], str] | None = None) -> None:
        """Does it, waits, shows what it took, and proves that the folders are equal. `change` gives the number of files."""
        before = self.traffic()
        with _spinner(what):
            files = change()
            began = time.monotonic()
            for device in (self.one, self.other, self.one):
                device.wait()
            took = time.monotonic() - began
            moved = self.traffic() - before
            proof = self.compare()
        _say_row(what, took, moved, files)
        _say_proof(proof + (f"; {then()}" if then else ""))

    def traffic(self) -> Traffic:
        return self.one.traffic() + self.other.traffic()

    def compare(self) -> str:
        (first, files, size), (second, _, _) = tree(self.one.folder), tree(self.other.folder)
        if first != second:
            raise DemoFailed(f"the folders differ: {difference(self.one.folder, self.other.folder)}")
        return f"both folders byte-identical: {show.number(files, 'file')}, {show.size(size)}, tree {first[:12]}"

    # -- the steps -----------------------------------------------------------------------------------------------------------

    def first(self) -> int:
        library = Path(sysconfig.get_paths()["stdlib"])
        stage = self.world.root / "stage"
        shutil.copytree(library, stage, ignore=_leave_out, symlinks=False)
        _write_random(stage / self.large, LARGE_BYTES)
        for made in sorted(stage.iterdir()):
            made.rename(self.one.folder / made.name)
        return tree(self.one.folder)[1]

    def edit(self) -> int:
        with (self.one.folder / self.large).open("r+b") as file:
            file.seek(LARGE_BYTES // 2)
            byte = file.read(1)
            file.seek(LARGE_BYTES // 2)
            file.write(bytes([byte[0] ^ 0xFF]))
        return 1

    def insert(self) -> int:
        target, fresh = self.one.folder / self.large, self.world.root / "fresh"
        with target.open("rb") as old, fresh.open("wb") as new:
            new.write(b"!")
            shutil.copyfileobj(old, new, 4 * MIB)
        fresh.replace(target)
        return 1

    def rename(self) -> int:
        folders = [path for path in self.one.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        count, folder = max((sum(found.is_file() for found in path.rglob("*")), path) for path in folders)
        folder.rename(folder.with_name(f"{folder.name} (renamed)"))
        return count

    def conflict(self) -> int:
        for device in self.world.devices:
            device.run("pause")
            (device.folder / "this.py").write_text(f"# edited on {device.name} while both were apart\n" * (2 + ord(device.name)))
        for device in self.world.devices:
            device.run("resume")
        return 2

    def has_both(self) -> str:
        for device in self.world.devices:
            copies = [path for path in device.folder.iterdir() if "conflicted copy" in path.name]
            edits = {path.read_text().split()[3] for path in (device.folder / "this.py", *copies)}
            if len(copies) != 1 or edits != {"A", "B"}:
                raise DemoFailed(
                    f"{device.name} should hold both edits, one in a conflict copy; it holds {sorted(edits)}, {copies}"
                )
        return f"both edits kept: {copies[0].name!r}"

    def bit_and_folder(self) -> int:
        (self.other.folder / "abc.py").chmod(0o755)
        (self.other.folder / "an empty folder" / "in another").mkdir(parents=True)
        return 1

    def killed(self) -> None:
        """SIGKILL in the middle of an upload; the number of bytes that travel twice."""
        what = f"A is killed while it uploads {show.size(KILLED_BYTES)}"
        before = self.other.traffic()
        with _spinner(what):
            for number in range(KILL_TRIES):
                before_kill = self._kill_in_upload(self.one.folder / f"killed-{number}.bin")
                if before_kill is not None:
                    break
            else:
                raise DemoFailed("every upload was over before it could be interrupted")
            began = time.monotonic()
            self.one.start()
            for device in (self.one, self.other):
                device.wait()
            took, after = time.monotonic() - began, self.one.traffic()
            moved = after + (self.other.traffic() - before)
            proof = self.compare()
        _say_row(f"{what}, and goes on", took, moved, 1)
        twice = max(0, before_kill + after.sent - KILLED_BYTES)
        _say_proof(f"{show.size(before_kill)} sent before, {show.size(after.sent)} after: {show.size(twice)} sent twice; {proof}")

    def _kill_in_upload(self, target: Path) -> int | None:
        """The bytes sent when the engine was killed; None if it was too fast for us."""
        fresh = self.world.root / "fresh"
        _write_random(fresh, KILLED_BYTES)
        before = self.one.traffic_now().sent
        fresh.replace(target)
        sent = 0

        def under_way() -> bool:
            nonlocal sent
            sent = self.one.traffic_now().sent - before
            return sent >= KILL_AFTER_BYTES

        until(under_way, 60, "the upload to be under way", every_s=0.002)
        if sent >= KILLED_BYTES:
            self.one.wait()
            return None
        self.one.kill()
        return sent


def difference(one: Path, other: Path) -> str:
    """The first few names that differ."""
    from filecmp import cmp

    found = []
    names = {path.relative_to(folder) for folder in (one, other) for path in folder.rglob("*")}
    for name in sorted(names):
        first, second = one / name, other / name
        if ".syncline" in name.parts:
            continue
        if not (first.exists() and second.exists()):
            found.append(f"{name} is only on {'A' if first.exists() else 'B'}")
        elif first.is_file() and (not second.is_file() or not cmp(first, second, shallow=False)):
            found.append(f"{name} has other bytes")
        elif (first.stat().st_mode ^ second.stat().st_mode) & 0o100 and first.is_file():
            found.append(f"{name} has another executable bit")
    return "; ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def _leave_out(folder: str, names: list[str]) -> list[str]:
    """What is no file of the library: caches, installed packages, links, and what we may not read."""
    at = Path(folder)
    return [name for name in names if name in LEFT_OUT or (at / name).is_symlink() or not os.access(at / name, os.R_OK)]


def _write_random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // (8 * MIB)):
            file.write(os.urandom(8 * MIB))


# -- what is said ------------------------------------------------------------------------------------------------------------


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _say_head() -> None:
    _say(click.style(f"Syncline demo: a server and two devices (A, B) on this machine, {os.cpu_count()} CPUs", bold=True))
    _say(click.style(f"{'':<58}{COLUMNS[0]:>8}{COLUMNS[1]:>11}{COLUMNS[2]:>11}{COLUMNS[3]:>10}{COLUMNS[4]:>9}", dim=True))


def _say_row(what: str, took: float, moved: Traffic, files: int) -> None:
    rate = f"{files / took:,.0f}" if files > 1 else ""
    numbers = f"{show.seconds(took):>8}{show.size(moved.sent):>11}{show.size(moved.received):>11}{moved.requests:>10,}{rate:>9}"
    _say(f"{what:<58}{click.style(numbers, fg='cyan')}")


def _say_proof(proof: str) -> None:
    _say(f"  {click.style('✓', fg='green')} {proof}")


@contextmanager
def _spinner(what: str) -> Iterator[None]:
    if not show.is_terminal():
        yield
        return
    from rich.console import Console

    with Console().status(f"{what} …"):
        yield


def _interrupt(_: int, __: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Two devices and a server on real files.")
    parser.add_argument("--keep", action="store_true", help="leave the server running afterwards")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    try:
        with World(keep=arguments.keep) as world:
            if shutil.disk_usage(world.root).free < ROOM_BYTES:
                raise DemoFailed(f"{world.root.parent} needs {show.size(ROOM_BYTES)} of free space (TMPDIR chooses another place)")
            Demo(world).run()
            world.finished = True
            _say(click.style(f"Done in {show.seconds(time.monotonic() - began)}.", fg="green", bold=True))
            if arguments.keep:
                _say_kept(world)
    except DemoFailed as failure:
        click.echo(f"{click.style('The demo failed:', fg='red', bold=True)} {failure}", err=True)
        return 1
    except KeyboardInterrupt:
        click.echo("Stopped; everything is cleaned up.", err=True)
        return 130
    return 0


def _say_kept(world: World) -> None:
    assert world.server.process is not None
    _say(f"\nThe server goes on at {world.server.url} (process {world.server.process.pid}, data in {world.server.data}).")
    _say(f"  echo {world.server.password} | syncline login {world.server.url} --email {EMAIL} --password-stdin")
    _say(f"  End it with `kill {world.server.process.pid}`, then remove {world.root}.")


if __name__ == "__main__":
    sys.exit(main())
