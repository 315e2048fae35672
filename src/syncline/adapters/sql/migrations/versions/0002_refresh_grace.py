"""Devices remember the refresh token before the present one, and when it was replaced."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("previous_refresh_hash", sa.Text(), nullable=True))
    op.add_column("devices", sa.Column("rotated_us", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("devices", "rotated_us")
    op.drop_column("devices", "previous_refresh_hash")
