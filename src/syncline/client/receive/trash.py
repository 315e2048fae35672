"""The local trash: where what the engine takes off a path waits, and how it comes back if it was more than the engine knew.

Laws: nothing of the user's is unlinked before it lay here untouched for a minute at least, and longer by the caller's choice.
A file that changed since it came (a program held it open and wrote on) holds bytes nobody else has: it returns as a conflict copy
beside its origin. The row of each file tells what it was when it came.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from syncline.client.hashing import hash_file
from syncline.client.local_errors import writing_error
from syncline.client.receive.claims import Claims
from syncline.client.receive.inflight import Trashed, mark_of, same_bytes
from syncline.client.receive.root import TRASH
from syncline.model.entries import Kind, LocalNode, Signature
from syncline.model.errors import ChangedWhileRead, LocalIo
from syncline.model.ids import ULID_CHARS, Digest, is_ulid, ulid_time_ms
from syncline.model.limits import BATCH_MAX, RACY_WINDOW_NS
from syncline.model.paths import STATE_FOLDER, conflict_name, join, name_of, parent_of
from syncline.ports.clock import Clock
from syncline.ports.local_files import LocalFiles, Stat

KEPT_AT_LEAST_S: Final = 60.0
KEPT_S: Final = 7 * 24 * 3600.0
HIDDEN_NAME_BYTES: Final = 200
COPIES_MAX: Final = 1000


class Purged(Struct, kw_only=True):
    """`revived` are paths of conflict copies made of files that had changed in the trash. `more` says that one call's bound was
    reached."""

    files: int = 0
    bytes: int = 0
    revived: list[str] = field(default_factory=list)
    more: bool = False


def hidden_name(row_id: str, name: str) -> str:
    """A name below `.syncline` that tells when a thing came and, to people, what it was."""
    return f"{row_id}~{name.encode(errors='replace')[:HIDDEN_NAME_BYTES].decode(errors='ignore')}"


class Trash:
    """Files on their way in, out, and back."""

    def __init__(self, files: LocalFiles, claims: Claims, clock: Clock, device: str) -> None:
        self._files = files
        self._claims = claims
        self._clock = clock
        self._device = device
        self._unread: set[str] = set()
        """What could not be read when it came here."""

    def place(self, row_id: str, name: str) -> str:
        return join(TRASH, hidden_name(row_id, name))

    def is_known(self, path: str, now: Stat, before: LocalNode) -> bool:
        """Whether what lies at `path` after a rename is the file the local tree knew, byte for byte. Where its times are too young
        to tell two writes apart, it is read."""
        return self.is_what_it_was(path, now, before.signature, before.content_hash, doubtful=before.racy)

    def is_what_it_was(
        self, path: str, now: Stat, before: Signature, content_hash: Digest | None, *, doubtful: bool = False
    ) -> bool:
        if now.kind is not Kind.FILE or not same_bytes(now.signature, before):
            return False
        young = self._clock.now_us() * 1000 - now.signature.mtime_ns < RACY_WINDOW_NS
        if content_hash is None or not (doubtful or young):
            return True
        try:
            return self._holds(path, now.signature, content_hash)
        except LocalIo:
            # Whatever it is, it stays in the trash: a fault of the disk is no sign that somebody wrote.
            self._unread.add(path)
            return True

    def keep(self, row_id: str, trash: str, origin: str, now: Signature, content_hash: Digest | None) -> None:
        """What lies at `trash` stays there, with a row that tells what it is; what could not be read under no time of change, so
        that it is read before the trash lets it go."""
        if trash in self._unread:
            self._unread.discard(trash)
            now = replace(now, ctime_ns=0)
        self._claims.into_trash(row_id, Trashed(origin=origin, trash=trash, content_hash=content_hash, **mark_of(now)))
        self._claims.touch(TRASH)

    def revive(self, hidden: str, origin: str) -> str:
        """Brings `hidden` out as a conflict copy beside `origin`, or as near to it as there still is a folder; its new path."""
        date = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).date().isoformat()
        folder, name = parent_of(origin), name_of(origin)
        if folder.partition("/")[0] == STATE_FOLDER:
            folder = ""
        for number in range(1, COPIES_MAX):
            target = join(folder, conflict_name(name, self._device, date, number))
            try:
                self._files.rename(hidden, target)
            except FileExistsError:
                continue
            except (FileNotFoundError, NotADirectoryError):
                if not folder:
                    raise
                folder = parent_of(folder)
                continue
            self._claims.touch(folder, parent_of(hidden))
            return target
        raise FileExistsError(f"{COPIES_MAX} copies of one name")

    def give_back(self, hidden: str, origin: str) -> None:
        """What was caught in flight returns to its place, or beside it where that is taken by now."""
        try:
            self._files.rename(hidden, origin)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            self.revive(hidden, origin)

    def purge(self, older_than_s: float, keep: Collection[Digest]) -> Purged:
        """Removes what came before `older_than_s` ago, except contents in `keep`; a bounded number of files a call."""
        purged = Purged()
        now_ms = self._clock.now_us() // 1000
        rows = {trashed.trash: (row_id, trashed) for row_id, trashed in self._claims.trashed.items()}
        try:
            entries = self._files.list_folder(TRASH)
        except OSError as error:
            raise writing_error(error, TRASH) from error
        there = {join(TRASH, entry.name) for entry in entries}
        for path, (row_id, _) in rows.items():
            if path not in there:
                self._claims.out_of_trash(row_id)
        for entry in sorted(entries, key=lambda found: found.name):
            if purged.files + len(purged.revived) >= BATCH_MAX:
                purged.more = True
                break
            path = join(TRASH, entry.name)
            born_ms = _born_ms(entry)
            if born_ms is None or now_ms - born_ms < max(older_than_s, KEPT_AT_LEAST_S) * 1000:
                continue
            self._let_go(path, entry, born_ms, rows.get(path), keep, purged)
        self._claims.commit()
        return purged

    def _let_go(
        self,
        path: str,
        entry: Stat,
        born_ms: int,
        known: tuple[str, Trashed] | None,
        keep: Collection[Digest],
        purged: Purged,
    ) -> None:
        row_id, trashed = known or (None, None)
        if trashed is not None and trashed.content_hash in keep:
            return
        origin = trashed.origin if trashed is not None else entry.name[ULID_CHARS + 1 :]
        try:
            if self._is_unchanged(path, entry, born_ms, trashed):
                self._files.remove_file(path)
                purged.files += 1
                purged.bytes += entry.signature.size
            else:
                purged.revived.append(self.revive(path, origin))
        except FileNotFoundError:
            # Somebody emptied the trash by hand.
            pass
        except LocalIo:
            # It stays until it can be read.
            return
        except OSError as error:
            raise writing_error(error, path) from error
        if row_id is not None:
            self._claims.out_of_trash(row_id)

    def _is_unchanged(self, path: str, entry: Stat, born_ms: int, trashed: Trashed | None) -> bool:
        now = entry.signature
        if trashed is None:
            # Its row was lost with the store: it counts as written to if its bytes are younger than its stay.
            return entry.kind is Kind.FILE and now.mtime_ns <= born_ms * 1_000_000
        if trashed.signature == now and abs(born_ms * 1_000_000 - now.mtime_ns) > RACY_WINDOW_NS:
            return True
        if entry.kind is not Kind.FILE or trashed.content_hash is None:
            return trashed.signature == now
        return self._holds(path, now, trashed.content_hash)

    def _holds(self, path: str, signature: Signature, content_hash: Digest) -> bool:
        try:
            return hash_file(self._files, path, signature) == content_hash
        except ChangedWhileRead:
            return False


def _born_ms(entry: Stat) -> int | None:
    """When a thing came here; None for what Syncline did not put here."""
    row_id, tilde, _ = entry.name.partition("~")
    return ulid_time_ms(row_id) if tilde and is_ulid(row_id) else None
