"""A promise's methods as messages: what is asked and what is answered follows from its annotations, and from nothing else.

A question is an array of the arguments in the order of the signature, in MessagePack; a parameter that is added at the end with a
default is understood by older and newer processes alike.
"""

from __future__ import annotations

import inspect
from dataclasses import fields
from functools import lru_cache
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import Struct

from syncline.server.rooms.marks import AGAIN, ALWAYS, LASTING

_NONE: Final = inspect.Parameter.empty


class Method:
    """One method of a promise: how its questions and answers are written, and whether it may be asked again."""

    __slots__ = ("_again", "_ask", "_names", "_signature", "answers", "lasting", "name", "questions")

    def __init__(self, name: str, function: Any) -> None:
        hints = get_type_hints(function)
        given = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
        self.name = name
        self._signature = inspect.Signature(given)
        self._names = tuple(one.name for one in given)
        self._ask: type[Struct] = msgspec.defstruct(
            name,
            [(one.name, hints[one.name]) if one.default is _NONE else (one.name, hints[one.name], one.default) for one in given],
            array_like=True,
        )
        self.questions: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(self._ask)
        self.answers: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(hints["return"])
        self._again: str | None = getattr(function, AGAIN, None)
        self.lasting: bool = getattr(function, LASTING, False)

    def question(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[bytes, bool]:
        """The message of a call, and whether it may be sent again when it is not known what became of it."""
        bound = self._signature.bind(*arguments, **options)
        bound.apply_defaults()
        again = self._again is not None and (self._again == ALWAYS or bound.arguments[self._again] is not None)
        return msgspec.msgpack.encode(self._ask(**bound.arguments)), again

    async def answer(self, room: Any, question: bytes) -> bytes:
        """The answer of `room`. Raises what the room raises, and `msgspec.MsgspecError` for what is no question."""
        asked = self.questions.decode(question)
        values = {name: getattr(asked, name) for name in self._names}
        bound = inspect.BoundArguments(self._signature, values)
        return msgspec.msgpack.encode(await getattr(room, self.name)(*bound.args, **bound.kwargs))


@lru_cache(maxsize=64)
def methods_of(promise: type) -> dict[str, Method]:
    """The methods of a promise by name."""
    found = inspect.getmembers(promise, inspect.iscoroutinefunction)
    return {name: Method(name, function) for name, function in found if not name.startswith("_")}


def promises_of(side: type) -> dict[str, type]:
    """The promises of a side (`rooms.sides`) by the names of their rooms."""
    hints = get_type_hints(side)
    return {field.name: hints[field.name] for field in fields(side)}
