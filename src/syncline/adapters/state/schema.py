"""The tables of a device's state file, and how an older file becomes a newer one.

A version is the number of migrations applied (`PRAGMA user_version`). A migration is added, never changed: files in the field have
run it. Digests are blobs of 32 bytes; tables are strict, so a damaged or foreign value is an error where it is written.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x53594E43
"""`SYNC`: tells our file from any other SQLite database."""

_FIRST: Final = """
CREATE TABLE remote (
  id TEXT PRIMARY KEY, namespace TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL,
  revision INTEGER NOT NULL, content_hash BLOB CHECK (length(content_hash) = 32), size INTEGER NOT NULL,
  executable INTEGER NOT NULL, mtime_us INTEGER NOT NULL, mount INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE local (
  id TEXT PRIMARY KEY, parent TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL,
  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  links INTEGER NOT NULL, content_hash BLOB CHECK (length(content_hash) = 32), executable INTEGER, racy INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX local_content ON local (content_hash) WHERE content_hash IS NOT NULL;

CREATE TABLE synced (
  id TEXT PRIMARY KEY, namespace TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL,
  revision INTEGER NOT NULL, content_hash BLOB CHECK (length(content_hash) = 32), executable INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
  namespace TEXT PRIMARY KEY, name TEXT NOT NULL, access TEXT NOT NULL, is_root INTEGER NOT NULL, cursor TEXT NOT NULL,
  epoch TEXT NOT NULL, sequence INTEGER NOT NULL, chain BLOB NOT NULL CHECK (length(chain) = 32), root TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE inflight (id TEXT PRIMARY KEY, kind TEXT NOT NULL, fields TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE manifests (
  id INTEGER PRIMARY KEY, content_hash BLOB NOT NULL UNIQUE CHECK (length(content_hash) = 32), packed BLOB NOT NULL
) STRICT;

CREATE TABLE local_blocks (
  hash BLOB NOT NULL CHECK (length(hash) = 32), manifest INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (hash, manifest)
) STRICT, WITHOUT ROWID;

CREATE TABLE spool (
  file_name TEXT PRIMARY KEY, namespace TEXT NOT NULL, offer BLOB NOT NULL, pack_id TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

_CONFLICTS: Final = """
CREATE TABLE conflicts (copy TEXT PRIMARY KEY, fields TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _CONFLICTS)
"""In order; the file's version is how many of them it has run."""
