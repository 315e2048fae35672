"""Tapes: failing worlds made small, kept as scripts that say everything, faults included.

A tape outlives the generator: it holds the script itself and not the seed it was drawn from. Kept ones are played by every test run
and must pass; each says in words what it once broke.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from syncline.testing.sim.script import Script

KEPT: Final = Path(__file__).parent / "tapes" / "worlds"
VERSION: Final = 1


class Tape(Struct, kw_only=True):
    """`broke` is the property, `failure` how it showed, `story` a line of prose, `told` the run as people read it."""

    version: int = VERSION
    layer: str = "L1"
    broke: str
    failure: str
    story: str
    commit: str
    told: list[str] = field(default_factory=list)
    script: Script


def save(tape: Tape, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tape), indent=1) + b"\n")
    return path


def load(path: Path) -> Tape:
    """Raises `ValueError` for a tape of another version."""
    tape = msgspec.json.decode(path.read_bytes(), type=Tape)
    if tape.version != VERSION:
        raise ValueError(f"{path.name} is a tape of version {tape.version}; this plays version {VERSION}")
    return tape


def kept() -> list[Path]:
    return sorted(KEPT.glob("*.json"))
