"""Marks on the methods of promises: what may be asked again when it is not known whether it was done, and what takes its time.

Without a mark a question is asked once: where its answer is lost, whoever asked is told that nobody knows, and decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

AGAIN: Final = "syncline_again"
LASTING: Final = "syncline_lasting"
ALWAYS: Final = ""


def safe(method: Method) -> Method:
    """Asked twice it does no more than asked once."""
    setattr(method, AGAIN, ALWAYS)
    return method


def keyed(parameter: str) -> Callable[[Method], Method]:
    """The same, where `parameter` is given: the key under which the answer is kept."""

    def mark(method: Method) -> Method:
        setattr(method, AGAIN, parameter)
        return method

    return mark


def lasting(method: Method) -> Method:
    """It waits for something to happen, for minutes perhaps."""
    setattr(method, LASTING, True)
    return method
