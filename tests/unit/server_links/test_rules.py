"""The rules of links without a server: tokens, passes, names, forms."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.server_gateway.clock import HandClock

from syncline.adapters.machine import MachineChance
from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound
from syncline.model.ids import LinkId, NamespaceId, ulid, ulid_bytes, ulid_of
from syncline.model.limits import LINK_PASS_TTL_S
from syncline.model.paths import name_problem, numbered_name
from syncline.server.links.forms import Form
from syncline.server.links.names import dropped_name, free_name
from syncline.server.links.passes import DOWNLOAD, PASSWORD, Passes
from syncline.server.links.tokens import fresh_token, read_token, token_hash

LINK = LinkId("01J9ZK3V8Q6W1M2N3P4R5S6T7V")


@given(st.binary(min_size=16, max_size=16))
def test_ids_are_sixteen_bytes(data: bytes) -> None:
    assert ulid_bytes(ulid_of(data)) == data


def test_a_token_names_its_namespace_and_nothing_else_is_one() -> None:
    namespace = NamespaceId(ulid(1, bytes(10)))
    token = fresh_token(namespace, MachineChance())
    assert read_token(token) == (namespace, token_hash(token))
    for wrong in ("", token[:-1], token + "A", token[:-1] + "!", "é" * 48, token[:-1] + "="):
        with pytest.raises(NotFound):
            read_token(wrong)


def test_a_pass_holds_for_its_hour_link_purpose_and_subject() -> None:
    clock = HandClock()
    passes = Passes(bytes(32), clock)
    given_ = passes.give(PASSWORD, LINK, "hash")
    assert passes.holds(given_, PASSWORD, LINK, "hash")
    assert not passes.holds(given_, DOWNLOAD, LINK, "hash")
    assert not passes.holds(given_, PASSWORD, LinkId(LINK[::-1]), "hash")
    assert not passes.holds(given_, PASSWORD, LINK, "other")
    assert not Passes(bytes(31) + b"x", clock).holds(given_, PASSWORD, LINK, "hash")
    for wrong in (None, "", ".", "9" * 40 + given_, given_ + "A", "é" + given_, "²" + given_):
        assert not passes.holds(wrong, PASSWORD, LINK, "hash")
    clock.pass_s(LINK_PASS_TTL_S - 1)
    assert passes.holds(given_, PASSWORD, LINK, "hash")
    clock.pass_s(1)
    assert not passes.holds(given_, PASSWORD, LINK, "hash")


@given(st.text(max_size=400))
def test_any_text_becomes_a_name(text: str) -> None:
    assert name_problem(dropped_name(text)) is None


@given(st.sets(st.integers(2, 300), max_size=200), st.booleans())
async def test_a_free_name_is_free(numbers: set[int], first: bool) -> None:
    there = {numbered_name("a.txt", number) for number in numbers} | ({"a.txt"} if first else set())
    asked: list[str] = []

    async def taken(name: str) -> bool:
        asked.append(name)
        return name in there

    assert await free_name("a.txt", taken) not in there
    assert len(asked) < 30


# -- Forms -----------------------------------------------------------------------------------------------------------------------


def body_of(*parts: tuple[str, bytes]) -> bytes:
    """A form as a browser writes it."""
    return b"".join(b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + b"--b--\r\n"


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def read(body: bytes, size: int) -> list[tuple[str, bytes]]:
    form = Form(pieces(body, size), "multipart/form-data; boundary=b")
    return [(one.name, b"".join([piece async for piece in one.content])) async for one in form.files()]


FILES = (
    ('Content-Disposition: form-data; name="note"', b"a field that is no file"),
    (
        'Content-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: text/plain',
        b"\r\n--\r\n-b" * 7 + bytes(9000),
    ),
    ('Content-Disposition: form-data; name="file"; filename=""', b""),
    ('Content-Disposition: form-data; name="file"; filename="é (1).txt"', b""),
    ('Content-Disposition: form-data; name="file"; filename="c"', b"last"),
)


@pytest.mark.parametrize("size", [1, 2, 7, 100, 4096, 1 << 20])
async def test_a_form_is_read_however_it_comes(size: int) -> None:
    assert await read(body_of(*FILES), size) == [("a.bin", b"\r\n--\r\n-b" * 7 + bytes(9000)), ("é (1).txt", b""), ("c", b"last")]


async def test_a_form_may_be_read_in_part() -> None:
    """Whoever does not care for a file's content goes on to the next one."""
    form = Form(pieces(body_of(*FILES), 50), "multipart/form-data; boundary=b")
    assert [one.name async for one in form.files()] == ["a.bin", "é (1).txt", "c"]


@pytest.mark.parametrize("cut", [1, 10, 60, 200, 3000])
async def test_a_form_that_breaks_off_is_refused(cut: int) -> None:
    with pytest.raises(InvalidRequest):
        await read(body_of(*FILES)[:cut], 64)


async def test_a_form_has_so_many_files_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.server.links.forms.DROP_FILES_MAX", 3)
    names = itertools.repeat(('Content-Disposition: form-data; name="file"; filename="x"', b"1"), 4)
    with pytest.raises(LimitExceeded):
        await read(body_of(*names), 64)
