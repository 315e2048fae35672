"""The arithmetic of parts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.model.errors import PartMismatch, UploadIncomplete
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UploadId, UserId
from syncline.model.limits import FILE_MAX_BYTES, GIB, MIB, UPLOAD_PART_MAX_BYTES, UPLOAD_PART_MIN_BYTES, UPLOAD_PARTS_MAX
from syncline.ports.object_store import StoredPart
from syncline.ports.upload_store import NotedPart, Upload
from syncline.protocol.uploads import PartClaim, PartRange
from syncline.server.uploads.parts import check_complete, part_bytes, part_count, plain_etag, ranges


@pytest.mark.parametrize(
    ("size", "each", "count"),
    [
        (0, 8 * MIB, 1),
        (1, 8 * MIB, 1),
        (8 * MIB, 8 * MIB, 1),
        (8 * MIB + 1, 8 * MIB, 2),
        (50 * 10**9, 8 * MIB, 5961),
        (50 * GIB, 8 * MIB, 6400),
        (8 * MIB * 10_000, 8 * MIB, 10_000),
        (8 * MIB * 10_000 + 1, 16 * MIB, 5001),
        (1 << 40, 128 * MIB, 8192),
    ],
)
def test_fifty_gigabytes_and_a_terabyte_fit_in_ten_thousand_parts(size: int, each: int, count: int) -> None:
    assert (part_bytes(size), part_count(size, part_bytes(size))) == (each, count)


@given(st.integers(0, FILE_MAX_BYTES), st.integers(1, UPLOAD_PARTS_MAX))
def test_parts_are_powers_of_two_and_no_larger_than_they_must_be(size: int, parts_max: int) -> None:
    each = part_bytes(size, parts_max)
    assert each & (each - 1) == 0
    assert UPLOAD_PART_MIN_BYTES <= each <= UPLOAD_PART_MAX_BYTES
    assert part_count(size, each) <= parts_max or each == UPLOAD_PART_MAX_BYTES
    assert each == UPLOAD_PART_MIN_BYTES or part_count(size, each // 2) > parts_max
    upload = _upload(size, each)
    assert sum(upload.size_of(number) for number in (1, upload.part_count)) <= size or upload.part_count == 1
    assert upload.size_of(upload.part_count) + (upload.part_count - 1) * each == size


@given(st.sets(st.integers(1, 60)))
def test_ranges_say_the_same_numbers_in_as_few_runs(numbers: set[int]) -> None:
    found = ranges(sorted(numbers))
    assert [number for run in found for number in range(run.first, run.last + 1)] == sorted(numbers)
    assert all(before.last + 1 < after.first for before, after in pairwise(found))
    assert ranges([1, 2, 3, 9]) == [PartRange(first=1, last=3), PartRange(first=9, last=9)]


def test_every_part_must_be_there_in_full_and_as_it_was_said_to_be() -> None:
    upload = _upload(20 * MIB, 8 * MIB)
    parts = [StoredPart(1, "a", 8 * MIB), StoredPart(2, "b", 8 * MIB), StoredPart(3, "c", 4 * MIB)]
    assert check_complete(upload, [*parts, StoredPart(4, "d", 1)], None, []) == parts
    for wrong in (parts[:2], [*parts[:2], StoredPart(3, "c", 4 * MIB - 1)]):
        with pytest.raises(UploadIncomplete) as incomplete:
            check_complete(upload, wrong, None, [])
        assert incomplete.value.fields["missing"] == [3]
    claims = [PartClaim(part_number=2, etag='"x"'), PartClaim(part_number=9, etag="b")]
    with pytest.raises(PartMismatch) as mismatch:
        check_complete(upload, parts, claims, [NotedPart(1, "before", 8 * MIB, None)])
    assert mismatch.value.fields["parts"] == [1, 2, 9]


def test_an_etag_is_the_same_with_quotes_and_without() -> None:
    assert {plain_etag(text) for text in ("abc", '"abc"', ' "abc" ', 'W/"abc"')} == {"abc"}


def _upload(size: int, each: int) -> Upload:
    return Upload(
        id=UploadId("u"),
        namespace=NamespaceId("n"),
        user=UserId("u"),
        device=DeviceId("d"),
        node=NodeId("f"),
        parent=NodeId("n"),
        name="name",
        size=size,
        object_key="key",
        part_bytes=each,
        part_count=part_count(size, each),
        created_us=0,
        expires_us=0,
    )
