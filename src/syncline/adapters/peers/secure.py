"""TLS between processes: one certificate and key for each, one authority that both sides check the other's against."""

from __future__ import annotations

import grpc
from msgspec import Struct


class Tls(Struct, frozen=True, kw_only=True):
    """PEM documents."""

    certificate: bytes
    key: bytes
    authority: bytes

    def for_server(self) -> grpc.ServerCredentials:
        return grpc.ssl_server_credentials([(self.key, self.certificate)], self.authority, require_client_auth=True)

    def for_client(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)
