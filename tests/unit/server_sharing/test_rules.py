"""The table that people read is the table that decides."""

from __future__ import annotations

from pathlib import Path

from syncline.model.entries import Access
from syncline.server.sharing.rules import TABLE, Act, Standing, may

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sharing.md"


def test_the_page_shows_who_may_do_what() -> None:
    lines = PAGE.read_text().split("## Who may do what")[1].split("\n## ")[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    shown = {
        Act(act): {Standing(who) for who, said in zip(header[1:], said_of, strict=True) if said == "yes"} for act, *said_of in rows
    }
    assert shown == {act: set(allowed) for act, allowed in TABLE.items()}
    assert set(header[1:]) == {standing.value for standing in Standing}


def test_every_act_is_decided_and_nobody_may_nothing() -> None:
    assert set(TABLE) == set(Act)
    assert not any(may(act, Standing.NOBODY) for act in Act)


def test_standings_come_of_memberships_and_grants() -> None:
    assert [Standing.of_member(access).access for access in Access] == list(Access)
    assert Standing.of_grant(Access.READ) is Standing.GRANT_READ
    assert Standing.of_grant(Access.OWNER).access is Access.WRITE
