"""What a process that lives long does with its memory, seen from outside."""

from __future__ import annotations

import subprocess
import sys

import pytest

MANY_THREADS = """
import threading, sys
from syncline.app import memory
if {settled}:
    memory.settle()
turn = threading.Barrier({threads})
def work():
    for _ in range(3):
        kept = [bytes(1000) for _ in range(4000)]
        turn.wait()
threads = [threading.Thread(target=work) for _ in range({threads})]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(open("/proc/self/maps").read().count("---p"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's matter")
def test_threads_share_their_arenas() -> None:
    def barred_maps(settled: bool) -> int:
        program = MANY_THREADS.format(settled=settled, threads=16)
        return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)

    # Each arena but the first reserves address space that it has not opened yet.
    assert barred_maps(settled=True) < barred_maps(settled=False)
