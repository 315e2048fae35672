"""Merging lines: what git merges cleanly and what it does not, to the byte, and nothing that git would not merge."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline.content.merge import Unmerged, merge_text
from syncline.model.limits import MERGE_MAX_BYTES

BASE = b"".join(b"line %d\n" % number for number in range(20))


def changed(*pairs: tuple[bytes, bytes], text: bytes = BASE) -> bytes:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_changes_apart_are_merged() -> None:
    ours, theirs = changed((b"line 3\n", b"three\n")), changed((b"line 12\n", b""), (b"line 19\n", b"line 19\nmore\n"))
    assert merge_text(BASE, ours, theirs) == changed((b"line 12\n", b""), (b"line 19\n", b"line 19\nmore\n"), text=ours)


def test_equal_changes_are_one() -> None:
    both = changed((b"line 3\n", b"three\n"))
    assert merge_text(BASE, both, both) == both
    assert merge_text(BASE, both, changed((b"line 9\n", b"nine\n"), text=both)) == changed((b"line 9\n", b"nine\n"), text=both)


def test_what_one_side_left_alone_is_the_others() -> None:
    theirs = changed((b"line 3\n", b"three\n"))
    assert merge_text(BASE, BASE, theirs) == merge_text(BASE, theirs, BASE) == theirs
    assert merge_text(b"", b"", b"new\n") == b"new\n"


@pytest.mark.parametrize(
    "theirs",
    [changed((b"line 3\n", b"drei\n")), changed((b"line 4\n", b"vier\n")), changed((b"line 3\n", b"")), b""],
    ids=["same line", "next line", "deleted", "all deleted"],
)
def test_changes_that_touch_are_not(theirs: bytes) -> None:
    assert merge_text(BASE, changed((b"line 3\n", b"three\n")), theirs) is Unmerged.OVERLAP


def test_what_equal_lines_make_ambiguous_is_not() -> None:
    blank = b"top\n" + b"\n" * 9 + b"end\n"
    assert (
        merge_text(blank, b"top\n" + b"\n" * 12 + b"end\n", b"top\n" + b"\n" * 4 + b"x\n" + b"\n" * 5 + b"end\n")
        is Unmerged.OVERLAP
    )


def test_bytes_are_never_converted() -> None:
    base = BASE.replace(b"\n", b"\r\n")
    ours, theirs = base.replace(b"line 3\r", b"three\r"), base.replace(b"line 12\r", b"twelve\r")
    assert merge_text(base, ours, theirs) == ours.replace(b"line 12\r", b"twelve\r")
    assert merge_text(BASE, BASE.replace(b"\n", b"\r\n"), changed((b"line 3\n", b"three\n"))) is Unmerged.OVERLAP
    lone = BASE.replace(b"line 7\n", b"line\x0c7\r\x0b\xe2\x80\xa8\n")
    assert merge_text(lone, changed((b"line 3\n", b"3\n"), text=lone), lone) == changed((b"line 3\n", b"3\n"), text=lone)


def test_a_missing_last_line_feed_stays_missing() -> None:
    base = BASE.removesuffix(b"\n")
    ours, theirs = changed((b"line 3\n", b"three\n"), text=base), changed((b"line 12\n", b"twelve\n"), text=base)
    assert merge_text(base, ours, theirs) == changed((b"line 12\n", b"twelve\n"), text=ours)
    assert merge_text(BASE, base, changed((b"line 3\n", b"three\n"))) == ours


@pytest.mark.parametrize("where", [0, 1, 2])
def test_what_is_no_text_is_left_alone(where: int) -> None:
    for bad, why in (
        (b"a\0b", Unmerged.BINARY),
        (b"\xff\xfe", Unmerged.BINARY),
        (b"x" * (MERGE_MAX_BYTES + 1), Unmerged.TOO_LARGE),
    ):
        sides = [BASE, changed((b"line 3\n", b"3\n")), changed((b"line 12\n", b"12\n"))]
        sides[where] = bad
        assert merge_text(*sides) is why


def test_comparing_ends() -> None:
    assert merge_text(b"\n" * 30_000, b"a\n" * 20_000, b"b\n" * 20_000) is Unmerged.TOO_DIFFERENT
    long = b"".join(b"%d\n" % number for number in range(100_000))
    assert merge_text(long, b"first\n" + long, long + b"last\n") == b"first\n" + long + b"last\n"


# -- Git's word ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    if shutil.which("git") is None:
        pytest.skip("THERE IS NO GIT HERE: the merge is not compared with `git merge-file`")
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def by_git(folder: Path, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """What `git merge-file` makes of it; None for anything but a clean merge."""
    names = [folder / name for name in ("ours", "base", "theirs")]
    for name, content in zip(names, (ours, base, theirs), strict=True):
        name.write_bytes(content)
    done = subprocess.run(["git", "merge-file", "-p", *map(str, names)], capture_output=True, check=False)
    assert 0 <= done.returncode < 128, done.stderr
    return done.stdout if done.returncode == 0 else None


@st.composite
def three(draw: st.DrawFn, *, repeats: bool) -> tuple[bytes, bytes, bytes]:
    """A text, and two edits of it. Without `repeats` no line stands twice in one text."""
    fresh = iter(range(10_000))
    ends = st.sampled_from([b"\n", b"\r\n"])
    words = st.sampled_from([b"", b"}", b"a", b"b"])

    def line() -> bytes:
        unique = not repeats or draw(st.booleans())
        return (b"%d" % next(fresh) if unique else draw(words)) + draw(ends)

    def edited(lines: list[bytes]) -> bytes:
        lines = list(lines)
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(lines)))
            gone, come = draw(st.integers(0, 3)), draw(st.integers(0, 3))
            lines[at : at + gone] = [line() for _ in range(come)]
        text = b"".join(lines)
        return text.removesuffix(b"\n") if draw(st.integers(0, 7)) == 0 else text

    base = [line() for _ in range(draw(st.integers(0, 25)))]
    # What is written anew by both sides alike comes from one edit applied before either.
    return edited(base) if draw(st.integers(0, 9)) == 0 else b"".join(base), edited(base), edited(base)


quick = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@quick
@given(texts=three(repeats=False))
def test_the_verdict_and_the_bytes_are_gits(folder: Path, texts: tuple[bytes, bytes, bytes]) -> None:
    merged = merge_text(*texts)
    assert (merged if isinstance(merged, bytes) else None) == by_git(folder, *texts)


@quick
@given(texts=three(repeats=True))
def test_where_lines_repeat_nothing_is_merged_that_git_would_not(folder: Path, texts: tuple[bytes, bytes, bytes]) -> None:
    merged = merge_text(*texts)
    if isinstance(merged, bytes):
        assert merged == by_git(folder, *texts)


@quick
@given(texts=three(repeats=True))
def test_merging_again_what_was_merged_changes_nothing(texts: tuple[bytes, bytes, bytes]) -> None:
    """A crash between placing a merge and noting it has it made again, with the result as our side."""
    base, ours, theirs = texts
    merged = merge_text(base, ours, theirs)
    if isinstance(merged, bytes):
        again = merge_text(base, merged, theirs)
        assert again in (merged, Unmerged.OVERLAP)
        other = merge_text(base, theirs, ours)
        assert other == merged
