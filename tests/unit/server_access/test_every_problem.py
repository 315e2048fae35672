"""Every problem a door can answer stands in `docs/status-and-problems.md`, and something provokes it over HTTP.

The sections whose headings begin with "Answers" are read; a code without a provocation fails here, and so does a code that the
server's rooms raise and no such section names.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.server_access import provoked_past as past
from tests.unit.server_access import provoked_people as people
from tests.unit.server_access.provoked import CHANGESETS, DOORS, UPLOADS, Provocation
from tests.unit.server_access.world import World, opened

from syncline.model.errors import SynclineError

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "status-and-problems.md"
_SECTION = re.compile(r"^###? (Answers[^\n]*)\n(.*?)(?=^###? |\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|([^|]*`[^|]*)\|([^|]*)\|", re.MULTILINE)
_CODE = re.compile(r"`([a-z_]+(?:\.[a-z_]+)*)`")
ELSEWHERE = {"store.refused": ("tests/unit/adapters_objects/test_s3_calls.py", "StoreRefused")}
"""Told by servers on S3 alone: where it is provoked, and by what name."""
BY_SECTION = {
    "Answers of every door": {*DOORS, *ELSEWHERE},
    "Answers about plain uploads": {*UPLOADS},
    "Answers about shared folders": {*people.DOORS, *people.ENTRIES, *people.CHANGESETS},
    "Answers in a refused changeset": {*CHANGESETS},
    "Answers of `history`, `restore`, `trash`, `rewind` and `undo`": {*past.DOORS, *past.ENTRIES},
}
OF_DEVICES = {"Answers of `conflicts resolve`"}
"""Sections of what no server answers."""
ROOMS = ("server", "protocol", "adapters/objects", "adapters/sql", "content")
APART = ("server/check", "adapters/sql/migrations", "adapters/sql/check", "adapters/sql/migrate", "adapters/sql/upgrade")
"""Rooms that answer at no door: checks and upgrades speak with whoever runs the server."""
NOT_TOLD = {
    "manifest.corrupt": "devices read manifests",
    "pack.corrupt": "devices and checks read whole packs",
    "blocks.missing": "an entry of an answer of manifests or changesets",
    "conflict": "of the store, which completing an upload turns into `upload.part_mismatch`; and see `docs/uploads.md`",
    "error": "the base class, as an annotation",
}
"""Codes that those rooms raise and no door answers with."""


def documented() -> dict[str, dict[str, int | None]]:
    """By section, codes and the status that is told of them."""
    found: dict[str, dict[str, int | None]] = {}
    for title, text in _SECTION.findall(PAGE.read_text()):
        if title in OF_DEVICES:
            continue
        codes = found.setdefault(title, {})
        for names, status in _ROW.findall(text):
            told = int(status) if status.strip().isdigit() else None
            codes.update(dict.fromkeys(_CODE.findall(names), told))
    return found


def raised() -> Iterator[tuple[str, str]]:
    """The codes of every error that the server's rooms make, and where."""
    source = ROOT / "src" / "syncline"
    for room in ROOMS:
        for path in sorted((source / room).rglob("*.py")):
            place = path.relative_to(source).with_suffix("").as_posix()
            if place.startswith(APART):
                continue
            module = importlib.import_module(f"syncline.{place.replace('/', '.').removesuffix('.__init__')}")
            for node in ast.walk(ast.parse(path.read_text())):
                name = node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else None
                kind = getattr(module, name.id, None) if isinstance(name, ast.Name) else None
                if isinstance(kind, type) and issubclass(kind, SynclineError):
                    yield kind.code, place


def test_every_documented_problem_has_a_provocation() -> None:
    sections = documented()
    assert sum(map(len, sections.values())) > 40
    assert {title: set(codes) for title, codes in sections.items()} == {title: BY_SECTION.get(title) for title in sections}
    for path, name in ELSEWHERE.values():
        assert name in (ROOT / path).read_text()


def test_every_problem_of_the_servers_rooms_is_documented() -> None:
    told = {code for codes in documented().values() for code in codes}
    found = dict(raised())
    assert len(found) > 20
    assert {code: place for code, place in found.items() if code not in told | set(NOT_TOLD)} == {}
    assert set(NOT_TOLD) <= set(found), "of what is raised no more, nothing need be explained"


async def test_every_problem_is_answered_as_documented(tmp_path: Path) -> None:
    statuses = {code: status for codes in documented().values() for code, status in codes.items() if status is not None}
    async with opened(tmp_path) as world:
        found = [
            (code, await _faults(world, provoke, code, statuses.get(code)))
            for code, provoke in told(DOORS, UPLOADS, people.DOORS, people.ALSO, past.DOORS)
        ]
    assert [(code, fault) for code, fault in found if fault] == []


async def _faults(world: World, provoke: Provocation, code: str, status: int | None) -> str:
    got, problem = await provoke(world)
    told = {"code": code, "status": got, "type": f"urn:syncline:problem:{code}"}
    if {name: problem.get(name) for name in told} != told or (status is not None and got != status):
        return f"{got}, documented {status}: {problem}"
    if not all(problem.get(name) for name in ("title", "detail", "request_id")) or "retryable" not in problem:
        return f"no whole problem document: {problem}"
    return ""


async def test_every_failure_of_a_changeset_or_a_batch_is_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        found = {code: await provoke(world) for code, provoke in told(CHANGESETS, people.CHANGESETS)}
        entries = {code: await provoke(world) for code, provoke in told(people.ENTRIES, past.ENTRIES)}
    for code, (status, problem) in found.items():
        assert (status, problem["code"]) == (409, "commit.refused"), (code, problem)
        assert [failure["code"] for failure in problem["failures"]] == [code]
    assert {code: (status, entry.get("error")) for code, (status, entry) in entries.items()} == {
        code: (200, code) for code in entries
    }


def told(*tables: dict[str, Provocation]) -> list[tuple[str, Provocation]]:
    """The provocations of the tables whose codes the page has."""
    known = {code for codes in documented().values() for code in codes}
    return [(code, provoke) for table in tables for code, provoke in table.items() if code in known]
