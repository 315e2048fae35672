"""`ports.remote.Remote` over HTTP: one method a door, nothing decided here.

What may be repeated: reads, and the posts that change nothing twice (missing, grant, done, manifests, poll, a commit under its
key). Nothing else is sent again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from syncline.adapters.bell import Bell, NoSocket
from syncline.adapters.http import objects
from syncline.adapters.http.caller import Caller, Renewal, Tokens, alone
from syncline.adapters.http.carrier import Carrier
from syncline.adapters.http.copies import HttpCopies
from syncline.adapters.http.links import HttpLinks
from syncline.adapters.http.past import HttpPast
from syncline.adapters.http.people import HttpDoors, HttpPeople
from syncline.adapters.http.retry import Backoff
from syncline.adapters.http.views import HttpViews
from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, PackId
from syncline.model.limits import TRANSFER_STALL_S
from syncline.ports.clock import Chance, Clock
from syncline.ports.remote import Traffic
from syncline.protocol.blocks import (
    DoneAnswer,
    DoneRequest,
    GrantAnswer,
    GrantRequest,
    ManifestsAnswer,
    ManifestsRequest,
    MissingAnswer,
    MissingRequest,
    PackOffer,
    RevisionRef,
    SignedRequest,
)
from syncline.protocol.changes import ChangesPage, LatestAnswer, PollAnswer, PollRequest, SnapshotPage
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.protocol.sessions import Devices, Me, Namespaces
from syncline.protocol.tree import ChildrenPage, Metadata, Versions

_POLL_SLACK_S = 30.0


class HttpRemote:
    """The server at `url` in the session of `tokens`. `on_tokens` keeps the rotated tokens durably before it returns; it is called
    on the event loop. `renewal` keeps several processes of one device from trading the same refresh token."""

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        on_tokens: Callable[[Tokens], None],
        clock: Clock,
        chance: Chance,
        *,
        backoff: Backoff | None = None,
        stall_s: float = TRANSFER_STALL_S,
        renewal: Renewal = alone,
    ) -> None:
        self._traffic = Traffic()
        self._backoff = backoff or Backoff(chance)
        self._caller = Caller(url, tokens, on_tokens, clock, self._backoff, self._traffic, renewal)
        self._carrier = Carrier(stall_s)
        self._bell = Bell(self._caller, clock)
        self.doors = HttpDoors(self._caller)
        self.people = HttpPeople(self._caller)
        self.past = HttpPast(self._caller)
        self.links = HttpLinks(self._caller)
        self.copies = HttpCopies(self._caller)
        self.views = HttpViews(self._caller)

    def __repr__(self) -> str:
        return f"HttpRemote({self._caller.base})"

    @property
    def traffic(self) -> Traffic:
        return self._traffic

    @property
    def tokens(self) -> Tokens:
        """Those in use now."""
        return self._caller.tokens

    async def close(self) -> None:
        await self._carrier.close()
        await self._bell.close()
        await self._caller.close()

    # -- Who one is ----------------------------------------------------------------------------------------------------------

    async def me(self) -> Me:
        return await self._caller.call("GET", "/v1/me", Me)

    async def devices(self) -> Devices:
        return await self._caller.call("GET", "/v1/devices", Devices)

    async def unlink_device(self, device_id: DeviceId) -> None:
        await self._caller.call("DELETE", f"/v1/devices/{quote(device_id, safe='')}", type(None), repeatable=False)

    async def namespaces(self) -> Namespaces:
        return await self._caller.call("GET", "/v1/namespaces", Namespaces)

    # -- Content -------------------------------------------------------------------------------------------------------------

    async def missing(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Digest]:
        body = MissingRequest(namespace=namespace, hashes=list(hashes))
        return (await self._caller.call("POST", "/v1/blocks/missing", MissingAnswer, body)).missing

    async def grant(self, namespace: NamespaceId, packs: Sequence[PackOffer]) -> GrantAnswer:
        return await self._caller.call("POST", "/v1/packs", GrantAnswer, GrantRequest(namespace=namespace, packs=list(packs)))

    async def put_pack(self, put: SignedRequest, path: str, size: int) -> None:
        carrier, base, traffic = self._carrier, self._caller.base, self._traffic
        await self._backoff.run(lambda: objects.put_file(carrier, base, put, path, size, traffic))

    async def packs_done(self, pack_ids: Sequence[PackId]) -> DoneAnswer:
        return await self._caller.call("POST", "/v1/packs/done", DoneAnswer, DoneRequest(pack_ids=list(pack_ids)))

    async def manifests(self, namespace: NamespaceId, revisions: Sequence[RevisionRef]) -> ManifestsAnswer:
        body = ManifestsRequest(namespace=namespace, revisions=list(revisions))
        return await self._caller.call("POST", "/v1/manifests", ManifestsAnswer, body)

    async def read_object(self, get: SignedRequest, offset: int, length: int) -> bytes:
        data = bytearray(length)
        await self.read_into(get, offset, memoryview(data))
        return bytes(data)

    async def read_into(self, get: SignedRequest, offset: int, into: memoryview) -> None:
        if not into:
            return
        carrier, base, traffic = self._carrier, self._caller.base, self._traffic
        await self._backoff.run(lambda: objects.get_range(carrier, base, get, offset, into, traffic))

    # -- The tree and its history --------------------------------------------------------------------------------------------

    async def commit(self, request: CommitRequest, *, key: str) -> CommitAnswer:
        return await self._caller.call("POST", "/v1/files/commit", CommitAnswer, request, headers={"Idempotency-Key": key})

    async def changes(self, namespace: NamespaceId, cursor: str) -> ChangesPage:
        return await self._caller.call("GET", "/v1/changes", ChangesPage, params={"namespace": namespace, "cursor": cursor})

    async def snapshot(self, namespace: NamespaceId, page: str | None) -> SnapshotPage:
        return await self._caller.call("GET", "/v1/snapshot", SnapshotPage, params=_given(namespace=namespace, page=page))

    async def latest(self, namespace: NamespaceId) -> LatestAnswer:
        return await self._caller.call("GET", "/v1/changes/latest", LatestAnswer, params={"namespace": namespace})

    async def poll(self, cursors: Sequence[str], timeout_s: int) -> PollAnswer:
        try:
            return await self._bell.poll(cursors, timeout_s)
        except NoSocket:
            body = PollRequest(cursors=list(cursors), timeout=timeout_s)
        return await self._caller.call("POST", "/v1/notifications/poll", PollAnswer, body, timeout_s=timeout_s + _POLL_SLACK_S)

    async def metadata(self, path: str) -> Metadata:
        return await self._caller.call("GET", "/v1/metadata", Metadata, params={"path": path})

    async def children(self, namespace: NamespaceId, folder: NodeId, page: str | None) -> ChildrenPage:
        door = f"/v1/folders/{quote(folder, safe='')}/children"
        return await self._caller.call("GET", door, ChildrenPage, params=_given(namespace=namespace, page=page))

    async def versions(self, namespace: NamespaceId, node: NodeId) -> Versions:
        if not node:
            raise NotFound(what="The file")
        door = f"/v1/files/{quote(node, safe='')}/versions"
        return await self._caller.call("GET", door, Versions, params={"namespace": namespace})


def _given(**params: str | None) -> dict[str, str]:
    return {name: value for name, value in params.items() if value is not None}
