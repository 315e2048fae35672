"""Sharing beside membership: invitations to shared folders, grants of single files, blocks taken over, and links."""

from __future__ import annotations

from sqlalchemy import Index

from syncline.adapters.sql.tables.columns import blob, number, per_namespace, text

invitations = per_namespace(
    "invitations",
    text("user_id"),
    text("access"),
    text("invited_by"),
    number("created_us"),
    key=("user_id",),
)
Index("invitations_by_user", invitations.c.user_id)

grants = per_namespace(
    "grants",
    text("node_id"),
    text("user_id"),
    text("access"),
    text("granted_by"),
    number("created_us"),
    key=("node_id", "user_id"),
)
Index("grants_by_user", grants.c.user_id)

block_sources = per_namespace("block_sources", blob("hash"), text("source_id"), key=("hash", "source_id"))
"""Where a block came from that was taken over from another namespace without its bytes: until a copy of it was verified, those in
packs of that namespace serve this one too."""

links = per_namespace(
    "links",
    text("link_id"),
    blob("token_hash"),
    text("node_id"),
    text("kind"),
    text("password_hash", nullable=True),
    number("expires_us", nullable=True),
    number("downloads_max", nullable=True),
    number("downloads"),
    text("created_by"),
    number("created_us"),
    key=("link_id",),
)
Index("links_by_token", links.c.namespace_id, links.c.token_hash, unique=True)
Index("links_by_id", links.c.link_id, unique=True)
Index("links_by_node", links.c.node_id)
Index("links_by_creator", links.c.created_by, links.c.link_id)
