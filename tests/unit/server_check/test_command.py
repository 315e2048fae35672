"""`syncline admin check` as a person and as a program meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.server_check.conftest import Data

from syncline.cli import outcome
from syncline.cli.main import syncline


def _check(data: Data, *options: str) -> int:
    arguments = ["admin", "check", "--data", str(data.path), *options]
    return outcome.of(lambda: syncline.main(args=arguments, prog_name="syncline", standalone_mode=False))


def test_a_sound_server_ends_with_0_and_a_line_a_hop(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    assert _check(data, "--deep") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", hop] for hop in ("database", "journal", "tree", "revisions", "store", "packs", "content")
    ]
    assert lines[-1] == "Nothing was found wrong."


def test_damage_ends_with_1_and_names_the_file(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    data.object_of("film.bin").write_bytes(b"not a pack")
    assert _check(data, "--deep") == 1
    out = capsys.readouterr().out
    assert "FOUND  check.object_size: pack" in out
    assert "FOUND  check.revision_damaged: ada@example.org:/docs/deep/film.bin" in out
    assert "wrong  content" in out


def test_programs_get_one_document(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    assert _check(data, "--json") == 0
    sound = json.loads(capsys.readouterr().out)
    assert (sound["ok"], sound["deep"], sound["findings"], sound["findings_total"]) == (True, False, [], 0)
    data.sql("DELETE FROM journal WHERE sequence = 1")
    assert _check(data, "--json") == 1
    damaged = json.loads(capsys.readouterr().out)
    gap = next(finding for finding in damaged["findings"] if finding["code"] == "check.journal_gap")
    assert gap["sequence"] == 1
    assert gap["owner"] == "ada@example.org"
    assert damaged["findings_total"] == len(damaged["findings"]) == sum(hop["findings"] for hop in damaged["hops"])


def test_no_data_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _check(Data(tmp_path)) == 2
    assert "holds no server's data" in capsys.readouterr().err
