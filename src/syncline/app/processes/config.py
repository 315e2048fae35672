"""Roles in a configuration: which of them a process has, and how the processes of one server find and know each other.

Any number of each may run, on one PostgreSQL and one object store. A gateway has nothing but its peers. What cannot work is refused
at start, by the key to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from msgspec import Struct

from syncline.model.errors import InvalidRequest

if TYPE_CHECKING:
    from syncline.app.config import ServerConfig

Role: TypeAlias = Literal["gateway", "metadata", "blocks", "notify", "worker", "content"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
GROUNDED: Final = frozenset(ROLES) - {"gateway"}
"""Roles that work on the database and the object store."""
ON_OBJECTS: Final = GROUNDED - {"notify"}
ASKED: Final = ("metadata", "blocks", "notify")
"""Roles that gateways ask."""
PEERS_MAX: Final = 64


class ClusterConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[cluster]`: how processes of one server answer each other."""

    listen: str | None = None
    """`HOST:PORT` where this process answers gateways, over gRPC; not for clients."""
    secret_file: Path | None = None
    """The secret by which they know each other, at least 32 bytes; without it `cluster.key` in `keys`."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_authority: Path | None = None
    """PEM files: this process's own, and the authority that signed everybody's; all or none."""


class PeersConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[peers]`: where a gateway finds the roles that are not in its own process; `HOST:PORT` each, a name may stand for many."""

    metadata: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    def of(self, role: str) -> tuple[str, ...]:
        found: tuple[str, ...] = getattr(self, role)
        return found


def check_roles(config: ServerConfig) -> None:
    """Raises `InvalidRequest` naming the key."""
    roles = frozenset(config.roles)
    if not roles:
        raise InvalidRequest(message=f"roles must name at least one of {_list(ROLES)}")
    _check_ground(config, roles & GROUNDED)
    if "gateway" in roles:
        _check_gateway(config, roles)
    elif config.cluster.listen is None and (asked := [role for role in ASKED if role in roles]):
        raise InvalidRequest(
            message=f"cluster.listen must say where gateways reach the role {asked[0]}, such as 0.0.0.0:8485, "
            "since this process has no gateway"
        )
    _check_cluster(config)


def _check_ground(config: ServerConfig, grounded: frozenset[Role]) -> None:
    if not grounded:
        return
    is_whole = grounded == GROUNDED
    if config.database is None and not is_whole:
        raise InvalidRequest(
            message=f"database must name a PostgreSQL database where {_list(sorted(GROUNDED))} are not all in one process: "
            "a SQLite database is one process's"
        )
    if config.objects.kind == "disk" and grounded & ON_OBJECTS and not grounded >= ON_OBJECTS:
        raise InvalidRequest(
            message=f'objects.kind must be "s3" where {_list(sorted(ON_OBJECTS))} are not all in one process: '
            "the disk is one process's, and so are the doors to it"
        )
    if config.keys is None and not is_whole:
        raise InvalidRequest(
            message="keys must name the folder of keys that all processes of this server have; `syncline admin keys DIR` makes one"
        )
    if config.data is None and config.needs_data:
        raise InvalidRequest(
            message="data must name the data directory (--data DIR), unless database, [objects] and keys all lie elsewhere"
        )


def _check_gateway(config: ServerConfig, roles: frozenset[Role]) -> None:
    for role in ASKED:
        peers = config.peers.of(role)
        if role not in roles and not peers:
            raise InvalidRequest(
                message=f"peers.{role} must list where the role {role} answers, since this process has a gateway and not that role"
            )
        if len(peers) > PEERS_MAX:
            raise InvalidRequest(message=f"peers.{role} lists more than {PEERS_MAX}; give a name that stands for them")
        for one in peers:
            _address(one, f"peers.{role}")
    if "content" not in roles and config.content_url is None:
        raise InvalidRequest(
            message="content_url must say where clients reach the role content, since bytes of files do not pass this gateway"
        )


def _check_cluster(config: ServerConfig) -> None:
    cluster = config.cluster
    if cluster.listen is not None:
        _address(cluster.listen, "cluster.listen")
    tls = (cluster.tls_certificate, cluster.tls_key, cluster.tls_authority)
    if any(tls) and not all(tls):
        raise InvalidRequest(message="cluster.tls_certificate, cluster.tls_key and cluster.tls_authority go together")
    asks = "gateway" in config.roles and any(role not in config.roles for role in ASKED)
    if (asks or cluster.listen is not None) and cluster.secret_file is None and config.keys is None:
        raise InvalidRequest(
            message="cluster.secret_file must name the secret by which the processes of this server know each other"
        )


def _address(text: str, key: str) -> None:
    from syncline.app.config import split_address

    try:
        split_address(text)
    except InvalidRequest as error:
        raise InvalidRequest(message=f"{key}: {error}") from error


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
