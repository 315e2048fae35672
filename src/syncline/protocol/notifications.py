"""What is said over the notification socket, `WS /v1/notifications/ws`: JSON texts, each with a `type`.

A device says `subscribe` with a cursor for each namespace it keeps, once at the start and whenever that set changes. The server
answers `subscribed` and then sends a `hint` whenever a namespace moves: hints, never data, and each only once. Everything that
counts is read from the journals by cursor, so a socket that broke loses nothing: the next `subscribed` says what moved meanwhile.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from syncline.model.ids import NamespaceId
from syncline.model.limits import KIB

SOCKET_PATH: Final = "/v1/notifications/ws"
SUBSCRIBE_MAX_BYTES: Final = 320 * KIB
"""A thousand cursors and what is around them."""

GOING: Final = 1012
"""Close codes: the server restarts, `bye` said when to come back;"""
REPLACED: Final = 4409
"""the device has opened too many others;"""
UNLINKED: Final = 4401
"""the device is not linked any more;"""
TOO_LATE: Final = 4408
"""nothing was subscribed to in time;"""
INVALID: Final = 4400
"""what was said is no message of this protocol."""


class Subscribe(Struct, kw_only=True, tag="subscribe"):
    """Replaces what was subscribed to before."""

    cursors: list[str]


class Subscribed(Struct, kw_only=True, omit_defaults=True, tag="subscribed"):
    """`namespaces`: heads of those that are ahead of their cursor."""

    changed: bool
    namespaces: dict[NamespaceId, int] = {}


class Hint(Struct, kw_only=True, omit_defaults=True, tag="hint"):
    """As `protocol.changes.PollAnswer`. A namespace that was not subscribed to is new to this person: from now on it is heard of
    too. `sync`: what this person may see has changed, or may have: list the namespaces, subscribe anew."""

    changed: bool
    namespaces: dict[NamespaceId, int] = {}
    sync: bool = False
    delay: float | None = None


class Refusal(Struct, kw_only=True, omit_defaults=True, tag="problem"):
    """A `subscribe` that was refused, as a problem document says it. What was subscribed to before stands."""

    problem: dict[str, object]


class Bye(Struct, kw_only=True, omit_defaults=True, tag="bye"):
    """The server is going: come back after so many seconds, to it or to another."""

    reconnect_after: float
