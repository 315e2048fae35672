"""Names: which collide, which are refused, and what a conflict copy is called."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncline.model.errors import InvalidName
from syncline.model.limits import NAME_MAX_BYTES
from syncline.model.paths import (
    case_conflict_name,
    check_name,
    conflict_name,
    is_reserved,
    join,
    name_key,
    name_of,
    name_problem,
    parent_of,
    split_path,
)
from syncline.model.unicode14 import unassigned_in_unicode_14

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = texts.filter(lambda text: name_problem(text) is None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README", "readme"),
        ("é", "e\u0301"),
        ("É", "e\u0301"),
        ("straße", "STRASSE"),
        ("ﬁle", "FILE"),
        ("ſ", "S"),
        ("Å", "\u212b"),
        ("K", "\u212a"),
        ("ΣΑΣ", "σας"),
        ("가", "\u1100\u1161"),
    ],
)
def test_names_that_collide(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("i", "ı"), ("a ", "a"), ("a", "а"), ("1", "１")])
def test_names_that_do_not(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@given(texts)
def test_normal_forms_of_one_name_collide(name: str) -> None:
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(unicodedata.normalize("NFC", name)) == name_key(name)


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_the_quick_way_for_ascii_is_the_same(name: str) -> None:
    assert name_key(name) == unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def test_code_points_of_newer_tables_stay_as_they_are() -> None:
    unknown = chr(0x1C89)
    assert unassigned_in_unicode_14(ord(unknown))
    assert name_key(f"A{unknown}B") == f"a{unknown}b"


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="compares with the tables themselves")
@given(st.integers(0, 0x10FFFF))
def test_the_table_of_unassigned_code_points(code_point: int) -> None:
    assert unassigned_in_unicode_14(code_point) == (unicodedata.category(chr(code_point)) == "Cn")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "nul\0", "line\nbreak", "tab\t", "del\x7f", "é\x01", "x" * 256, "é" * 128, "\udcff", "a\ud800"],
)
def test_what_cannot_be_a_name(name: str) -> None:
    assert name_problem(name) is not None
    with pytest.raises(InvalidName):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["a", "x" * 255, "é" * 127, " ", "...", ".hidden", "CON", "a:b", "x.", "日本語", "🎉", "~$x", "syncline"]
)
def test_what_can(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        ".syncline",
        ".SyncLine",
        ".sync\u200cline",
        "\ufeff.syncline",
        ".syncline.",
        ".syncline ",
        ".syncline. .",
        ".syncline::$DATA",
        ".syncline :x",
        ".ſyncline",
        "SYNCLI~1",
        "syncli~12",
        ".syncline\U000e0001",
        ".syn\U000e0061cline",
        ".sync\ufff8line",
    ],
)
def test_our_own_folder_is_reserved_in_every_disguise(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name", [".synclines", "syncline", ".synclineignore", "SYNCLI~", "SYNCLI~x", "x.syncline", ".sync", "syncli~1a"]
)
def test_neighbours_of_our_own_folder_are_not(name: str) -> None:
    assert not is_reserved(name)


@given(names, texts, st.integers(1, 1000))
@example("0", "\uf900", 1)
def test_conflict_names_are_names_and_keep_the_extension(name: str, device: str, number: int) -> None:
    for made in (conflict_name(name, device, "2026-11-21", number), case_conflict_name(name, number)):
        assert name_problem(made) is None
        assert len(made.encode()) <= NAME_MAX_BYTES
        assert unicodedata.normalize("NFC", made) == made
    stem, _, extension = unicodedata.normalize("NFC", name).rpartition(".")
    if stem.strip(".") and len(extension.encode()) <= 32:
        assert conflict_name(name, device, "2026-11-21").endswith("." + extension)


def test_conflict_names_as_people_know_them() -> None:
    assert conflict_name("report.docx", "laptop", "2026-11-21") == "report (laptop's conflicted copy 2026-11-21).docx"
    assert conflict_name(".bashrc", "laptop", "2026-11-21", 2) == ".bashrc (laptop's conflicted copy 2026-11-21 2)"
    assert case_conflict_name("Readme.md") == "Readme (case conflict).md"
    assert conflict_name("a", "x/y\n\0", "2026-11-21") == "a (xy's conflicted copy 2026-11-21)"
    assert conflict_name("a", "\n", "2026-11-21") == "a (device's conflicted copy 2026-11-21)"


@given(st.lists(names, min_size=1, max_size=5))
def test_paths_come_apart_as_they_were_joined(parts: list[str]) -> None:
    path = ""
    for part in parts:
        path = join(path, part)
    assert split_path("/" + path) == tuple(parts)
    assert name_of(path) == parts[-1]
    assert parent_of(path) == "/".join(parts[:-1])


def test_paths_at_the_edges() -> None:
    assert split_path("/") == split_path("") == ()
    for bad in ("/a//b", "/a/../b", "/.syncline/x"):
        with pytest.raises(InvalidName):
            split_path(bad)
