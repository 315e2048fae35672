"""A server's configuration from the environment: every key has a variable, `SYNCLINE_SERVER_` and the key in capitals.

A table's keys follow its name: `SYNCLINE_SERVER_OBJECTS_BUCKET` is `objects.bucket`. Lists are written with commas. The environment
is stronger than the file, and the command line stronger than both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from syncline.model.errors import InvalidRequest

PREFIX: Final = "SYNCLINE_SERVER_"


class Variable(Struct, frozen=True):
    """One key: `path` leads to it in the file's document."""

    name: str
    path: tuple[str, ...]
    kind: Any

    @property
    def key(self) -> str:
        return ".".join(self.path)


def variables(config: type[Struct], above: tuple[str, ...] = ()) -> Iterator[Variable]:
    """Every variable that a configuration has."""
    for field in msgspec.structs.fields(config):
        path, kind = (*above, field.name), _given(field.type)
        if isinstance(kind, type) and issubclass(kind, Struct):
            yield from variables(kind, path)
        else:
            yield Variable(PREFIX + "_".join(path).upper(), path, kind)


def overlaid(document: dict[str, Any], config: type[Struct], environment: Mapping[str, str]) -> dict[str, Any]:
    """The file's document with what the environment says. Raises `InvalidRequest` naming the variable."""
    known = {one.name: one for one in variables(config)}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise InvalidRequest(message=f"{name} names no key of the configuration")
        document = _with(document, known[name].path, _value(known[name], text))
    return document


def _value(variable: Variable, text: str) -> Any:
    if get_origin(variable.kind) in (tuple, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    if variable.kind in (bool, int, float):
        try:
            return msgspec.convert(text, variable.kind, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequest(message=f"{variable.name} ({variable.key}): {error}") from error
    return text


def _given(kind: Any) -> Any:
    """The type of a key where it is given, without the None of one that need not be."""
    parts = [part for part in get_args(kind) if part is not NoneType]
    return parts[0] if get_origin(kind) in (Union, UnionType) and len(parts) == 1 else kind


def _with(document: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**document, head: value}
    below = document.get(head, {})
    if not isinstance(below, dict):
        # Whoever checks the document says so.
        return document
    return {**document, head: _with(below, tuple(rest), value)}
