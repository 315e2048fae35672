"""The world that requests are made for: people, their devices, and what they have, seen through the very doors under test.

What a request needs (a folder to share, an upload to go on with) is made through those doors just before, and remembered by the
answers: so the world goes on, whatever random requests do to it meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import requests
from schemathesis.core import NOT_SET

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.content.pack import PackWriter
from syncline.model.blocks import PackOffer
from syncline.model.ids import Digest, is_digest, is_ulid
from syncline.model.paths import name_problem
from syncline.ports.clock import Ids
from tests.fuzz.sending import Sender

KEPT = 60
"""Things of a kind that are remembered, the latest."""
_TOKEN = re.compile(r"[0-9A-Za-z_-]{40,60}")


@dataclass
class Ask:
    """A request as someone would make it. `done` takes what a good answer says."""

    who: Person | None
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = NOT_SET
    media_type: str | None = None
    done: Callable[[Any], None] | None = None


@dataclass
class Person:
    email: str
    password: str
    token: str = ""
    device: str = ""
    root: str = ""
    blocks: list[str] = field(default_factory=list)
    """Small blocks that lie in the root namespace, so that files may be made of them."""


class World:
    def __init__(self, schema: Any, sender: Sender, chance: random.Random) -> None:
        self.sender = sender
        self.chance = chance
        self.people: list[Person] = []
        self.spare: list[tuple[Person, str, str]] = []
        """Devices to renew or unlink: whose, id, refresh token."""
        self.seen: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=KEPT))
        """What answers named, by the field it stood in."""
        self._operations = {result.ok().label: result.ok() for result in schema.get_all_operations()}
        self._ids = Ids(MachineClock(), MachineChance())
        self._count = 0
        sender.heard = self._hear

    # -- Asking ------------------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> list[str]:
        return list(self._operations)

    def operation(self, label: str) -> Any:
        return self._operations[label]

    def ask(self, label: str, ask: Ask) -> Any:
        """The decoded answer where it is good (True where it has no JSON), else None."""
        operation = self._operations[label]
        media_type = ask.media_type or (None if ask.body is NOT_SET else "application/json")
        case = operation.Case(
            path_parameters=ask.path or None,
            query=ask.query or None,
            headers=dict(ask.headers) or None,
            body=ask.body,
            media_type=media_type,
        )
        answer = self.sender.send(case, self.headers_of(ask.who))
        if answer is None or answer.status_code >= 400:
            if answer is not None and answer.status_code == 401 and ask.who is not None:
                self.sign_in(ask.who)
            return None
        found: Any = True
        if answer.content and "json" in str(answer.headers.get("content-type", "")):
            found = answer.json()
        if ask.done is not None:
            ask.done(found)
        return found

    def need(self, label: str, who: Person | None, /, **parts: Any) -> Any:
        """A good answer to what another request needs; raises `Unmet` where there is none."""
        found = self.ask(label, Ask(who, **parts))
        if found is None:
            raise Unmet(label)
        return found

    def headers_of(self, who: Person | None) -> dict[str, str]:
        # The listener trusts a proxy on this machine: attempts at passwords come from everywhere.
        headers = {"x-forwarded-for": ".".join(str(self.chance.randint(1, 250)) for _ in range(4))}
        if who is not None:
            headers["authorization"] = f"Bearer {who.token}"
        return headers

    def sign_in(self, person: Person) -> None:
        body = {"email": person.email, "password": person.password, "device_name": f"{person.email}'s desk"}
        tokens = self.need("POST /v1/auth/token", None, body=body)
        person.token, person.device = tokens["access_token"], tokens["device_id"]

    # -- Names and ids -----------------------------------------------------------------------------------------------------

    def anyone(self) -> Person:
        return self.chance.choice(self.people)

    def other(self, than: Person) -> Person:
        return self.chance.choice([one for one in self.people if one is not than])

    def fresh_id(self) -> str:
        return self._ids.fresh()

    def fresh_name(self, suffix: str = "") -> str:
        self._count += 1
        return f"{self.chance.choice(('bericht', 'report', 'Ünïcode', 'фото', 'a b'))}-{self._count}{suffix}"

    def fresh_bytes(self, most: int = 3000) -> bytes:
        self._count += 1
        return f"content {self._count} ".encode() + self.chance.randbytes(self.chance.randint(0, most))

    def known(self, name: str) -> str | None:
        """Something that stood in a field of this name."""
        found = self.seen.get(name)
        return self.chance.choice(found) if found else None

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    def _hear(self, label: str, status: int, document: Any) -> None:
        if status < 400 and document is not None:
            self._remember(document, 0)

    def _remember(self, document: Any, depth: int) -> None:
        if depth > 5:
            return
        if isinstance(document, list):
            for one in document[:8]:
                self._remember(one, depth + 1)
        elif isinstance(document, dict):
            for name, value in document.items():
                if isinstance(value, str) and value and name not in ("access_token", "refresh_token"):
                    self.seen[name].append(value)
                elif isinstance(value, (dict, list)):
                    self._remember(value, depth + 1)

    def is_known(self, value: Any) -> bool:
        return isinstance(value, str) and any(value in found for found in self.seen.values())

    # -- Things ------------------------------------------------------------------------------------------------------------

    def change(self, who: Person, *changes: dict[str, Any], namespace: str | None = None) -> Any:
        body = {"namespace": namespace or who.root, "changes": list(changes)}
        return self.need("POST /v1/files/commit", who, body=body, headers={"Idempotency-Key": self.fresh_id()})

    def new_folder(self, who: Person, parent: str | None = None) -> str:
        """Its id."""
        body = {"parent_id": parent or who.root, "name": self.fresh_name(), "namespace": who.root}
        return str(self.need("POST /v1/folders", who, body=body)["entry"]["node_id"])

    def folder(self, who: Person) -> str:
        return self.new_folder(who)

    def created(self, who: Person, parent: str | None = None) -> dict[str, Any]:
        """The change that makes a file of blocks that are there."""
        block = self.chance.choice(who.blocks)
        return {
            "op": "create",
            "node_id": self.fresh_id(),
            "parent_id": parent or who.root,
            "name": self.fresh_name(self.chance.choice((".txt", ".jpg", ""))),
            "kind": "file",
            "content_hash": block,
            "size": len(BLOCKS[block]),
            "mtime": "2026-01-02T03:04:05Z",
            "blocks": [block],
            "cut": "fuzz",
        }

    def new_file(self, who: Person, parent: str | None = None, versions: int = 1) -> str:
        """Its id."""
        change = self.created(who, parent)
        self.change(who, change)
        for revision in range(1, versions):
            others = [one for one in who.blocks if one != change["content_hash"]]
            block = others[revision % len(others)]
            told = {"content_hash": block, "size": len(BLOCKS[block]), "blocks": [block], "cut": "fuzz"}
            self.change(who, {"op": "edit", "node_id": change["node_id"], "base_revision": revision} | told)
        return str(change["node_id"])

    def path_of(self, who: Person, node: str) -> str:
        return str(self.need("GET /v1/metadata", who, query={"node_id": node})["path"])

    def deleted(self, who: Person) -> str:
        node = self.new_folder(who) if self.often(0.3) else self.new_file(who)
        self.need("POST /v1/files/delete", who, body={"files": [{"node_id": node, "recursive": True}]})
        return node

    def invited(self, owner: Person, guest: Person) -> str:
        """A shared folder that someone was asked into."""
        folder = self.new_folder(owner)
        body = {"users": [{"email": guest.email, "access": self.chance.choice(("read", "write"))}]}
        self.need("POST /v1/files/{file}/share", owner, path={"file": folder}, body=body)
        return folder

    def joined(self, owner: Person, guest: Person) -> str:
        share = self.invited(owner, guest)
        self.need("POST /v1/shares/{share}/accept", guest, path={"share": share}, body={})
        return share

    def send_blocks(self, who: Person, *blocks: bytes) -> str:
        """One pack of them, sent and done; its id."""
        content, offer = packed(*blocks)
        body = {"namespace": who.root, "packs": [offer]}
        (grant,) = self.need("POST /v1/packs", who, body=body)["packs"]
        put(grant["put"]["url"], grant["put"]["headers"], content)
        self.need("POST /v1/packs/done", who, body={"pack_ids": [grant["pack_id"]]})
        return str(grant["pack_id"])

    def upload(self, who: Person, content: bytes, **more: Any) -> dict[str, Any]:
        """An upload that was begun, with nothing sent."""
        folder = f"/uploads-{self.chance.randint(1, 20)}"
        file = {"filepath": f"{folder}/{self.fresh_name()}", "size": len(content)} | more
        (begun,) = self.need("POST /v1/files/upload", who, body={"files": [file]})["files"]
        if "error" in begun:
            raise Unmet("POST /v1/files/upload")
        return dict(begun)

    def link(self, who: Person, node: str, **more: Any) -> dict[str, Any]:
        return dict(self.need("POST /v1/links", who, body={"node_id": node} | more))

    def look_over(self) -> None:
        """Reads everybody's journal: no schema says what a name may be, and devices make files of what stands there."""
        for person in self.people:
            self.sign_in(person)
            query: dict[str, Any] = {"namespace": person.root}
            while True:
                page = self.need("GET /v1/changes", person, query=query)
                for entry in page["entries"]:
                    problem = name_problem(entry["name"])
                    if problem is not None:
                        self.sender.found(f"op {entry['op']}", f"a node's name: {problem}", f"{entry['name'][:80]!r}")
                if not page["has_more"]:
                    break
                query["cursor"] = page["cursor"]

    def populate(self) -> None:
        """Everyone with blocks, files and folders."""
        for person in self.people:
            self.sign_in(person)
            person.root = self.need("GET /v1/me", person)["root_namespace"]
            self.need("GET /v1/changes/latest", person)
            self.send_blocks(person, *BLOCKS.values())
            person.blocks = list(BLOCKS)
            folder = self.new_folder(person)
            for _ in range(5):
                self.new_file(person, folder, versions=2)
            self.need("GET /v1/changes/latest", person)


class Unmet(Exception):
    """What a request needs could not be made; so it is not sent."""


BLOCKS = {hashlib.sha256(one).hexdigest(): one for one in (f"block {number}\n".encode() * 40 for number in range(12))}


def packed(*blocks: bytes) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a pack of these blocks, and its offer as JSON would have it."""
    file = io.BytesIO()
    chance = MachineChance()
    writer = PackWriter(file, chance.token(32), chance)
    for block in blocks:
        writer.add(Digest(hashlib.sha256(block).hexdigest()), block)
    offer: PackOffer = writer.finish()
    return file.getvalue(), msgspec.to_builtins(offer)


def put(url: str, headers: dict[str, str], content: bytes) -> str:
    """Sends bytes to the store; its ETag. These are no doors of the document."""
    answer = requests.put(url, data=content, headers={k: v for k, v in headers.items() if k != "content-length"}, timeout=30)
    if answer.status_code >= 300:
        raise Unmet("PUT")
    return answer.headers.get("etag", "")


def looks_like_ours(value: Any) -> bool:
    """Whether a value may well be an id, a digest or a token of the world."""
    return isinstance(value, str) and (is_ulid(value) or is_digest(value) or _TOKEN.fullmatch(value) is not None)
