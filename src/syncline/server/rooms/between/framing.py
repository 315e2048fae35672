"""What stands before a message between processes: whether an answer may be as of earlier, and as of when it is.

A question begins with one byte: whether whoever asks could do with an older state than the newest (`ports.freshness`). An answer
begins with its kind and the time it is as of, in microseconds, 0 where it is as new as can be; so does a problem.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from syncline.ports import freshness
from syncline.ports.freshness import Freshness

ANSWER: Final = 0
PROBLEM: Final = 1
_HEAD: Final = Struct(">Bq")


def question(body: bytes) -> bytes:
    """The question as it is sent, for the request this task serves."""
    return (b"\1" if freshness.may_be_behind() else b"\0") + body


def heard(message: bytes) -> tuple[Freshness, bytes]:
    """A question as it came: it begins a freshness for this task. Raises `ValueError`."""
    if message[:1] not in (b"\0", b"\1"):
        raise ValueError("no question")
    return freshness.begin(may_be_behind=message[:1] == b"\1"), message[1:]


def answer(kind: int, body: bytes, fresh: Freshness) -> bytes:
    return _HEAD.pack(kind, fresh.as_of_us or 0) + body


def answered(message: bytes) -> tuple[int, bytes]:
    """Kind and body of an answer; how fresh it is, this task's request learns. Raises `ValueError`."""
    if len(message) < _HEAD.size or message[0] not in (ANSWER, PROBLEM):
        raise ValueError("neither an answer nor a problem")
    kind, as_of_us = _HEAD.unpack_from(message)
    if as_of_us:
        freshness.note(as_of_us)
    return kind, message[_HEAD.size :]
