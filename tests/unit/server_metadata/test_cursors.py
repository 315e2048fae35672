"""The bytes of cursors and journal rows are those of `docs/format/`: the golden values stand there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import digest

from syncline.model.entries import Kind
from syncline.model.errors import CorruptCursor
from syncline.model.ids import ChangesetId, DeviceId, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry, chain_after, node_term, root_text, row_bytes
from syncline.server.metadata.cursors import Cursor, CursorCodec

FORMATS = Path(__file__).parents[3] / "docs" / "format"
USER = UserId("01HZY0000000000000000000VS")
NODE = NodeId("01HZY0000000000000000000ND")
CHAIN = digest(b"chain")
CODEC = CursorCodec(bytes(range(32)))
CURSOR = Cursor(NamespaceId("01HZY0000000000000000000NS"), "01HZY0000000000000000000EP", 258, CHAIN)
ROW = JournalEntry(
    sequence=258,
    changeset=ChangesetId("01HZY0000000000000000000CS"),
    op="edit",
    node_id=NODE,
    parent_id=NodeId("01HZY0000000000000000000NS"),
    name="é.txt",
    kind=Kind.FILE,
    revision=2,
    content_hash=digest(b"hello"),
    size=5,
    executable=True,
    mtime_us=1_700_000_000_000_000,
    actor=USER,
    device=DeviceId("01HZY0000000000000000000DV"),
    time_us=1_700_000_000_000_001,
)


def golden(page: str) -> list[str]:
    """The blocks of code under a format page's last heading."""
    text = (FORMATS / page).read_text().rpartition("## Golden value")[2]
    return [block.strip() for block in text.split("```")[1::2]]


def test_cursors_have_the_documented_bytes() -> None:
    cursor, page = golden("cursor.md")
    assert CODEC.encode(CURSOR, USER) == cursor
    assert CODEC.encode_page(CURSOR, NODE, USER) == page
    assert CODEC.decode(cursor, USER) == CURSOR
    assert CODEC.decode_page(page, USER) == (CURSOR, NODE)
    assert (len(cursor), len(page)) == (167, 202)


def test_rows_chains_and_roots_have_the_documented_bytes() -> None:
    row, chain, root = golden("journal.md")
    assert row_bytes(ROW).hex() == row
    assert chain_after(CHAIN, ROW) == chain
    assert root_text(node_term(NODE, ROW.parent_id, ROW.name, ROW.kind, ROW.executable, ROW.content_hash)) == root


def test_every_character_of_a_cursor_is_signed() -> None:
    text = CODEC.encode(CURSOR, USER)
    for index, char in enumerate(text):
        other = "A" if char != "A" else "Q"
        try:
            changed = CODEC.decode(text[:index] + other + text[index + 1 :], USER)
        except CorruptCursor:
            continue
        # The last character carries bits that base64 ignores; whatever is accepted must say the same.
        assert index == len(text) - 1
        assert changed == CURSOR


def test_another_key_user_or_kind_is_refused() -> None:
    text = CODEC.encode(CURSOR, USER)
    for codec, user in [(CODEC, UserId("01HZY0000000000000000000VT")), (CursorCodec(hashlib.sha256(b"").digest()), USER)]:
        with pytest.raises(CorruptCursor):
            codec.decode(text, user)
    with pytest.raises(CorruptCursor):
        CODEC.decode_page(text, USER)


def test_a_cursor_key_has_a_length() -> None:
    with pytest.raises(ValueError, match="32"):
        CursorCodec(b"short")
