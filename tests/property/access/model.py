"""Who may do what, said as shortly as it can be: what the server's answer to each act must be.

A place is somebody's own tree or a shared folder. Nothing here knows of tables, transactions, mounts' rows or locks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OK, MISSING, DENIED = "ok", "not_found", "access.denied"
Outcome = str


@dataclass
class Model:
    place: dict[str, str] = field(default_factory=dict)
    """Of each node: a person's name, or a shared folder's."""
    above: dict[str, str] = field(default_factory=dict)
    """The folder each folder and file was made in; nothing for those at the top."""
    members: dict[str, dict[str, str]] = field(default_factory=dict)
    invited: dict[str, dict[str, str]] = field(default_factory=dict)
    grants: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """Of each file: to whom, what, by whom."""
    mounted: set[tuple[str, str]] = field(default_factory=set)

    def access(self, who: str, node: str) -> str | None:
        """`owner`, `write` or `read` for a member, `grant write` or `grant read` for one file."""
        member = self.members[self.place[node]].get(who)
        if member is not None:
            return member
        grant = self.grants.get(node, {}).get(who)
        return None if grant is None else f"grant {grant[0]}"

    def may(self, who: str, node: str, *allowed: str) -> Outcome:
        access = self.access(who, node)
        return MISSING if access is None else OK if access in allowed else DENIED

    def read(self, who: str, node: str) -> Outcome:
        return self.may(who, node, "owner", "write", "read", "grant write", "grant read")

    def change(self, who: str, node: str) -> Outcome:
        return self.may(who, node, "owner", "write")

    def commit(self, who: str, node: str, *, edit: bool) -> Outcome:
        """A changeset that names this node, sent to the namespace it is in."""
        place = self.place[node]
        if who in self.members[place]:
            return OK if self.members[place][who] != "read" else DENIED
        mine = {file: given[who][0] for file, given in self.grants.items() if who in given and self.place[file] == place}
        if "write" in mine.values():
            return OK if edit and mine.get(node) == "write" else "node.missing"
        return DENIED if mine else MISSING

    def is_shared(self, node: str) -> bool:
        return self.place[node] == node

    def share(self, who: str, folder: str, whom: str, access: str) -> Outcome:
        if not self.is_shared(folder):
            refused = self.change(who, folder)
            if refused == OK and self.access(who, folder) != "owner":
                return DENIED
            if refused != OK:
                return refused
            if self.place[folder] in self.invited:
                return "share.nested"
            if any(self.above.get(inner) == folder and (who, inner) in self.mounted for inner in self.invited):
                return "share.nested"
            self._convert(who, folder)
        return self._invite(who, folder, whom, access)

    def _convert(self, who: str, folder: str) -> None:
        inside = [folder]
        for node in inside:
            inside += [below for below, above in self.above.items() if above == node and not self.is_shared(below)]
        for node in inside:
            self.place[node] = folder
        self.members[folder], self.invited[folder] = {who: "owner"}, {}
        self.mounted.add((who, folder))

    def _invite(self, who: str, folder: str, whom: str, access: str) -> Outcome:
        members, invited = self.members[folder], self.invited[folder]
        if who not in members:
            return MISSING
        if members[who] != "owner":
            return DENIED
        if access == "owner":
            if whom == who:
                return "unchanged"
            if members.get(whom) != "write":
                return "share.not_a_member"
            members[who], members[whom] = "write", "owner"
            return "owner"
        if whom == who:
            return "request.invalid"
        known, before = (members, members[whom]) if whom in members else (invited, invited.get(whom))
        known[whom] = access
        return "invited" if before is None else "unchanged" if before == access else "changed"

    def accept(self, who: str, folder: str) -> Outcome:
        if not self.is_shared(folder) or not (who in self.members[folder] or who in self.invited[folder]):
            return MISSING
        access = self.invited[folder].pop(who, None)
        self.members[folder].setdefault(who, access or "")
        self.mounted.add((who, folder))
        return OK

    def decline(self, who: str, folder: str) -> Outcome:
        return OK if self.is_shared(folder) and self.invited[folder].pop(who, None) is not None else MISSING

    def end(self, who: str, folder: str, whom: str) -> Outcome:
        """`who` removes `whom`, or leaves."""
        if self.read(who, folder) != OK or not self.is_shared(folder):
            return MISSING
        members = self.members[folder]
        if who != whom and members[who] != "owner":
            return DENIED
        if members.get(whom) == "owner":
            return "share.owner_stays"
        if members.pop(whom, None) is None:
            return OK if self.invited[folder].pop(whom, None) is not None else MISSING
        self.mounted.discard((whom, folder))
        for file, given in self.grants.items():
            if self.place[file] == folder:
                self.grants[file] = {to: grant for to, grant in given.items() if whom not in (to, grant[1])}
        return OK

    def mount(self, who: str, folder: str, *, there: bool) -> Outcome:
        if not self.is_shared(folder) or who not in self.members[folder]:
            return MISSING
        (self.mounted.add if there else self.mounted.discard)((who, folder))
        return OK

    def grant(self, who: str, file: str, whom: str, access: str) -> Outcome:
        allowed = self.change(who, file)
        if allowed != OK:
            return allowed
        if whom == who or access == "owner":
            return "request.invalid"
        given = self.grants.setdefault(file, {})
        before = given.get(whom)
        given[whom] = (access, who)
        return "granted" if before is None else "unchanged" if before[0] == access else "changed"

    def ungrant(self, who: str, file: str, whom: str) -> Outcome:
        allowed = self.read(who, file) if who == whom else self.change(who, file)
        if allowed != OK:
            return allowed
        return OK if self.grants.get(file, {}).pop(whom, None) is not None else MISSING
