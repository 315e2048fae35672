"""One world: a few people, their folders, and random acts, each of which the model answers too. A case is one act of one person."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.property.access.model import MISSING, OK, Model
from tests.unit.server_metadata.world import Member, World, content
from tests.unit.server_sharing.kit import Office

from syncline.model.entries import Access
from syncline.model.errors import CommitRefused, SynclineError
from syncline.model.ids import EMPTY_DIGEST, NamespaceId, NodeId
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.protocol.doors import Delete, DeleteRequest, Move, MoveRequest, Placed
from syncline.protocol.sharing import MountRequest, ShareRequest, ShareUser

PEOPLE = ("ann", "bob", "cat", "dan")
ACCESSES = ("read", "read", "write", "write", "owner")


class Play:
    def __init__(self, world: World, seed: int) -> None:
        self.office = Office(world)
        self.rng = random.Random(seed)
        self.model = Model()
        self.people: dict[str, Member] = {}
        self.folders: list[str] = []
        self.files: list[str] = []
        self.ids: dict[str, NodeId] = {}
        self.revisions: dict[str, int] = {}
        self.made = 0

    async def begin(self) -> None:
        """Everybody has a folder with a file and a folder with a file in it."""
        for name in PEOPLE:
            person = self.people[name] = await self.office.person(name)
            self.model.members[name] = {name: "owner"}
            top, deep = f"{name}'s", f"{name}'s deep"
            for folder, above in ((top, name), (deep, top)):
                self._know(folder, name, above)
                self.folders.append(folder)
            parent, inner = NodeId(person.namespace), self.ids[top]
            await person.commit(
                Change(op=Op.CREATE, node_id=inner, parent_id=parent, name=top, kind=person.mkdir("x").kind),
                Change(op=Op.CREATE, node_id=self.ids[deep], parent_id=inner, name=deep, kind=person.mkdir("x").kind),
            )
            for folder in (top, deep):
                await self._create(name, folder)

    def _know(self, node: str, place: str, above: str) -> None:
        self.ids[node] = NodeId(self.office.world.ids.fresh())
        self.model.place[node] = place
        if above not in PEOPLE:
            self.model.above[node] = above

    def namespace(self, node: str) -> NamespaceId:
        place = self.model.place[node]
        return self.people[place].namespace if place in PEOPLE else NamespaceId(self.ids[place])

    async def case(self) -> None:
        """One act. Raises `AssertionError` where server and model differ."""
        rng = self.rng
        who = rng.choice(PEOPLE)
        act: Callable[[str], Awaitable[tuple[str, str, str]]] = rng.choice(_ACTS)(self)
        said, expected, told = await act(who)
        assert said == expected, f"{who} {told}: the server says {said}, the model {expected}"

    # -- Acts: what the server said, what the model says, and what was done ------------------------------------------------------

    async def read(self, who: str) -> tuple[str, str, str]:
        node = self.rng.choice(self.files + self.folders)
        metadata, caller = self.office.world.metadata, self.people[who].caller
        named = self.rng.choice([None, self.namespace(node)])
        said = await code(metadata.metadata_by_id(caller, self.ids[node], named))
        return said, self.model.read(who, node), f"reads {node}"

    async def versions(self, who: str) -> tuple[str, str, str]:
        file = self.rng.choice(self.files)
        said = await code(self.office.world.metadata.versions(self.people[who].caller, self.namespace(file), self.ids[file]))
        return said, self.model.read(who, file), f"asks for versions of {file}"

    async def manifest(self, who: str) -> tuple[str, str, str]:
        file = self.rng.choice(self.files)
        refs = [RevisionRef(node_id=self.ids[file], revision=self.revisions[file])]
        said = await code(self.office.world.metadata.revision_blocks(self.people[who].caller, self.namespace(file), refs))
        return said, self.model.read(who, file), f"asks for the blocks of {file}"

    async def follow(self, who: str) -> tuple[str, str, str]:
        node = self.rng.choice(self.files)
        metadata, caller, namespace = self.office.world.metadata, self.people[who].caller, self.namespace(node)
        door = self.rng.choice([metadata.changes, metadata.snapshot])
        expected = OK if who in self.model.members[self.model.place[node]] else MISSING
        return await code(door(caller, namespace, None)), expected, f"follows the place of {node}"

    async def edit(self, who: str) -> tuple[str, str, str]:
        file = self.rng.choice(self.files)
        change = Change(
            op=Op.EDIT, node_id=self.ids[file], base_revision=self.revisions[file], executable=self.revisions[file] % 2 == 1
        )
        said = await self._commit(who, file, change)
        self.revisions[file] += said == OK
        return said, self.model.commit(who, file, edit=True), f"edits {file}"

    async def create(self, who: str) -> tuple[str, str, str]:
        folder = self.rng.choice(self.folders)
        expected = self.model.commit(who, folder, edit=False)
        return await self._create(who, folder), expected, f"creates a file in {folder}"

    async def _create(self, who: str, folder: str) -> str:
        self.made += 1
        file = f"file {self.made}"
        self._know(file, self.model.place[folder], folder)
        change = Change(
            op=Op.CREATE,
            node_id=self.ids[file],
            parent_id=self.ids[folder],
            name=file,
            kind=self.people[who].create("x").kind,
            **(content(b"") | {"content_hash": EMPTY_DIGEST}),
        )
        said = await self._commit(who, folder, change)
        if said == OK:
            self.files.append(file)
            self.revisions[file] = 1
        else:
            del self.model.place[file], self.model.above[file]
        return said

    async def _commit(self, who: str, node: str, change: Change) -> str:
        request = CommitRequest(namespace=self.namespace(node), changes=[change])
        key = self.office.world.ids.fresh()
        return await code(self.office.world.metadata.commit(self.people[who].caller, request, key))

    async def move(self, who: str) -> tuple[str, str, str]:
        file, folder = self.rng.choice(self.files), self.rng.choice(self.folders)
        expected = self.model.change(who, file)
        expected = self.model.change(who, folder) if expected == OK else expected
        request = MoveRequest(files=[Move(node_id=self.ids[file], to_parent_id=self.ids[folder])])
        placed = (await self.office.doors.move(self.people[who].caller, request, None)).files[0]
        if placed.error is None and expected == OK:
            self._moved(file, folder, placed)
        return placed.error or OK, expected, f"moves {file} to {folder}"

    def _moved(self, file: str, folder: str, placed: Placed) -> None:
        assert placed.entry is not None
        if self.model.place[file] != self.model.place[folder]:
            self.model.grants.pop(file, None)
            assert placed.entry.node_id != self.ids[file]
            self.revisions[file] = 1
        self.ids[file] = placed.entry.node_id
        self.model.place[file], self.model.above[file] = self.model.place[folder], folder

    async def delete(self, who: str) -> tuple[str, str, str]:
        if len(self.files) < 4:
            return OK, OK, "leaves the last files alone"
        file = self.rng.choice(self.files)
        request = DeleteRequest(files=[Delete(node_id=self.ids[file])])
        placed = (await self.office.doors.delete(self.people[who].caller, request, None)).files[0]
        expected = self.model.change(who, file)
        if placed.error is None and expected == OK:
            self.files.remove(file)
            for store in (self.model.place, self.model.above, self.model.grants):
                store.pop(file, None)
        return placed.error or OK, expected, f"deletes {file}"

    async def share(self, who: str) -> tuple[str, str, str]:
        node, whom, access = self.rng.choice(self.folders + self.files), self.rng.choice(PEOPLE), self.rng.choice(ACCESSES)
        request = ShareRequest(users=[ShareUser(email=f"{whom}@example.org", access=Access(access))])
        shared = self.office.sharing.share(self.people[who].caller, self.ids[node], request)
        told = f"shares {node} with {whom} to {access}"
        expected = (self.model.grant if node in self.files else self.model.share)(who, node, whom, access)
        try:
            result = (await shared).users[0]
        except SynclineError as error:
            return error.code, expected, told
        return result.status or result.error or "", expected, told

    async def unshare(self, who: str) -> tuple[str, str, str]:
        node, whom = self.rng.choice(self.folders + self.files), self.rng.choice(PEOPLE)
        ended = self.office.sharing.unshare(self.people[who].caller, self.ids[node], None, f"{whom}@example.org")
        expected = (self.model.ungrant if node in self.files else self.model.end)(who, node, whom)
        return await code(ended), expected, f"ends {node} for {whom}"

    async def members(self, who: str) -> tuple[str, str, str]:
        node = self.rng.choice(self.folders + self.files)
        said = await code(self.office.sharing.shared_with(self.people[who].caller, self.ids[node], None))
        return said, self.model.may(who, node, "owner", "write", "read"), f"asks who has {node}"

    async def answer(self, who: str) -> tuple[str, str, str]:
        folder, caller, sharing = self.rng.choice(self.folders), self.people[who].caller, self.office.sharing
        share = NamespaceId(self.ids[folder])
        match self.rng.randrange(6):
            case 0 | 1 | 2:
                return (
                    await code(sharing.accept(caller, share, MountRequest())),
                    self.model.accept(who, folder),
                    f"accepts {folder}",
                )
            case 3:
                return await code(sharing.decline(caller, share)), self.model.decline(who, folder), f"declines {folder}"
            case 4:
                said = await code(sharing.unmount(caller, share))
                return said, self.model.mount(who, folder, there=False), f"unmounts {folder}"
            case _:
                said = await code(sharing.mount(caller, share, MountRequest()))
                return said, self.model.mount(who, folder, there=True), f"mounts {folder}"

    async def end(self) -> None:
        """Every journal explains its tree, and what is listed is what the model knows."""
        for name, person in self.people.items():
            shared = await self.office.sharing.shared(person.caller)
            known = {folder for folder in self.model.invited if name in self.model.members[folder]}
            assert {one.namespace for one in shared.folders} == {self.ids[folder] for folder in known}
            mounted = {self.ids[folder] for who, folder in self.model.mounted if who == name}
            assert {one.namespace for one in shared.folders if one.path is not None} == mounted
            granted = {self.ids[file] for file, given in self.model.grants.items() if name in given}
            listed = {one.entry.node_id for one in shared.files}
            assert listed == granted, (name, listed, granted)
            inside = [Member(self.office.world, person.caller, NamespaceId(self.ids[folder])) for folder in known]
            await self.office.check(person, *inside)


_ACTS: tuple[Callable[[Play], Any], ...] = (
    *(lambda play: play.share,) * 4,
    *(lambda play: play.answer,) * 4,
    *(lambda play: play.read,) * 2,
    *(lambda play: play.edit,) * 2,
    *(lambda play: play.unshare,) * 2,
    lambda play: play.versions,
    lambda play: play.manifest,
    lambda play: play.follow,
    lambda play: play.create,
    lambda play: play.move,
    lambda play: play.delete,
    lambda play: play.members,
)


async def code(act: Awaitable[object]) -> str:
    """`ok`, or what the server refuses it with."""
    try:
        await act
    except CommitRefused as refusal:
        failures = refusal.fields["failures"]
        return str(failures[0]["code"])
    except SynclineError as error:
        return error.code
    return OK


async def play(world: World, seed: int, cases: int) -> None:
    game = Play(world, seed)
    await game.begin()
    for number in range(cases):
        try:
            await game.case()
        except AssertionError as difference:
            raise AssertionError(f"seed {seed}, case {number}: {difference}") from difference
    await game.end()
