"""Between the processes of one server: how a gateway reaches the roles it has not, and how a role answers gateways.

gRPC is loaded only by a process that has peers: the whole server in one process needs none.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.peers.proof import SECRET_MIN_BYTES, Proof
from syncline.app.config import ServerConfig, split_address
from syncline.app.keys import CLUSTER, SECRET_BYTES, Keys
from syncline.app.roles.rooms import Rooms, blocks_side, metadata_side, notify_side
from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Ids
from syncline.server.rooms.between.answering import Answering, answering
from syncline.server.rooms.between.methods import methods_of, promises_of
from syncline.server.rooms.sides import BlocksSide, MetadataSide, NotifySide

if TYPE_CHECKING:
    from syncline.adapters.peers.carrier import PeerCarrier
    from syncline.adapters.peers.secure import Tls

_SIDES: Final = {
    "metadata": (MetadataSide, metadata_side),
    "blocks": (BlocksSide, blocks_side),
    "notify": (NotifySide, notify_side),
}

log: Final[Any] = structlog.get_logger("syncline.peers")


def carrier_to(role: str, config: ServerConfig, clock: MachineClock, chance: MachineChance) -> PeerCarrier:
    """What carries questions to the peers of a role. Raises `InvalidRequest`."""
    try:
        from syncline.adapters.peers.carrier import PeerCarrier
    except ImportError as error:
        raise InvalidRequest(message=f'peers.{role} needs gRPC: pip install "syncline[scale]"') from error
    addresses = [split_address(one) for one in config.peers.of(role)]
    return PeerCarrier(role, addresses, proof_of(config, clock, chance), clock, chance, tls=tls_of(config))


@asynccontextmanager
async def answering_peers(rooms: Rooms, closing: asyncio.Event) -> AsyncIterator[None]:
    """Answers gateways for the roles of this process, where the configuration says so, until the block ends. Once `closing` is set
    new questions are refused. Raises `LocalIo`, `InvalidRequest`."""
    ground = rooms.ground
    config = ground.config
    if config.cluster.listen is None:
        yield
        return
    try:
        from syncline.adapters.peers.server import answered
    except ImportError as error:
        raise InvalidRequest(message='cluster.listen needs gRPC: pip install "syncline[scale]"') from error
    keepers, lasting = dict[str, Answering](), set[str]()
    for role, (side, shown) in _SIDES.items():
        if role in config.roles:
            keepers |= answering(side, shown(rooms))
            lasting |= _lasting(side)
    async with answered(
        split_address(config.cluster.listen),
        keepers,
        proof_of(config, ground.clock, ground.chance),
        tls=tls_of(config),
        ending=closing,
        drain_s=config.drain_s,
        lasting=lasting,
    ) as port:
        log.info("answering peers", port=port)
        yield


def secret_of_edge(config: ServerConfig, clock: MachineClock, chance: MachineChance, name: str) -> bytes:
    """A secret that all gateways have in common, for what they keep in Redis: they have no keys. Raises `InvalidRequest`."""
    return hashlib.blake2b(name.encode(), key=_cluster_secret(config, clock, chance)[:64], digest_size=SECRET_BYTES).digest()


def proof_of(config: ServerConfig, clock: MachineClock, chance: MachineChance) -> Proof:
    """Raises `InvalidRequest`."""
    return Proof(_cluster_secret(config, clock, chance), clock, chance)


def _cluster_secret(config: ServerConfig, clock: MachineClock, chance: MachineChance) -> bytes:
    path = config.cluster.secret_file
    if path is not None:
        secret = _read(path, "cluster.secret_file")
        if len(secret) < SECRET_MIN_BYTES:
            raise InvalidRequest(message=f"cluster.secret_file: {path} must hold at least {SECRET_MIN_BYTES} bytes")
        return secret
    assert config.keys is not None
    return Keys(config.keys, chance, Ids(clock, chance), makes=False).secret(CLUSTER)


def tls_of(config: ServerConfig) -> Tls | None:
    """Raises `InvalidRequest`."""
    cluster = config.cluster
    if cluster.tls_certificate is None or cluster.tls_key is None or cluster.tls_authority is None:
        return None
    from syncline.adapters.peers.secure import Tls

    return Tls(
        certificate=_read(cluster.tls_certificate, "cluster.tls_certificate"),
        key=_read(cluster.tls_key, "cluster.tls_key"),
        authority=_read(cluster.tls_authority, "cluster.tls_authority"),
    )


def _lasting(side: type) -> set[str]:
    return {
        f"{name}/{method.name}"
        for name, promise in promises_of(side).items()
        for method in methods_of(promise).values()
        if method.lasting
    }


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(message=f"{key}: {path} cannot be read: {error.strerror}") from error
