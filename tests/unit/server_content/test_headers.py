"""What a file is called on its way out: no name or type leads out of its header."""

from __future__ import annotations

from email.message import Message
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from syncline.server.content.headers import INLINE_TYPES, UNKNOWN_TYPE, answer_headers, disposition_of, type_of

NASTY = (
    'a"; x="b',
    "line\r\nset-cookie: a=b",
    "\x00\x1f\x7f",
    "\\",
    "é\u202egnp.exe",
    "💥" * 80,
    "",
    "%00",
    "a;b",
    "=?utf-8?q?x?=",
    "\ud800",
)


@given(st.one_of(st.text(max_size=255), st.sampled_from(NASTY)), st.booleans())
def test_any_name_is_one_header_of_two_spellings(name: str, inline: bool) -> None:
    header = disposition_of(name, "image/png", inline=inline)
    assert header.isascii()
    assert header.isprintable()
    plain, _, exact = header.partition("; filename*=UTF-8''")
    assert plain.startswith('inline; filename="' if inline else 'attachment; filename="')
    assert '"' not in plain.partition('"')[2][:-1]
    if exact:
        assert unquote(exact, errors="strict") == name.encode(errors="replace").decode()
        assert not set(exact) & set(" \";,'()<>@:\\/[]?={}")
    else:
        assert plain.partition('"')[2][:-1] == name
    message = Message()
    message["content-disposition"] = header
    assert message.get_content_disposition() == ("inline" if inline else "attachment")


@given(st.text(max_size=80), st.one_of(st.none(), st.text(max_size=80)))
def test_any_type_is_one(name: str, mime_type: str | None) -> None:
    kind = type_of(name, mime_type)
    assert kind.isascii()
    assert kind.isprintable()
    assert "/" in kind
    if answer_headers(name, mime_type, inline=True)["content-disposition"].startswith("inline"):
        assert kind.partition(";")[0].lower() in INLINE_TYPES


def test_types_come_from_the_store_then_from_the_name() -> None:
    assert type_of("a.txt", "image/png") == "image/png"
    assert type_of("a.PNG", None) == "image/png"
    assert type_of("a.tar.gz", None) == "application/gzip"
    assert type_of("a.svgz", None) == "application/gzip"
    assert type_of("data:text/html,x", None) == UNKNOWN_TYPE
    assert type_of("", None) == UNKNOWN_TYPE
    assert type_of("a", "text/html\n") == UNKNOWN_TYPE
    assert type_of("a", 'text/plain; charset="utf-8"') == 'text/plain; charset="utf-8"'
