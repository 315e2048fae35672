"""What both ends agree on: the method's name, the fields beside a message, and how large a message may be."""

from __future__ import annotations

from typing import Final

from syncline.model.limits import BODY_MAX_BYTES, MIB

MESSAGE_MAX_BYTES: Final = BODY_MAX_BYTES + 32 * MIB
"""A body that a gateway takes fits, however it is written between processes; so does the largest page."""
SERVICE: Final = "syncline.rooms.v1"
"""Before the address in the name of the gRPC method: `/syncline.rooms.v1/metadata/commit`. Another version is another name."""
PING_EVERY_MS: Final = 10_000
PING_TIMEOUT_MS: Final = 8_000
"""A peer that takes longer to answer a ping, which no work of ours delays, is dead or frozen."""
PENDING_MAX: Final = 32_768
PROOF: Final = "syncline-proof"
REQUEST_ID: Final = "syncline-request-id"
TRACE: Final = "traceparent"
UNTOUCHED: Final = "syncline-untouched"
"""In the trailer of a refusal: nothing was done, so anybody else may be asked."""


READY: Final = "peer/ready"
"""What every process answers, with nothing, while it takes questions."""


def method_of(address: str) -> str:
    return f"/{SERVICE}/{address}"


def address_of(method: str) -> str | None:
    head = f"/{SERVICE}/"
    return method[len(head) :] if method.startswith(head) else None


def options() -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
        # Our ring decides when a dead peer is tried again; gRPC's own backoff must not stand in its way.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # A peer whose machine is gone says nothing: ask it.
        ("grpc.keepalive_time_ms", PING_EVERY_MS),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_EVERY_MS // 2),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.so_reuseport", 0),
        # When very many come at once, as after a restart of a gateway with ten thousand polls, gRPC would cancel some at random.
        ("grpc.server.max_pending_requests", PENDING_MAX),
        ("grpc.server.max_pending_requests_hard_limit", PENDING_MAX),
    ]
