"""How long what is past is kept: one policy, and what it says of each version.

A version's time runs from when a newer one took its place, not from when it was made: what was written years ago and is replaced
today can be had for as long as what was written yesterday. The present version stays for as long as its file. While `versions`
runs every old one stays; then, until `daily_versions` is over, of each day (UTC) the last one that was made. Dropping one never
shortens the time of another. Pure rules; `expire` does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from syncline.model.errors import InvalidRequest
from syncline.model.limits import JOURNAL_RETENTION_S, TRASH_RETENTION_S

DAY_S: Final = 24 * 3600
_DAY_US: Final = DAY_S * 1_000_000
DAYS_MAX: Final = 36_500


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy, in days."""

    trash_days: int = TRASH_RETENTION_S // DAY_S
    """Deleted files and folders can be restored for so long."""
    versions_days: int = 30
    """Every replaced version is kept for so long."""
    daily_versions_days: int = 180
    """Of each day the last version is kept for so long."""

    def check(self) -> None:
        """Raises `InvalidRequest` naming what is wrong."""
        for name in ("trash_days", "versions_days", "daily_versions_days"):
            if not 1 <= getattr(self, name) <= DAYS_MAX:
                raise InvalidRequest(message=f"[retention] {name} is a number of days from 1 to {DAYS_MAX}")
        if self.versions_days > self.daily_versions_days:
            raise InvalidRequest(message="[retention] daily_versions_days is not less than versions_days")

    @property
    def trash_us(self) -> int:
        return self.trash_days * _DAY_US

    @property
    def journal_s(self) -> int:
        """The journal is kept for the longest of it all, so that what can be had can also be gone back to."""
        return max(JOURNAL_RETENTION_S, max(self.trash_days, self.daily_versions_days) * DAY_S)


class Why(StrEnum):
    """Why a version is kept for as long as it is."""

    PRESENT = "present"
    DAILY = "daily"
    RECENT = "recent"
    SETTLING = "settling"


class Kept(Struct, frozen=True):
    """What becomes of one version: until when it is kept (None: no end), and why."""

    revision: int
    until_us: int | None
    why: Why


class Made(Struct, frozen=True):
    """A kept version as the policy sees it. `settled` says that its content is known (a plain upload's is not at first)."""

    revision: int
    time_us: int
    settled: bool = True


def judge(policy: Retention, versions: Sequence[Made], present: int) -> list[Kept]:
    """What the policy says of one file's kept versions, oldest first, in their order."""
    last_of_day = {made.time_us // _DAY_US: made.revision for made in versions}
    verdicts: list[Kept] = []
    for index, made in enumerate(versions):
        newer = versions[index + 1] if index + 1 < len(versions) else None
        if made.revision == present or newer is None:
            verdicts.append(Kept(made.revision, None, Why.PRESENT))
        elif not made.settled:
            verdicts.append(Kept(made.revision, None, Why.SETTLING))
        elif last_of_day[made.time_us // _DAY_US] == made.revision:
            verdicts.append(Kept(made.revision, newer.time_us + policy.daily_versions_days * _DAY_US, Why.DAILY))
        else:
            verdicts.append(Kept(made.revision, newer.time_us + policy.versions_days * _DAY_US, Why.RECENT))
    return verdicts


def over(policy: Retention, versions: Sequence[Made], present: int, now_us: int) -> list[int]:
    """The versions whose time is over."""
    verdicts = judge(policy, versions, present)
    return [kept.revision for kept in verdicts if kept.until_us is not None and kept.until_us < now_us]
