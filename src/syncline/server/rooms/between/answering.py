"""Answering for the rooms of this process: from the bytes of a question to the bytes of its answer or problem."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from syncline.model.errors import InvalidRequest, SynclineError
from syncline.server.rooms.between import framing
from syncline.server.rooms.between.methods import Method, methods_of, promises_of
from syncline.server.rooms.between.problems import tell

Answering: TypeAlias = Callable[[bytes], Awaitable[bytes]]

log: Final[Any] = structlog.get_logger("syncline.rooms")


class RoomDefect(SynclineError):
    """Something went wrong in the server; its log says what, under this request id."""

    code = "server.error"


def answering(side: type, rooms: object) -> dict[str, Answering]:
    """By address (`room/method`), what answers for the rooms that `rooms` holds of a side."""
    found: dict[str, Answering] = {}
    for name, promise in promises_of(side).items():
        for method in methods_of(promise).values():
            address = f"{name}/{method.name}"
            found[address] = _answerer(address, getattr(rooms, name), method)
    return found


def _answerer(address: str, room: Any, method: Method) -> Answering:
    async def answer(message: bytes) -> bytes:
        fresh, question = framing.heard(message)

        def problem(error: SynclineError) -> bytes:
            return framing.answer(framing.PROBLEM, tell(error), fresh)

        try:
            return framing.answer(framing.ANSWER, await method.answer(room, question), fresh)
        except SynclineError as error:
            return problem(error)
        except msgspec.MsgspecError as error:
            return problem(InvalidRequest(message=f"{address}: {error}"))
        except Exception as error:  # noqa: BLE001 - the supervisor of whatever a room does
            places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)][-12:]
            log.error("defect", room=address, kind=type(error).__name__, places=places)
            return problem(RoomDefect())

    return answer
