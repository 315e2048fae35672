"""The arithmetic: from a load and unit costs to what it takes. Pure; each figure says how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

DAY_S: Final = 86_400.0
MONTH_S: Final = 30.4 * DAY_S
_GB: Final = 1e9

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """One result; `how` is the reckoning in words."""

    name: str
    value: float
    unit: str
    how: str


def needed(load: Numbers, measured: Numbers, bounds: Numbers, prices: Numbers) -> list[Figure]:
    """Everything that `load` takes, in the order one would ask."""
    found: list[Figure] = []

    def say(name: str, value: float, unit: str, how: str) -> float:
        found.append(Figure(name, value, unit, how))
        return value

    use = bounds["utilisation"]
    cores = bounds["cores_per_machine"]

    # -- Traffic -----------------------------------------------------------------------------------------------------------
    peak = say("files written at the peak", load["file_writes_per_s"] * load["peak_factor"], "/s", "mean x peak factor")
    changesets = say("changesets at the peak", peak / load["files_per_changeset"], "/s", "files / files in a changeset")
    devices = say(
        "devices online at the peak",
        load["people"] * load["devices_per_person"] * load["online_share"],
        "",
        "people x devices x share online",
    )
    wakes = say("devices woken at the peak", changesets * load["reads_per_write"], "/s", "changesets x readers")
    requests = say(
        "requests at the gateways",
        changesets * (measured["requests_per_changeset"] + 2 * load["reads_per_write"]),
        "/s",
        "changesets x (a writer's requests + two of each reader: journal page, manifests)",
    )

    polls = say(
        "long polls renewed",
        devices * load["long_poll_share"] / load["long_poll_s"],
        "/s",
        "devices without a WebSocket / how long a poll lasts",
    )

    # -- Database ----------------------------------------------------------------------------------------------------------
    writes = load["file_writes_per_s"] * DAY_S * 365 * load["years"]
    kept = writes * load["versions_kept_share"]
    blocks = load["total_bytes"] / load["block_bytes"]
    rows_bytes = say(
        "metadata at the end",
        kept * (measured["bytes_per_live_file"] / 2 + measured["bytes_per_revision"])
        + load["file_writes_per_s"] * DAY_S * load["journal_days"] * measured["bytes_per_journal_row"]
        + blocks * measured["bytes_per_block"],
        "B",
        "kept writes x (half of them live files, each a revision) + journal while kept + blocks, with indexes",
    )
    by_size = ceil(rows_bytes / bounds["shard_bytes"])
    commit_cores = say(
        "cores that commits keep busy at the peak",
        (changesets * measured["commit_us_per_changeset"] + peak * measured["commit_us_per_file"]) / 1e6,
        "",
        "changesets and files by what each costs, server and database together",
    )
    of_database = commit_cores * measured["commit_share_of_database"]
    by_speed = ceil(of_database / (cores * use))
    shards = say(
        "shards (primaries)",
        max(by_size, by_speed, 1),
        "",
        f"the greater of {by_size:,} by size and {by_speed:,} by commits a second; a namespace lies on one",
    )
    databases = say("database machines", shards * (1 + bounds["replicas"]), "", "primary and replicas")

    # -- Our processes, one for each core -----------------------------------------------------------------------------------
    metadata = say(
        "metadata processes",
        ceil((commit_cores - of_database) / use),
        "",
        "what of those cores is ours, one for each process",
    )
    gateways = say(
        "gateway processes", ceil(requests / (measured["requests_per_s_per_core"] * use)), "", "requests / requests a core"
    )
    sockets = min(bounds["sockets_per_process"], 0.5 * bounds["memory_bytes_per_machine"] / measured["idle_socket_bytes"])
    notify = say(
        "notification processes",
        ceil(
            max(
                devices / sockets,
                wakes / (measured["wakes_per_s_per_core"] * use) + polls / (measured["requests_per_s_per_core"] * use),
            )
        ),
        "",
        f"devices / {sockets:,.0f} sockets each, or wakes and polls by what a core does",
    )
    memory = say("memory for idle sockets", devices * measured["idle_socket_bytes"], "B", "devices x bytes of a socket")
    brokers = say(
        "brokers",
        max(bounds["brokers_min"], ceil(changesets / (measured["hints_per_s_per_broker"] * use)) * 3),
        "",
        "hints / acknowledged hints a second, three copies of each",
    )
    per_machine = bounds["memory_bytes_per_machine"]
    machines = say(
        "machines for our processes and brokers",
        ceil((metadata + gateways) / cores) + max(ceil(notify / cores), ceil(memory / (per_machine * 0.8))) + ceil(brokers / 2),
        "",
        "by cores, notification by memory too; two brokers on a machine",
    )
    say(
        "connections to a primary",
        min(bounds["connections_per_database"], ceil(metadata / shards) * 8),
        "",
        "metadata processes that write to it x 8; above the bound a pooler stands between",
    )

    # -- Objects -----------------------------------------------------------------------------------------------------------
    new = load["bytes_per_day"]
    puts = say("packs written at the peak", new / load["pack_bytes"] / DAY_S * load["peak_factor"], "/s", "new bytes / pack")
    gets = say("packs read at the peak", puts * load["reads_per_write"], "/s", "packs written x readers")
    say("key prefixes of the store that this fills", ceil(puts / bounds["bucket_requests_per_s"]), "", "PUTs / PUTs a prefix")
    say(
        "bytes in and out at the peak",
        new / DAY_S * load["peak_factor"] * (1 + load["reads_per_write"]),
        "B/s",
        "straight to the store; none through us",
    )

    # -- Money -------------------------------------------------------------------------------------------------------------
    bill = {
        "machines": (databases + machines) * prices["machine_hour"] * MONTH_S / 3600,
        "database disks": rows_bytes * (1 + bounds["replicas"]) / _GB * prices["disk_gb_month"],
        "objects kept": load["total_bytes"] / _GB * prices["object_gb_month"],
        "objects written and read": (puts * prices["object_put_1000"] + gets * prices["object_get_1000"])
        / 1000
        / load["peak_factor"]
        * MONTH_S,
        "bytes out": new / _GB * load["reads_per_write"] * MONTH_S / DAY_S * prices["egress_gb"],
    }
    for name, dollars in bill.items():
        say(f"{name}, a month", dollars, "$", "at the end of all years")
    total = say("all, a month", sum(bill.values()), "$", "")
    say("for a person and month", total / load["people"], "$", "")
    return found
