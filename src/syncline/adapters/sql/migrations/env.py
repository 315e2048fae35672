"""Alembic's entry: runs migrations on the connection, and in the transaction, that `adapters.sql.migrate` opened."""

from __future__ import annotations

from alembic import context

from syncline.adapters.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
