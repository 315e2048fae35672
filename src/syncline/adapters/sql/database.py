"""The way to a database, whichever it is: whole questions, each in a thread that has a connection of its own.

A statement takes microseconds and a hop to a thread fifty, so whole questions go there as closures: `read(work)` and
`write(work)`, one hop each. A commit's rules run between its statements: `whole(work)` takes them along to the thread, where they
come to their end without a pause; who must wait for something else meanwhile holds a `transaction()`, a hop for each question.
What was begun is finished even if its caller goes away: no connection is ever torn out of a statement. Database errors leave here
as `Unavailable` or `Corrupt`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, exc

from syncline.model.errors import Corrupt, InvalidRequest, Unavailable
from syncline.model.ids import NamespaceId

T = TypeVar("T")

_DAMAGE: Final = ("malformed", "not a database", "disk image")


class Database(ABC):
    """An opened database."""

    @property
    @abstractmethod
    def dialect(self) -> str:
        """The name of its SQL: `sqlite` or `postgresql`."""

    @abstractmethod
    async def read(self, work: Callable[[Connection], T], *, of: NamespaceId | None = None) -> T:
        """What `work` reads; each of its statements sees one snapshot. `of` names the namespace whose state it is, where it is of
        one."""

    async def read_behind(self, work: Callable[[Connection], T], *, of: NamespaceId) -> T:
        """The same for much at once, of a namespace: it shows at least the head that stood when it was asked for, and need not
        show what was committed since."""
        return await self.read(work, of=of)

    def saw(self, namespace: NamespaceId, sequence: int) -> None:  # noqa: B027 - where one database is asked, there is no less
        """Somebody was told that the namespace's head is at this sequence: nobody is to be shown less from here on."""

    @abstractmethod
    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, in a transaction: committed when it returns, undone when it raises. Raises `TooBusy` beyond the
        queue's bound. `work` may be run again where the database gave a transaction up for another's sake."""

    async def whole(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """`write` for work that is written as if it waited, but waits for nothing except the transaction's answers."""
        return await self.write(lambda connection: at_once(work(Transaction(_here(connection)))))

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """One transaction in several questions: committed when the block ends, undone when it raises."""

    @abstractmethod
    async def close(self) -> None:
        """Waits for what is under way; whatever comes after is refused."""


class Transaction:
    """The writer's connection, until the block that lent it ends; begun at its first use."""

    def __init__(self, hop: Callable[[Callable[[Connection], Any]], Any]) -> None:
        self._hop = hop

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, within the transaction."""
        given: T = await self._hop(lambda connection: work(_begun(connection)))
        return given

    async def commit(self) -> None:
        await self._hop(Connection.commit)

    async def undo(self) -> None:
        await self._hop(undone)


def at_once(work: Awaitable[T]) -> T:
    """What `work` gives, without an event loop: everything that it awaits must be there already."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as done:
        given: T = done.value
        return given
    raise RuntimeError("the work waited for something that is not there")


def _here(connection: Connection) -> Callable[[Callable[[Connection], Any]], Any]:
    """A hop that goes nowhere."""

    async def hop(work: Callable[[Connection], Any]) -> Any:
        return work(connection)

    return hop


class Stored:
    """What the stores share: their database."""

    def __init__(self, database: Database) -> None:
        self._database = database


@contextmanager
def translated() -> Iterator[None]:
    """Database errors become ours; a broken constraint stays what it is, since only a defect of ours breaks one. A value that no
    database can hold (a number past 64 bits, a text with NUL) can only be what somebody sent."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.DataError, OverflowError) as error:
        raise InvalidRequest(message="A number is too large, or a text holds what no text may") from error
    except exc.DatabaseError as error:
        reason = str(error.orig)
        if any(word in reason for word in _DAMAGE):
            raise Corrupt(what="The metadata database", reason=reason) from error
        raise Unavailable(what="The metadata database", reason=reason) from error


def transacted(connection: Connection, work: Callable[[Connection], T]) -> T:
    connection.begin()
    try:
        result = work(connection)
        connection.commit()
    except BaseException:
        undone(connection)
        raise
    return result


def undone(connection: Connection) -> None:
    connection.rollback()
    # SQLAlchemy takes a transaction whose COMMIT failed for ended; to the database it is still open.
    connection.connection.rollback()


def _begun(connection: Connection) -> Connection:
    if not connection.in_transaction():
        connection.begin()
    return connection
