"""What stands in the database before a run: people, a million files with everything a commit writes for them, and blocks to commit.

Everything is written by set-based SQL, row for row as the server would have left it: each file has its node, journal row,
revision, block, possession and stored copy. Blocks that the run's files will name are possessed beforehand, as
`POST /v1/blocks/done` records it: a pack of 100 copies, `done` and verified, and one row of possession each, counted in
`used_bytes`. So a commit finds what it always finds, and each file has a block of its own.
"""

from __future__ import annotations

from typing import Final

import psycopg
from msgspec import Struct

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.ids import NamespaceId, UserId
from syncline.ports.account_store import User
from syncline.ports.clock import Ids
from syncline.server.accounts.passwords import Passwords

PASSWORD: Final = "correct horse battery staple"
BLOCK_BYTES: Final = 20_000
FOLDER_FILES: Final = 100

_NODE: Final = "'01J0' || lpad((m.place * 10000000 + {number})::text, 22, '0')"
_STATE: Final = """
    m.namespace_id, {sequence}, '01J0000000' || lpad((m.place * 100000 + {folder})::text, 16, '0'), 'create', {node}, {parent},
    {name}, {kind}, {revision}, {hash}, {size}, false, 1700000000000000, false, false, m.user_id, NULL, 1700000000000000
"""
_COLUMNS: Final = """
    namespace_id, sequence, changeset, op, node_id, parent_id, name, kind, revision, content_hash, size, executable, mtime_us,
    deleted, mount, actor, device, time_us
"""
_HASH: Final = "sha256(convert_to('seeded ' || m.place || ' ' || f, 'UTF8'))"
_FOLDER: Final = "f / 100 + 1"


class Person(Struct, frozen=True):
    """One user, whose root is the namespace that their device commits to."""

    email: str
    user: UserId
    namespace: NamespaceId


async def people(url: str, count: int) -> list[Person]:
    """The users of the run, made as `syncline admin user add` makes them, unless they are there."""
    stores = await open_stores(url)
    try:
        known = {user.email: user for user in await stores.accounts.users()}
        found = [known.get(_email(number)) or await _added(stores, number) for number in range(count)]
        return [Person(user.email, user.id, user.root_namespace) for user in found]
    finally:
        await stores.close()


def _email(number: int) -> str:
    return f"bench{number:03d}@example.org"


async def _added(stores: Stores, number: int) -> User:
    clock, chance = MachineClock(), MachineChance()
    ids = Ids(clock, chance)
    user = User(
        id=UserId(ids.fresh()),
        email=_email(number),
        name="",
        password_hash=await Passwords().hash(PASSWORD),
        root_namespace=NamespaceId(ids.fresh()),
        created_us=clock.now_us(),
    )
    await stores.accounts.add_user(user)
    return user


def files(url: str, files_each: int) -> int:
    """Gives every namespace that has nothing yet so many files in folders of 100; how many rows of files there are now in all."""
    folders = (files_each + FOLDER_FILES - 1) // FOLDER_FILES
    folder = {"number": "d", "sequence": "d", "folder": "d", "parent": "m.namespace_id", "name": "'folder ' || d", "kind": "'dir'"}
    folder |= {"node": _NODE.format(number="d"), "revision": "0", "hash": "NULL", "size": "0"}
    file = {"number": "f", "sequence": f"f + 1 + {folders}", "folder": _FOLDER, "kind": "'file'", "revision": "1"}
    file |= {"node": _NODE.format(number="1000000 + f"), "parent": _NODE.format(number=_FOLDER), "hash": _HASH}
    file |= {"name": "'report ' || f || '.txt'", "size": str(BLOCK_BYTES)}
    folder_rows = f"FROM bench_new m, generate_series(1, {folders}) d"
    file_rows = f"FROM bench_new m, generate_series(0, {files_each - 1}) f"
    zero = "decode(repeat('00', 32), 'hex')"
    with psycopg.connect(url) as connection:
        say = connection.execute
        say("SET LOCAL session_replication_role = replica")
        say("SET LOCAL synchronous_commit = off")
        say(
            "CREATE TEMP TABLE bench_new ON COMMIT DROP AS SELECT n.namespace_id, u.user_id,"
            " row_number() OVER (ORDER BY u.email) AS place FROM users u JOIN namespaces n ON n.namespace_id = u.root_namespace"
            " WHERE n.head_sequence = 0 AND u.email LIKE 'bench%'"
        )
        for kind, rows in ((folder, folder_rows), (file, file_rows)):
            state = _STATE.format(**kind)
            name = f"lower({kind['name']})"
            say(f"INSERT INTO nodes ({_COLUMNS}, name_key, search_key) SELECT {state}, {name}, {name} {rows}".encode())
            say(f"INSERT INTO journal ({_COLUMNS}, chain, root) SELECT {state}, {zero}, {zero} {rows}".encode())
        say(f"INSERT INTO revisions ({_COLUMNS}, cut) SELECT {_STATE.format(**file)}, 'fastcdc-1' {file_rows}".encode())
        block = f"m.namespace_id, {file['node']}, 1, 0, {_HASH}, {BLOCK_BYTES}"
        say(f"INSERT INTO revision_blocks SELECT {block} {file_rows}".encode())
        _possess(connection, "bench_new m", files_each, _HASH, "old")
        head = f"UPDATE namespaces n SET head_sequence = {folders + files_each}, published_sequence = {folders + files_each}"
        say(f"{head} FROM bench_new m WHERE n.namespace_id = m.namespace_id".encode())
        row = connection.execute("SELECT count(*) FROM nodes").fetchone()
        assert row is not None
        return int(row[0])


def blocks(url: str, run: str, each: dict[NamespaceId, int]) -> None:
    """Blocks for the run to commit: number `f` of a namespace is the SHA-256 of "RUN NAMESPACE f"."""
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("SET LOCAL synchronous_commit = off")
        for place, (namespace, count) in enumerate(each.items()):
            member = (
                f"SELECT namespace_id, owner_id AS user_id, {place} AS place FROM namespaces WHERE namespace_id = '{namespace}'"
            )
            block = f"sha256(convert_to('{run} ' || m.namespace_id || ' ' || f, 'UTF8'))"
            _possess(connection, f"({member}) m", count, block, run)


def _possess(connection: psycopg.Connection, members: str, count: int, block: str, mark: str) -> None:
    """Possession of `count` blocks a namespace, in packs of 100."""
    rows = f"FROM {members}, generate_series(0, {count - 1}) f"
    pack = f"'{mark}' || lpad(m.place::text, 4, '0') || lpad(({{number}})::text, 10, '0')"
    connection.execute(
        f"INSERT INTO packs SELECT {pack.format(number='p')}, m.namespace_id, m.user_id, {pack.format(number='p')},"
        f" {BLOCK_BYTES * 100}, decode(repeat('00', 32), 'hex'), decode(repeat('00', 60), 'hex'), 'done', 'standard',"
        f" 1700000000000000, 1700000000000000 FROM {members}, generate_series(0, {(count - 1) // 100}) p".encode()
    )
    connection.execute(
        f"INSERT INTO block_copies SELECT {block}, {pack.format(number='f / 100')}, f % 100 * {BLOCK_BYTES}, {BLOCK_BYTES},"
        f" {BLOCK_BYTES}, 'raw', 'verified' {rows}".encode()
    )
    connection.execute(
        f"INSERT INTO namespace_blocks SELECT m.namespace_id, {block}, {BLOCK_BYTES}, 'held', 1700000000000000 {rows}".encode()
    )
    used = f"UPDATE namespaces n SET used_bytes = used_bytes + {count * BLOCK_BYTES}"
    connection.execute(f"{used} FROM {members} WHERE n.namespace_id = m.namespace_id".encode())


def settled(url: str) -> None:
    """Statistics are fresh and everything so far lies on disk, so that a run does not pay for its preparation."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
