"""`make bench-commits`: file commits a second through real HTTP, on PostgreSQL that keeps what it commits.

Three phases: changesets of 100 files over 64 namespaces, the same in one namespace, and single files. Load generator, servers (with
relay and notify), bus and database share this machine. Every file has a block of its own, possessed beforehand; a million files
stand already (`seed.py`). At the end the database is asked whether it holds every file that was answered, and whether the relay has
told of them all; one line of JSON says the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import uvloop

from bench.macro import load, place, seed
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.stores import open_stores
from syncline.model.ids import Digest, NamespaceId
from syncline.model.journal import chain_over
from syncline.ports.clock import Ids
from syncline.testing.services import nats
from syncline.testing.services.postgres import Postgres

NAMESPACES: Final = 64
CHANGESET: Final = 100
WARM_S: Final = 2.0
RELAYED_S: Final = 60.0


@dataclass(slots=True)
class World:
    """What a phase runs against."""

    database: Postgres
    url: str
    servers: list[tuple[str, int]]
    bus: nats.Nats
    places: list[load.Place]

    def cpu(self) -> dict[str, float]:
        parts = {"server": [pid for _, pid in self.servers], "postgres": [self.database.process.pid], "bus": [self.bus.pid]}
        return {name: place.cpu_s(pids) for name, pids in parts.items()} | {"load": time.process_time()}

    def counted(self) -> dict[str, float]:
        """What PostgreSQL counts, ever growing."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, (SELECT xact_commit FROM pg_stat_database WHERE datname ="
                " current_database()), (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')"
            ).fetchone()
            assert row is not None
            return {"wal_bytes": float(row[0]), "transactions": float(row[1]), "wal_fsyncs": float(row[2] or 0)}


def main(arguments: argparse.Namespace) -> int:
    kept = arguments.folder is not None
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="bench-commits-")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with place.database(folder) as database:
            figures = uvloop.run(_run(arguments, folder, database))
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures))
    return 0


async def _run(arguments: argparse.Namespace, folder: Path, database: Postgres) -> dict[str, Any]:
    url = _bench_database(database)
    start = time.monotonic()
    people = await seed.people(url, NAMESPACES)
    rows = seed.files(url, -(-arguments.rows // NAMESPACES))
    run = Ids(MachineClock(), MachineChance()).fresh()
    each = dict.fromkeys(
        (person.namespace for person in people), int(arguments.rate * (arguments.seconds + WARM_S) / NAMESPACES) + 200
    )
    each[people[0].namespace] += int(arguments.rate / 2 * (arguments.one_seconds + WARM_S)) + int(arguments.single_seconds * 1000)
    seed.blocks(url, run, each)
    seed.settled(url)
    _say(f"{rows:,} nodes and {sum(each.values()):,} blocks to commit stand after {time.monotonic() - start:.0f} s")
    with nats.running(folder / "nats") as bus, place.serving(folder, url, arguments.servers, bus.url) as servers:
        line = await load.connected(servers[0][0])
        places = [
            load.Place(
                namespace=person.namespace,
                token=await load.signed_in(line, person.email, seed.PASSWORD),
                folders=_folders(url, person.namespace),
                run=run,
                blocks=each[person.namespace],
            )
            for person in people
        ]
        line.close()
        _say(f"{len(places)} devices are signed in")
        before = _heads(url)
        world = World(database, url, servers, bus, places)
        many = await _measured(world, "64 namespaces", places, arguments.in_flight, CHANGESET, arguments.seconds)
        one = await _measured(world, "one namespace", places[:1], arguments.one_in_flight, CHANGESET, arguments.one_seconds)
        single = await _measured(world, "single files", places[:1], 1, 1, arguments.single_seconds)
        await _relayed(url)
    await _check(url, places, before)
    return {
        "files_per_second": many["files_per_second"],
        "p99_ms": many["p99_ms"],
        "one_namespace_files_per_second": one["files_per_second"],
        "one_namespace_p99_ms": one["p99_ms"],
        "single_p50_ms": single["p50_ms"],
        "single_p99_ms": single["p99_ms"],
        "rows_before": rows,
        "servers": arguments.servers,
        "phases": {"many": many, "one": one, "single": single},
    }


async def _measured(
    world: World, name: str, places: Sequence[load.Place], in_flight: int, size: int, seconds: float
) -> dict[str, Any]:
    """One phase after a short warm-up, with what each part took of the processor."""
    urls = [url for url, _ in world.servers]
    if seconds <= 0:
        return {"files_per_second": 0, "p50_ms": 0, "p99_ms": 0}
    await load.phase(urls, places, in_flight=in_flight, size=size, seconds=min(WARM_S, seconds))
    cpu, counted = world.cpu(), world.counted()
    done = await load.phase(urls, places, in_flight=in_flight, size=size, seconds=seconds)
    cpu_after, counted_after = world.cpu(), world.counted()
    files, changesets = done.files, len(done.times_s)
    spent = {part: round((cpu_after[part] - cpu[part]) / files * 1e6, 1) for part in cpu}
    figures = {
        "files_per_second": round(files / done.seconds),
        "p50_ms": done.quantile_ms(0.5),
        "p99_ms": done.quantile_ms(0.99),
        "worst_ms": done.quantile_ms(1.0),
        "cpu_us_a_file": spent,
        "cores_busy": round(sum(cpu_after[part] - cpu[part] for part in cpu) / done.seconds, 2),
        "wal_bytes_a_file": round((counted_after["wal_bytes"] - counted["wal_bytes"]) / files),
        "transactions_a_changeset": round((counted_after["transactions"] - counted["transactions"]) / changesets, 2),
        "wal_fsyncs_a_changeset": round((counted_after["wal_fsyncs"] - counted["wal_fsyncs"]) / changesets, 2),
        "in_flight": in_flight,
        "seconds": round(done.seconds, 1),
    }
    _say(f"{name}: {json.dumps(figures)}")
    return figures


async def _check(url: str, places: Sequence[load.Place], before: dict[str, tuple[int, bytes]]) -> None:
    """Every file that was answered stands, with everything it has, and the journal's chain holds over all of one namespace's."""
    after = _heads(url)
    with psycopg.connect(url) as connection:
        for one in places:
            first, last = before[one.namespace][0], after[one.namespace][0]
            assert last - first == one.committed, f"{one.namespace}: {last - first} rows for {one.committed} files"
            counted = connection.execute(
                "SELECT count(*), count(DISTINCT j.sequence), count(DISTINCT b.hash) FROM journal j"
                " JOIN nodes n USING (namespace_id, node_id) JOIN revisions r USING (namespace_id, node_id)"
                " JOIN revision_blocks b USING (namespace_id, node_id)"
                " WHERE j.namespace_id = %s AND j.sequence > %s AND n.sequence = j.sequence AND n.name_key IS NOT NULL",
                (one.namespace, first),
            ).fetchone()
            assert counted == (one.committed,) * 3, f"{one.namespace}: {counted} rows for {one.committed} files"
    stores = await open_stores(url)
    try:
        namespace = NamespaceId(places[-1].namespace)
        sequence, chain = before[namespace][0], Digest(before[namespace][1].hex())
        while sequence < after[namespace][0]:
            page = await stores.metadata.journal(namespace, sequence, 1000)
            chain, sequence = chain_over(chain, page.entries), page.entries[-1].sequence
        assert chain == after[namespace][1].hex(), "the chain over the rows is not the head's"
    finally:
        await stores.close()
    _say(f"{sum(one.committed for one in places):,} files were answered, and all of them stand and were told of")


async def _relayed(url: str) -> None:
    """Waits until the relay has told of every commit."""
    async with asyncio.timeout(RELAYED_S):
        with psycopg.connect(url, autocommit=True) as connection:
            behind = "SELECT count(*) FROM namespaces WHERE head_sequence > published_sequence"
            while (row := connection.execute(behind).fetchone()) != (0,):
                _say(f"the relay is behind in {row} namespaces")
                await asyncio.sleep(0.5)


def _heads(url: str) -> dict[str, tuple[int, bytes]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT namespace_id, head_sequence, chain FROM namespaces").fetchall()
        return {namespace: (sequence, chain) for namespace, sequence, chain in rows}


def _folders(url: str, namespace: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT node_id FROM nodes WHERE namespace_id = %s AND kind = 'dir' ORDER BY 1", (namespace,))
        return [row[0] for row in rows]


def _bench_database(database: Postgres) -> str:
    with psycopg.connect(database.url(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'bench'").fetchone() is None:
            database.create("bench")
    return database.url("bench")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.macro.commits", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the phase over 64 namespaces")
    parser.add_argument("--one-seconds", type=float, default=30.0, help="of the phase in one namespace")
    parser.add_argument("--single-seconds", type=float, default=10.0, help="of the phase of single files")
    parser.add_argument("--rows", type=int, default=1_000_000, help="files that stand before")
    parser.add_argument("--rate", type=float, default=12_000, help="blocks to seed for each second")
    parser.add_argument("--servers", type=int, default=1, help="server processes on the one database")
    parser.add_argument("--in-flight", type=int, default=4, help="devices that commit at the same time")
    parser.add_argument("--one-in-flight", type=int, default=3, help="the same in one namespace")
    parser.add_argument("--folder", help="where database and servers lie, kept for the next run (default: a temporary one)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_arguments()))
