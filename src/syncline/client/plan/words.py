"""The reasons of a plan in words: from the cell of the decision table, such as `edit/none`, to a sentence."""

from __future__ import annotations

import re
from typing import Final

_CELL: Final = re.compile(r"(?P<folder>folder )?(?P<here>[a-z+]+)/(?P<there>[a-z+]+)")
_CHANGES: Final = {
    "none": "unchanged",
    "edit": "edited",
    "move": "moved",
    "move+edit": "moved and edited",
    "delete": "deleted",
    "new": "new",
    "absent": "not there",
    "below": "changed below",
}
_KNOWN: Final = {
    "new/absent": "new here",
    "absent/new": "new on the server",
    "new/new": "made on both sides",
    "same place": "the same file was made on both sides",
    "merge folders": "a folder of this name was made on both sides",
    "across namespaces": "moved here into or out of a shared folder",
    "already held": "the server has these bytes beside it already",
    "excluded": "kept off this disk by your choice",
    "cycle": "moves here and on the server would make a ring: the server's stands",
    "case conflict": "its name differs from another's by case or spelling alone",
    "selective sync conflict": "made here at a place that is kept off this disk",
    "lost: gone": "you have lost access to it, and it is gone here",
    "lost: unchanged": "you have lost access to it, and nothing changed here",
    "lost: changed kept": "you have lost access to it, and it was changed here",
    "lost: new kept": "made here in a folder to which you have lost access",
    "read-only: new kept": "made here where you may only read",
}
_PREFIXES: Final = (
    ("read-only: ", "where you may only read: "),
    ("name taken, ", "something else has its name: "),
    ("makes way, ", "it makes way for what belongs there: "),
    ("moved where it cannot be, ", "it was moved where it cannot be: "),
    ("whole ", "its folder comes back whole: "),
)


def in_words(why: str) -> str:
    """Why a step is planned, for people. What is not known is given back as it is."""
    if why in _KNOWN:
        return _KNOWN[why]
    for prefix, words in _PREFIXES:
        if why.startswith(prefix):
            return words + in_words(why.removeprefix(prefix))
    bare = why.removesuffix(" kept")
    if bare.removeprefix("folder ") in _KNOWN:
        return _KNOWN[bare.removeprefix("folder ")]
    found = _CELL.fullmatch(bare)
    if found is None or found["here"] not in _CHANGES or found["there"] not in _CHANGES:
        return why
    return f"{_CHANGES[found['here']]} here, {_CHANGES[found['there']]} on the server"
