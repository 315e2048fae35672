"""Displacing: new bytes take a file's place in one step, and what stood there lies in the trash already.

The new file waits under the displaced one's name in the trash and is exchanged with it. The displaced one is compared once more
there: if somebody wrote in between, it returns as a conflict copy.
"""

from __future__ import annotations

import errno
from typing import Final

from syncline.client.receive.claims import Claims
from syncline.client.receive.outcome import Outcome, problem_of
from syncline.client.receive.root import TRASH
from syncline.client.receive.trash import Trash
from syncline.model.entries import LocalNode
from syncline.model.paths import parent_of
from syncline.ports.local_files import LocalFiles

_CANNOT_EXCHANGE: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class Displacer:
    """Puts complete, durable files in the place of others. A `Replacing` row must tell of each before."""

    def __init__(self, files: LocalFiles, claims: Claims, trash: Trash) -> None:
        self._files = files
        self._claims = claims
        self._trash = trash

    def replace(self, row_id: str, temp: str, hidden: str, target: str, present: LocalNode, outcome: Outcome) -> bool:
        """`temp` takes the place of `present` at `target`, which goes to `hidden` in the trash. False where the disk then fails
        while that is looked at or returns: the row must stay open, so that it is seen to its end before anything else. Raises
        `OSError`; `target` then holds what it held, and `temp` is where it was."""
        files, folder = self._files, parent_of(target)
        files.rename(temp, hidden)
        try:
            files.exchange(hidden, target)
        except OSError as error:
            files.rename(hidden, temp)
            if error.errno not in _CANNOT_EXCHANGE:
                raise
            self._replace_in_two(temp, hidden, target)
        self._claims.touch(folder, TRASH)
        try:
            now = files.stat(hidden)
            if self._trash.is_known(hidden, now, present):
                self._trash.keep(row_id, hidden, target, now.signature, present.content_hash)
            else:
                outcome.rescan.add(folder)
                self._trash.revive(hidden, target)
        except OSError as error:
            outcome.problems.append(problem_of(error, target))
            return False
        return True

    def _replace_in_two(self, temp: str, hidden: str, target: str) -> None:
        """For file systems that cannot exchange: away with the old, in with the new; back with the old where that fails."""
        files = self._files
        files.rename(target, hidden)
        try:
            files.rename(temp, target)
        except OSError:
            try:
                files.rename(hidden, target)
            except FileExistsError:
                # Somebody wrote a file there in between: theirs has the place, the displaced one a name beside it.
                self._trash.revive(hidden, target)
            raise
