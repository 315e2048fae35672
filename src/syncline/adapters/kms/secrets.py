"""Secret files: each made once, whole, readable by nobody else, and durable before it is used.

A secret is written to a file of its own beside its place and linked there, so two processes that start at once end up with the
same one, and no reader ever sees half of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from syncline.model.errors import Corrupt
from syncline.ports.clock import Chance


def private_folder(path: Path) -> Path:
    """The folder at `path`, made with mode 0700 where there is none; its parents must exist or are made as usual."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def load_or_create(path: Path, make: Callable[[], bytes], chance: Chance) -> bytes:
    """The bytes of the secret file at `path`, made from `make()` with mode 0600 where there is none. Raises `Corrupt`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        _create(path, make(), chance)
        content = path.read_bytes()
    if not content:
        raise Corrupt(what=f"The secret file {path.name}", reason="it is empty")
    return content


def _create(path: Path, content: bytes, chance: Chance) -> None:
    draft = path.with_name(f".{path.name}.{chance.token(8).hex()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
