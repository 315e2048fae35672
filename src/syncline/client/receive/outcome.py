"""What came of bringing a plan to disk, and how the disk's errors are told."""

from __future__ import annotations

import errno
from typing import Final

from msgspec import Struct, field

from syncline.client.local_errors import writing_error
from syncline.client.status import Problem
from syncline.model.ids import NodeId

_MOVED_ON: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY, errno.ESTALE))


class Outcome(Struct, kw_only=True):
    """`done` holds nodes whose step is on disk, durable and claimed. `stale` those whose precondition was gone: nothing happened to
    them, and the folders in `rescan` must be observed anew. A node in neither has its reason in `problems`."""

    done: list[NodeId] = field(default_factory=list)
    stale: list[NodeId] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rescan: set[str] = field(default_factory=set)

    def drop(self, node: NodeId, *folders: str) -> None:
        """The world moved on under `node`; look into `folders` again."""
        self.stale.append(node)
        self.rescan.update(folders)

    def fail(self, node: NodeId, path: str, error: OSError, *folders: str) -> None:
        """Sorts an error of the disk: an answer (stale), or a problem at `path`."""
        if error.errno in _MOVED_ON:
            self.drop(node, *folders)
        else:
            self.problems.append(problem_of(error, path))

    def tell(self, code: str, path: str, message: str) -> None:
        self.problems.append(Problem(code=code, path=path, message=message))


def problem_of(error: OSError, path: str) -> Problem:
    told = writing_error(error, path)
    return Problem(code=told.code, path=path, message=str(told))
