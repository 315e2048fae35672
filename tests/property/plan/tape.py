"""A case that failed once, kept as a file: its script, since its seed stands for another case when the generator changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from tests.property.plan.script import Op, Row, Script

from syncline.model.entries import Kind

VERSION = 1
"""Goes up when a script of before would be played otherwise."""
ROOT = Path(__file__).parents[3]
KEPT = ROOT / "tests" / "sim" / "tapes" / "planner"


class Tape(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    layer: str
    script: Script
    failure: str = ""
    """What went wrong when it was recorded."""
    commit: str = ""


def save(script: Script, folder: Path, *, failure: str = "", commit: str = "") -> Path:
    """Writes a tape under a name made from its script, so that one case is kept once."""
    name = hashlib.sha256(msgspec.json.encode(script)).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{script.mode.replace(' ', '-')}-{name}.json"
    failure = failure.replace(f"{ROOT}/", "")  # Where this checkout lies is nobody's business.
    tape = Tape(version=VERSION, layer="L0", script=script, failure=failure, commit=commit)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tape), indent=1) + b"\n")
    return path


def load(path: Path) -> Script:
    """The script of a tape; `ValueError` when it is of another layer or version, or no tape at all."""
    try:
        tape = msgspec.json.decode(path.read_bytes(), type=Tape)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path.name} is not a tape: {error}") from error
    if (tape.version, tape.layer) != (VERSION, "L0"):
        raise ValueError(f"{path.name} is a tape of layer {tape.layer}, version {tape.version}")
    script = tape.script
    script.base = [_row(*row) for row in script.base]
    script.ops = [(at, who, _op(op)) for at, who, op in script.ops]
    return script


def _row(node_id: Any, parent: Any, name: str, kind: str, content: str | None) -> Row:
    return (node_id, parent, name, Kind(kind), content)


def _op(op: Any) -> Op:
    if op[0] == "create":
        return (*op[:4], Kind(op[4]), op[5])
    return tuple(op)
