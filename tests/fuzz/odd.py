"""A good request with something odd in one place: what people, broken programs and attackers send."""

from __future__ import annotations

import copy
from typing import Any

from schemathesis.core import NOT_SET

from tests.fuzz.world import Ask, World

TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "‮gnp.exe",
    "e\u0301" * 40,
    "x" * 300,
    "x" * 70_000,
    "../../etc/passwd",
    "/" * 50,
    "/a" * 300,
    ".",
    "..",
    "con.txt ",
    "%00",
    "%2e%2e%2f",
    "' OR 1=1 --",
    "null",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01arz3ndektsv4rrffq69g5fav",
    "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "2026-01-02T03:04:05",
    "2026-01-02",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "2026-13-45T99:99:99Z",
    "====",
    "AAAA",
    "\U0001f4a9",
    "１２",
)
NUMBERS = (-1, 0, 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1, 0.5, 1e308)
OTHERS: tuple[Any, ...] = (None, True, [], {}, [[]], {"a": 1}, ["\x00"], [None])


def spoil(world: World, ask: Ask) -> Ask:
    """The same request, with one leaf, field or part of it replaced, added or taken away."""
    places = [name for name in ("path", "query", "headers") if getattr(ask, name)]
    if isinstance(ask.body, (dict, list)):
        places += ["body"] * 4
    if not places:
        return _extra(world, ask)
    place = world.chance.choice(places)
    if place == "body":
        ask.body = _spoilt(world, copy.deepcopy(ask.body))
        return ask
    if world.often(0.15):
        return _extra(world, ask)
    part = getattr(ask, place)
    name = world.chance.choice(list(part))
    odd: Any = world.chance.choice(TEXTS if world.often(0.7) else tuple(str(one) for one in NUMBERS))
    if place == "query" and world.often(0.2):
        odd = [part[name], odd]
    part[name] = odd
    return ask


def _extra(world: World, ask: Ask) -> Ask:
    which = world.chance.randrange(5)
    if which == 0:
        ask.query[world.chance.choice(("limit", "page", "cursor", "namespace", "path", "x", "page_size"))] = world.chance.choice(
            TEXTS
        )
    elif which == 1:
        ask.headers["Accept"] = world.chance.choice(("application/json", "text/html", "image/png;q=0", "*", ""))
    elif which == 2:
        ask.headers["Idempotency-Key"] = world.chance.choice(("", "x" * 129, "é", "\x7f"))
    elif which == 3:
        ask.headers["Content-Type"] = world.chance.choice(("text/plain", "application/json; charset=utf-16", "nonsense", ""))
    elif ask.body is NOT_SET:
        ask.body = world.chance.choice(({}, [], None, "text", 0))
    return ask


def _spoilt(world: World, value: Any) -> Any:
    """A value with one leaf of it made odd."""
    if isinstance(value, dict) and value and world.often(0.9):
        name = world.chance.choice(list(value))
        if world.often(0.1):
            del value[name]
        elif world.often(0.05):
            value[world.chance.choice(TEXTS)] = 1
        else:
            value[name] = _spoilt(world, value[name])
        return value
    if isinstance(value, list) and value and world.often(0.9):
        at = world.chance.randrange(len(value))
        if world.often(0.1):
            return value * world.chance.choice((2, 30, 1001))
        value[at] = _spoilt(world, value[at])
        return value
    return _odd(world, value)


def _odd(world: World, value: Any) -> Any:
    if isinstance(value, str) and world.often(0.7):
        text: str = world.chance.choice((*TEXTS, value[:-1], value.lower(), value + value, value + "\x00"))
        return text
    if isinstance(value, (int, float)) and world.often(0.7):
        return world.chance.choice(NUMBERS)
    return world.chance.choice((*TEXTS, *NUMBERS, *OTHERS))
