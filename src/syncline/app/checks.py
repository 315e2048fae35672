"""The checks of `syncline doctor`: small questions to this machine, this device's home and folder, and its server.

Each gives one finding: ok, warn (syncing goes on, but …) or fail, with what was found and what to do. Nothing is changed but probe
files in `.syncline/tmp`, which are removed. A check that cannot be made says so, and never ends the others.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from syncline.app.control import ControlClient
from syncline.app.home import ROOT_ID_FILE, Credentials, Home, Link
from syncline.model.errors import NotLinked, NotLoggedIn, SynclineError
from syncline.model.limits import GIB, MIB, PACK_MAX_BYTES, PACKS_IN_FLIGHT
from syncline.model.paths import STATE_FOLDER

OPEN_FILES_MIN: Final = 1024
WATCHES_MIN: Final = 65_536
INSTANCES_MIN: Final = 16
CLOCK_SKEW_MAX_S: Final = 60.0
ROOM_MIN_BYTES: Final = 2 * PACKS_IN_FLIGHT * PACK_MAX_BYTES
ROOM_GOOD_BYTES: Final = 2 * GIB
SERVER_TIMEOUT_S: Final = 10.0
_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100


class Finding(Struct, frozen=True, kw_only=True):
    """`verdict` ∈ ok · warn · fail."""

    check: str
    verdict: str
    found: str
    advice: str = ""


Check = Callable[[], Finding]


def ok(check: str, found: str) -> Finding:
    return Finding(check=check, verdict="ok", found=found)


def warn(check: str, found: str, advice: str) -> Finding:
    return Finding(check=check, verdict="warn", found=found, advice=advice)


def fail(check: str, found: str, advice: str) -> Finding:
    return Finding(check=check, verdict="fail", found=found, advice=advice)


def every_check(home: Home) -> Iterator[Finding]:
    """All findings, one at a time, in a fixed order."""
    yield open_files()
    yield from inotify()
    yield from device(home)
    try:
        link = home.link()
    except NotLinked as error:
        yield warn("folder", str(error), "")
    except SynclineError as error:
        yield fail("folder", str(error), "")
    else:
        yield from folder(link)
    try:
        credentials = home.credentials()
    except NotLoggedIn as error:
        yield warn("server", str(error), "")
    except SynclineError as error:
        yield fail("server", str(error), "")
    else:
        yield from server(home, credentials)


# -- this machine ----------------------------------------------------------------------------------------------------------------


def open_files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES_MIN:
        return ok("open files", f"up to {soft if soft >= 0 else 'any number of'}")
    return warn("open files", f"only {soft}", f"raise it: `ulimit -n {OPEN_FILES_MIN}` before `syncline start`")


def inotify() -> Iterator[Finding]:
    """One watch a folder is needed; without them changes are still found, but only by the scan every ten minutes."""
    for name, least in (("max_user_watches", WATCHES_MIN), ("max_user_instances", INSTANCES_MIN)):
        check = f"inotify {name.rpartition('_')[2]}"
        try:
            allowed = int(Path(f"/proc/sys/fs/inotify/{name}").read_text())
        except (OSError, ValueError):
            yield warn(check, "this system does not say", "changes may be noticed by the regular scan only")
            continue
        if allowed >= least:
            yield ok(check, f"{allowed:,}")
        else:
            yield warn(check, f"only {allowed:,}", f"for large folders: `sysctl fs.inotify.{name}={least}`")


# -- this device -------------------------------------------------------------------------------------------------------------------


def device(home: Home) -> Iterator[Finding]:
    if not home.path.exists():
        yield warn("home", f"{home.path} is not there yet", "it is made by `syncline login`")
        return
    yield modes(home)
    yield room("room for the device", home.path)
    yield database(home)
    spooled = [path for path in (home.spool, home.put_spool) if path.is_dir()]
    packs = [file.stat().st_size for path in spooled for file in path.iterdir()]
    yield ok("spool", f"{len(packs)} packs, {sum(packs) // MIB} MiB on their way")
    running = ControlClient(home.control_socket).is_up()
    yield ok("engine", "running") if running else warn("engine", "not running", "`syncline start`")


def modes(home: Home) -> Finding:
    """Everything in a home is for its user alone."""
    wide = [path.name for path in (home.path, *home.path.iterdir()) if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    if home.path.stat().st_uid != os.getuid():
        return fail("home", f"{home.path} belongs to another user", "run Syncline as that user, or set SYNCLINE_HOME")
    if wide:
        return fail("home", f"others may look into {', '.join(wide[:5])}", f"`chmod -R go= {home.path}`")
    return ok("home", f"{home.path}, private")


def room(check: str, place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    found = f"{free / GIB:.1f} GiB free at {place}"
    if free < ROOM_MIN_BYTES:
        return fail(check, found, "free some: syncing stands still without room")
    return ok(check, found) if free >= ROOM_GOOD_BYTES else warn(check, found, "it will soon be full")


def database(home: Home) -> Finding:
    if not home.state_db.exists() or not home.state_db.stat().st_size:
        return ok("database", "not made yet")
    try:
        with closing(sqlite3.connect(f"file:{home.state_db}?mode=ro", uri=True, timeout=5.0)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        said = str(error)
    if said == "ok":
        return ok("database", f"sound, {home.state_db.stat().st_size // MIB} MiB")
    return fail("database", f"damaged: {said}", "`syncline logout`, `login` and `link` again: files are adopted, none is lost")


# -- the folder --------------------------------------------------------------------------------------------------------------------


def folder(link: Link) -> Iterator[Finding]:
    place = Path(link.folder)
    try:
        marked = (place / ROOT_ID_FILE).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        marked = None
    if marked != link.root_id:
        yield fail(
            "folder",
            f"{place} is not the folder that was linked (its {ROOT_ID_FILE} is missing or another)",
            "mount the right disk, or `syncline link` again to sync what is there now",
        )
        return
    yield ok("folder", str(place))
    yield room("room for files", place)
    yield exchange(place)


def exchange(place: Path) -> Finding:
    """Swapping two files in one step is how a user's file is replaced without a moment of absence."""
    tmp = place / STATE_FOLDER / "tmp"
    one, other = tmp / f"doctor-{os.getpid()}-1", tmp / f"doctor-{os.getpid()}-2"
    try:
        tmp.mkdir(mode=0o700, exist_ok=True)
        one.write_bytes(b"1")
        other.write_bytes(b"2")
        swapped = _swap(one, other) and one.read_bytes() == b"2"
    except OSError as error:
        return fail("writing files", error.strerror or str(error), f"make {place} writable for you")
    finally:
        for path in (one, other):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    if swapped:
        return ok("writing files", "atomic replacement works here")
    return warn("writing files", "this file system cannot swap two files at once", "ext4, XFS, Btrfs and tmpfs can")


def _swap(one: Path, other: Path) -> bool:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return int(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)) == 0


# -- the server --------------------------------------------------------------------------------------------------------------------


def server(home: Home, credentials: Credentials) -> Iterator[Finding]:
    """Reachable, ready, on time, and with a session for us."""
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, build_opener

    url = credentials.server
    began = time.monotonic()
    try:
        # Like the engine, past any proxy of the environment.
        with build_opener(ProxyHandler({})).open(f"{url}/healthz", timeout=SERVER_TIMEOUT_S) as answer:
            date = answer.headers.get("Date")
    except HTTPError as error:
        yield fail("server", f"{url} answers {error.code}", "tell whoever runs it")
        return
    except (URLError, OSError, ValueError) as error:
        yield fail("server", f"{url} cannot be reached ({getattr(error, 'reason', error)})", "check the network, or the server")
        return
    yield ok("server", f"{url} answers in {(time.monotonic() - began) * 1000:.0f} ms")
    if url.startswith("http://") and not _is_local(url):
        yield warn("encryption", "the connection is not encrypted", "give the server a certificate and log in with https://")
    yield clock(date)
    yield session(home, credentials)


def clock(date: str | None) -> Finding:
    """Nothing is ordered by clocks, but conflict copies and histories are read by people."""
    try:
        skew = time.time() - parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError):
        return warn("clock", "the server told no time", "")
    if abs(skew) <= CLOCK_SKEW_MAX_S:
        return ok("clock", "as the server's")
    return warn("clock", f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's", "switch on time synchronisation")


def session(home: Home, credentials: Credentials) -> Finding:
    import asyncio

    from syncline.app.session import connected

    async def ask() -> str:
        async with connected(home) as remote:
            return (await remote.me()).email

    try:
        return ok("session", f"signed in as {asyncio.run(ask())}")
    except SynclineError as error:
        return fail("session", str(error), f"`syncline login {credentials.server} --email {credentials.email}`")


def _is_local(url: str) -> bool:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
