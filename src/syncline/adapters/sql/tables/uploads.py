"""Plain uploads: files that arrive in parts of one raw object, and raw contents that were not yet cut into blocks."""

from __future__ import annotations

from sqlalchemy import Index

from syncline.adapters.sql.tables.columns import blob, flag, number, per_namespace, text

uploads = per_namespace(
    "uploads",
    text("upload_id"),
    text("user_id"),
    text("device_id"),
    text("link_id", nullable=True),
    text("node_id"),
    text("parent_id"),
    text("name"),
    number("size"),
    blob("sha256", nullable=True),
    text("mime_type", nullable=True),
    text("description", nullable=True),
    number("base_revision", nullable=True),
    flag("executable"),
    number("mtime_us", nullable=True),
    text("object_key"),
    text("store_upload_id"),
    number("part_bytes"),
    number("part_count"),
    text("state"),
    text("problem", nullable=True),
    number("revision", nullable=True),
    number("created_us"),
    number("signed_until_us"),
    number("expires_us"),
    key=("upload_id",),
)
Index("uploads_by_id", uploads.c.upload_id, unique=True)
Index("uploads_by_user", uploads.c.user_id, uploads.c.sha256)
Index("uploads_by_state", uploads.c.namespace_id, uploads.c.state)
Index("uploads_by_object", uploads.c.object_key, unique=True)
Index("uploads_by_expiry", uploads.c.state, uploads.c.expires_us)

upload_parts = per_namespace(
    "upload_parts",
    text("upload_id"),
    number("part_number"),
    text("etag"),
    number("size"),
    blob("sha256", nullable=True),
    number("verified_us"),
    key=("upload_id", "part_number"),
)

raw_contents = per_namespace(
    "raw_contents",
    text("node_id"),
    number("revision"),
    text("object_key"),
    number("size"),
    number("packed_bytes"),
    blob("sha256", nullable=True),
    text("state"),
    number("attempts"),
    number("due_us"),
    number("created_us"),
    key=("node_id", "revision"),
)
Index("raw_contents_by_object", raw_contents.c.object_key, unique=True)
Index("raw_contents_by_state", raw_contents.c.namespace_id, raw_contents.c.state)
Index("raw_contents_due", raw_contents.c.state, raw_contents.c.due_us)
