"""Errors, sorted by what the caller can do next: retry, resolve, refuse, or call it corrupt.

A class's docstring is the sentence a person reads, `{field}`s filled in; `code` is what machines read, and is stable. Errors are
raised with fields, not prose. `fields` travel in problem documents (RFC 9457).
"""

from __future__ import annotations

from typing import Any, ClassVar


class SynclineError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    """HTTP status when this leaves through a door."""
    retryable: ClassVar[bool] = False

    def __init__(self, **fields: Any) -> None:
        super().__init__(fields)
        self.fields = fields

    @property
    def title(self) -> str:
        return (type(self).__doc__ or "").strip().splitlines()[0]

    def __str__(self) -> str:
        try:
            return self.title.format(**self.fields)
        except (KeyError, IndexError, ValueError):
            return f"{self.title} {self.fields}" if self.fields else self.title

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.fields.items())})"


# -- Retry: the same call may well succeed later -------------------------------------------------------------------------


class Retryable(SynclineError):
    """Try again later."""

    code = "unavailable"
    status = 503
    retryable = True


class Unavailable(Retryable):
    """{what} cannot be reached now; it will be tried again."""


class TooBusy(Retryable):
    """Too many requests; try again in {retry_after} seconds."""

    code = "rate.limited"
    status = 429


class ChangedWhileRead(Retryable):
    """{path} changed while it was read; it will be read again once it rests."""

    code = "file.changed"


class LocalIo(Retryable):
    """{path}: {reason}."""

    code = "file.io"


class DiskFull(LocalIo):
    """No space left on the disk that holds {path}; free some, and syncing goes on by itself."""

    code = "disk.full"
    status = 507


class Unreadable(LocalIo):
    """{path} cannot be read: {reason}."""

    code = "file.unreadable"


class Unwritable(LocalIo):
    """{path} cannot be changed here: {reason}. Let this user write to its folder."""

    code = "file.unwritable"


# -- Resolve: the caller holds an old view, or must decide ---------------------------------------------------------------


class Conflict(SynclineError):
    """The state has moved on."""

    code = "conflict"
    status = 409


class CommitRefused(Conflict):
    """The changeset was refused: {failures}"""

    code = "commit.refused"


class BlocksMissing(Conflict):
    """The commit names {count} blocks that were not uploaded."""

    code = "blocks.missing"


class NameTaken(Conflict):
    """{path} exists already: choose another name, ask for a rename, or for a new version name its revision as `base_revision`."""

    code = "name.taken"


class RevisionStale(Conflict):
    """{path} is at revision {revision} by now: look at that one first."""

    code = "revision.stale"


class ParentGone(Conflict):
    """The folder that {path} would lie in is gone: complete the upload with another `filepath`."""

    code = "parent.gone"


class UploadIncomplete(Conflict):
    """{count} parts have not arrived yet: send those in `missing`, then complete again."""

    code = "upload.incomplete"


class PartMismatch(Conflict):
    """What the store holds of {count} parts is not what was said of them: send those in `parts` again, then complete again."""

    code = "upload.part_mismatch"


class UploadEnded(Conflict):
    """This upload takes nothing any more: it is {state}."""

    code = "upload.ended"


class ContentRaw(Conflict):
    """This revision was just uploaded and is being taken in: download it as a whole, or ask for its blocks a little later."""

    code = "content.raw"
    retryable = True


class ContentRejected(Conflict):
    """The bytes of this revision were not those announced, and were not kept."""

    code = "content.rejected"


class CursorReset(Conflict):
    """This position is no longer part of the server's history ({reason}): take a snapshot."""

    code = "cursor.reset"
    status = 410


class HistoryExpired(Conflict):
    """The history asked for is older than what is kept."""

    code = "history.expired"
    status = 410


class RevisionNotKept(Conflict):
    """Revision {revision} of {what} is not kept (any more); `syncline history` lists those that are."""

    code = "revision.not_kept"
    status = 404


class NotInTrash(Conflict):
    """{what} is not in the trash."""

    code = "trash.not_there"


class NotThereThen(Conflict):
    """{what} was not there at that time; go back to a later one, or rewind a folder around it."""

    code = "past.not_there"


class Overtaken(Conflict):
    """Others keep changing what was to be taken back; nothing was changed. Try again when they rest."""

    code = "past.overtaken"


class AlreadyExists(Conflict):
    """{what} exists already."""

    code = "exists"
    status = 412


class ConflictNotFound(Conflict):
    """There is no open conflict at {path}; `syncline conflicts` lists those there are."""

    code = "conflict.not_found"
    status = 404


class NotResolvable(Conflict):
    """{path} cannot be resolved so: {reason}. Nothing was changed."""

    code = "conflict.not_resolvable"


class ShareNested(Conflict):
    """{what} cannot be shared or put there: shared folders do not lie in one another ({reason})."""

    code = "share.nested"


class OwnerStays(Conflict):
    """The owner of a shared folder cannot leave it or be removed; hand it over to another member first."""

    code = "share.owner_stays"


class NotAMember(Conflict):
    """{what} is no member who may write there; invite them, and hand the folder over once they have accepted."""

    code = "share.not_a_member"


class MountTaken(Conflict):
    """Your own tree has something else under this shared folder's id; delete that for good first."""

    code = "share.id_taken"


class NeedsDecision(SynclineError):
    """{message}"""

    code = "decision.needed"


class ManyCopies(NeedsDecision):
    """{count} conflict copies stand beside {path}: name the one you mean."""

    code = "conflict.many_copies"


class NotLinked(NeedsDecision):
    """This device is not linked to a folder yet; run `syncline link DIR`."""

    code = "device.not_linked"


class RootMissing(NeedsDecision):
    """The synced folder {path} is not there ({reason}): bring it back (is its disk mounted?), or link another folder."""

    code = "root.missing"


class RootChanged(NeedsDecision):
    """{path} is not the folder that was linked ({reason}): bring that one back, or link this one."""

    code = "root.changed"


class NotLoggedIn(NeedsDecision):
    """This device is not logged in; run `syncline login URL --email YOU`."""

    code = "device.not_logged_in"


# -- Refuse: the request is wrong, or not allowed ------------------------------------------------------------------------


class Refused(SynclineError):
    """The request was refused."""

    code = "refused"
    status = 400


class InvalidRequest(Refused):
    """{message}"""

    code = "request.invalid"


class Closed(Refused):
    """This client is closed; make a new one."""

    code = "client.closed"


class InvalidId(Refused):
    """Not a {kind}: {value!r}."""

    code = "id.invalid"


class InvalidName(Refused):
    """{name!r} cannot be a name: {reason}."""

    code = "name.invalid"


class LimitExceeded(Refused):
    """{what} is over its limit of {limit}."""

    code = "limit.exceeded"
    status = 413


class Unauthenticated(Refused):
    """Sign in again: {reason}."""

    code = "auth.invalid"
    status = 401


class WrongPassword(Unauthenticated):
    """Wrong e-mail address or password."""

    code = "auth.wrong_password"


class Forbidden(Refused):
    """You may not {what} here."""

    code = "access.denied"
    status = 403


class NotFound(Refused):
    """{what} was not found."""

    code = "not_found"
    status = 404


class IdempotencyMismatch(Refused):
    """This Idempotency-Key was used for another request."""

    code = "idempotency.mismatch"
    status = 422


class QuotaExceeded(Refused):
    """The storage quota of {limit} bytes is used up."""

    code = "quota.exceeded"
    status = 403


class ChecksumMismatch(Refused):
    """The bytes sent are not the bytes announced."""

    code = "checksum.mismatch"


# -- Corrupt: stored or received bytes are not what they claim -----------------------------------------------------------


class Corrupt(SynclineError):
    """{what} is damaged: {reason}."""

    code = "corrupt"


class CorruptPack(Corrupt):
    """The pack is damaged: {reason}."""

    code = "pack.corrupt"


class CorruptBlock(Corrupt):
    """The block is damaged: {reason}."""

    code = "block.corrupt"


class CorruptManifest(Corrupt):
    """The manifest is damaged: {reason}."""

    code = "manifest.corrupt"


class CorruptCursor(Refused):
    """This is no cursor of this server and user."""

    code = "cursor.invalid"
