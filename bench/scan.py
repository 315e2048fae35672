"""How long a device looks at 10,000 files: the first scan, a full scan with nothing new, one dirty folder.

Run: `python -m bench.scan [FILES]`. Aims on two cores: 0.25 s for a full scan of 10,000 known files, 1 ms for a dirty folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.client.observe.scan import Observed, Observer
from syncline.client.trees.trees import Trees
from syncline.model.ids import NamespaceId, ulid
from syncline.ports.clock import Ids
from syncline.ports.watcher import Hint, Hints

FOLDER_FILES = 100


def main(count: int = 10_000) -> None:
    top = Path(tempfile.mkdtemp(prefix="bench-scan-", dir=os.environ.get("BENCH_DIR")))
    try:
        _make(top, count)
        trees = Trees(NamespaceId(ulid(1, bytes(10))))
        clock = MachineClock()
        observer = Observer(LinuxFiles(top), None, trees, Ids(clock, MachineChance()), clock, None)
        _timed("first scan", lambda: observer.scan(full=True))
        for _ in range(3):
            _timed("full scan, nothing new", lambda: observer.scan(full=True))
        assert len(trees.local) == count + -(-count // FOLDER_FILES)
        for hint in (Hint("folder-3", "file-3007", closed=True), Hint("folder-3", "")):
            observer.mark(Hints(seen=[hint]))
            time.sleep(0.06)
            _timed(f"one dirty {'file' if hint.name else 'folder'} of {FOLDER_FILES}", lambda: observer.scan(full=False))
    finally:
        shutil.rmtree(top)


def _make(top: Path, count: int) -> None:
    then = time.time_ns() - 10**11
    (top / ".syncline").mkdir()
    for number in range(count):
        folder = top / f"folder-{number // FOLDER_FILES}"
        if number % FOLDER_FILES == 0:
            folder.mkdir()
        file = folder / f"file-{number}"
        file.write_bytes(b"x" * (number % 50))
        os.utime(file, ns=(then, then))


def _timed(what: str, scan: Callable[[], Observed]) -> None:
    started = time.perf_counter()
    observed = scan()
    print(f"{what:32} {(time.perf_counter() - started) * 1e3:8.1f} ms   {observed.changed} changed", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
