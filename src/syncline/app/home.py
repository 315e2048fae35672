"""The home of one device on this machine: who it is, which folder it syncs, and where its state lies.

`$SYNCLINE_HOME`, else the platform's folder for a user's data. Laws: the folder is 0700 and everything in it 0600; files that
matter are replaced whole, fsynced, never edited; one engine a home, held by a kernel lock that dies with its process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from syncline.model.errors import Conflict, LocalIo, NeedsDecision, NotLinked, NotLoggedIn
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.limits import SOCKET_PATH_MAX_BYTES
from syncline.model.paths import STATE_FOLDER

ROOT_ID_FILE: Final = f"{STATE_FOLDER}/root-id"
"""In a synced folder: the id that says "this is the folder that was linked", whatever is mounted at its path today."""


class DaemonRunning(Conflict):
    """Syncing runs already for this device (process {pid}); stop it first with `syncline stop`."""

    code = "daemon.running"


class DaemonNotRunning(NeedsDecision):
    """Syncing is not running for this device; start it with `syncline start`."""

    code = "daemon.not_running"


class Credentials(Struct, frozen=True, kw_only=True):
    """Which server, who, and the tokens that prove it. `access_expires_us` is microseconds since 1970."""

    server: str
    server_id: str
    email: str
    user_id: UserId
    device_id: DeviceId
    device_name: str
    root_namespace: NamespaceId
    refresh_token: str
    access_token: str = ""
    access_expires_us: int = 0


class Link(Struct, frozen=True, kw_only=True):
    """The folder this device syncs, the remote folder it stands for ("/" is everything), and the id in its `.syncline/root-id`."""

    folder: str
    remote: str
    root_id: str


class Options(Struct, frozen=True, kw_only=True):
    """`config.json`, what `syncline config` sets. `app.settings` says what each means."""

    log_level: str = "info"
    conflicts: Literal["copy", "merge"] = "copy"


S = TypeVar("S", bound=Struct)


class HomeLock:
    """Held while one engine, or a command that changes what an engine stands on, uses a home."""

    def __init__(self, file: int) -> None:
        self._file = file

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Home:
    """Paths and small files of one device. Nothing is created until `make` or the first save."""

    __slots__ = ("path",)

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().resolve()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Home:
        """`$SYNCLINE_HOME`, else `syncline` in the platform's folder for user data."""
        known = os.environ if environment is None else environment
        chosen = known.get("SYNCLINE_HOME")
        return cls(chosen) if chosen else cls(_user_data(known) / "syncline")

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    # -- Where things lie ----------------------------------------------------------------------------------------------

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    @property
    def link_file(self) -> Path:
        return self.path / "link.json"

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def pause_file(self) -> Path:
        """Is there while syncing is paused."""
        return self.path / "paused"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def state_db(self) -> Path:
        return self.path / "state.db"

    @property
    def spool(self) -> Path:
        """Packs that are finished and not yet at the server."""
        return self.path / "spool"

    @property
    def put_spool(self) -> Path:
        """The same for `syncline put`, which runs beside the engine."""
        return self.path / "put"

    @property
    def daemon_log(self) -> Path:
        return self.path / "daemon.log"

    @property
    def control_socket(self) -> Path:
        """In the home, or where that path is too long for a socket, under a short name in this user's own folder of /tmp."""
        beside = self.path / "control.sock"
        if len(os.fsencode(beside)) <= SOCKET_PATH_MAX_BYTES:
            return beside
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:24]
        return Path(f"/tmp/syncline-{os.getuid()}/{name}.sock")

    # -- Making ----------------------------------------------------------------------------------------------------------

    def make(self) -> Home:
        """The home and its spool exist, 0700, when this returns. Raises `LocalIo`."""
        make_private(self.path)
        make_private(self.spool)
        # SQLite makes files as the umask says, which belongs to the user's own files; an empty one of ours keeps its mode.
        os.close(os.open(self.state_db, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        return self

    def lock(self) -> HomeLock:
        """The right to run the engine of this home; raises `DaemonRunning` when another process has it."""
        self.make()
        file = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
            os.close(file)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise DaemonRunning(pid=holder or "unknown") from None
            raise LocalIo(path=str(self.lock_file), reason=error.strerror or str(error)) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return HomeLock(file)

    @property
    def engine_pid(self) -> int | None:
        """The process that took the lock last; it is the engine's while one answers."""
        try:
            return int(self.lock_file.read_text("ascii"))
        except (OSError, ValueError):
            return None

    def renewal_lock(self) -> HomeLock | None:
        """The right to trade the refresh token, or None while another process does: it works once, so only one may try."""
        self.make()
        file = os.open(self.path / "renewal.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return HomeLock(file)

    # -- What is remembered ----------------------------------------------------------------------------------------------

    def credentials(self) -> Credentials:
        """Raises `NotLoggedIn`."""
        found = _read(self.credentials_file, Credentials)
        if found is None:
            raise NotLoggedIn
        return found

    def save_credentials(self, credentials: Credentials) -> None:
        self.make()
        write_private(self.credentials_file, msgspec.json.encode(credentials))

    def forget_credentials(self) -> None:
        _remove(self.credentials_file)

    def link(self) -> Link:
        """Raises `NotLinked`."""
        found = _read(self.link_file, Link)
        if found is None:
            raise NotLinked
        return found

    def save_link(self, link: Link) -> None:
        self.make()
        write_private(self.link_file, msgspec.json.encode(link))

    def forget_link(self) -> None:
        """Also drops the trees of the folder: they say nothing about any other one. The folder itself is untouched."""
        _remove(self.link_file)
        _remove(self.pause_file)
        for suffix in ("", "-wal", "-shm"):
            _remove(self.state_db.with_name(self.state_db.name + suffix))
        if self.spool.is_dir():
            for file in self.spool.iterdir():
                _remove(file)

    @property
    def is_paused(self) -> bool:
        """Whether a person paused syncing and has not resumed it, whatever ran, ended or was rebooted since."""
        return self.pause_file.exists()

    def remember_paused(self, paused: bool) -> None:
        """Raises `LocalIo`."""
        if paused:
            write_private(self.pause_file, b"")
        else:
            _remove(self.pause_file)

    def options(self) -> Options:
        return _read(self.config_file, Options) or Options()


def make_private(folder: Path) -> None:
    """`folder` exists, is ours and no link, mode 0700. Raises `LocalIo`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise LocalIo(path=str(folder), reason="it is not a folder of this user; remove it or choose another SYNCLINE_HOME")
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        raise LocalIo(path=str(folder), reason=error.strerror or str(error)) from error


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file whole: 0600, durable when this returns, the old one or the new one at any instant. Raises `LocalIo`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _remove(fresh)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(file, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            fresh.rename(path)
        except BaseException:
            _remove(fresh)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise LocalIo(path=str(path), reason=error.strerror or str(error)) from error


def _read(path: Path, kind: type[S]) -> S | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalIo(path=str(path), reason=error.strerror or str(error)) from error
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        reason = f"it is damaged ({error}); remove it, then sign in or link again: no file is lost"
        raise LocalIo(path=str(path), reason=reason) from error


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _user_data(known: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    given = known.get("XDG_DATA_HOME", "")
    return Path(given) if given.startswith("/") else Path(known.get("HOME") or Path.home()) / ".local" / "share"
