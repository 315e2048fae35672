"""Who may do what: one table, asked through one function. `docs/sharing.md` shows people the same table, and a test compares them.

A standing is what somebody is to one node at this instant: a member of its namespace (owner, write, read), someone the file alone
was granted to, or nobody. Nothing else ever decides, and nothing of it is kept in a token, a cursor or a URL.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from syncline.model.entries import Access


class Standing(StrEnum):
    OWNER = "owner"
    WRITE = "write"
    READ = "read"
    GRANT_WRITE = "write grant"
    GRANT_READ = "read grant"
    NOBODY = "nobody"

    @classmethod
    def of_member(cls, access: Access) -> Standing:
        return cls(access.value)

    @classmethod
    def of_grant(cls, access: Access) -> Standing:
        return cls.GRANT_WRITE if access.may_write else cls.GRANT_READ

    @property
    def access(self) -> Access:
        """What it amounts to for the one node."""
        if self is Standing.OWNER:
            return Access.OWNER
        return Access.WRITE if self in (Standing.WRITE, Standing.GRANT_WRITE) else Access.READ


class Act(StrEnum):
    """What the doors do, in the words of the table."""

    LIST = "list folders, follow changes"
    READ = "read a file, its versions, its metadata"
    EDIT = "give a file a new version"
    CHANGE = "create, move, delete, undelete"
    GRANT = "share one file, end that, make links"
    INVITE = "invite, change access, remove members"
    HAND_OVER = "hand the folder over to another owner"
    LEAVE = "leave the folder"
    SEE_MEMBERS = "see who is a member"


_MEMBERS: Final = frozenset({Standing.OWNER, Standing.WRITE, Standing.READ})
_WRITERS: Final = frozenset({Standing.OWNER, Standing.WRITE})
_OWNER: Final = frozenset({Standing.OWNER})

TABLE: Final[dict[Act, frozenset[Standing]]] = {
    Act.LIST: _MEMBERS,
    Act.READ: _MEMBERS | {Standing.GRANT_WRITE, Standing.GRANT_READ},
    Act.EDIT: _WRITERS | {Standing.GRANT_WRITE},
    Act.CHANGE: _WRITERS,
    Act.GRANT: _WRITERS,
    Act.INVITE: _OWNER,
    Act.HAND_OVER: _OWNER,
    Act.LEAVE: _MEMBERS - _OWNER,
    Act.SEE_MEMBERS: _MEMBERS,
}


def may(act: Act, standing: Standing) -> bool:
    """Whether somebody who stands so may do this."""
    return standing in TABLE[act]
