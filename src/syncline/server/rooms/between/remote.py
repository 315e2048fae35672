"""Rooms in another process, asked over a carrier: each method of a promise becomes a message and its answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec

from syncline.model.errors import Unavailable
from syncline.model.limits import POLL_TIMEOUT_MAX_S
from syncline.ports.carrier import Carrier
from syncline.server.rooms.between import framing
from syncline.server.rooms.between.methods import Method, methods_of, promises_of
from syncline.server.rooms.between.problems import told

CALL_S: Final = 60.0
"""How long a question may take, all attempts together."""
LASTING_S: Final = POLL_TIMEOUT_MAX_S + 15.0

Side = TypeVar("Side")


def remote_side(side: type[Side], carrier: Carrier) -> Side:
    """The rooms of a role (`rooms.sides`) that `carrier` leads to."""
    return side(**{name: remote_room(promise, name, carrier) for name, promise in promises_of(side).items()})


def remote_room(promise: type, name: str, carrier: Carrier) -> Any:
    """Something that keeps `promise` by asking the room `name`. Raises what that room raises, and `Unavailable`."""
    return _Remote(name, carrier, methods_of(promise))


class _Remote:
    def __init__(self, name: str, carrier: Carrier, methods: dict[str, Method]) -> None:
        for method in methods.values():
            setattr(self, method.name, _asking(f"{name}/{method.name}", method, carrier))


def _asking(address: str, method: Method, carrier: Carrier) -> Callable[..., Coroutine[Any, Any, Any]]:
    within_s = LASTING_S if method.lasting else CALL_S

    async def ask(*arguments: Any, **options: Any) -> Any:
        question, again = method.question(arguments, options)
        message = await carrier.call(address, framing.question(question), again=again, within_s=within_s)
        try:
            kind, body = framing.answered(message)
            if kind == framing.ANSWER:
                return method.answers.decode(body)
            problem = told(body)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Unavailable(what=f"What {address} answered") from error
        raise problem

    return ask
