"""Gates: whether the holder of a ticket may still read what it names, asked each time one is shown."""

from __future__ import annotations

from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId
from syncline.server.accounts.sessions import Accounts
from syncline.server.content.downloads import Gate, Grants
from syncline.server.content.tickets import Ticket
from syncline.server.metadata.service import Metadata


def device_gate(accounts: Accounts, metadata: Metadata, grants: Grants | None = None) -> Gate:
    """For tickets given to devices: the device is linked, its user enabled, and a member of the namespace or granted the file."""

    async def gate(ticket: Ticket) -> None:
        session = await accounts.live(DeviceId(ticket.holder.id))
        if session.caller.user_id != ticket.holder.user:
            raise NotFound(what="The file")
        try:
            await metadata.access(session.caller, ticket.namespace)
        except NotFound:
            if grants is None or await grants.namespace_of(session.caller, ticket.namespace, ticket.node_id) is None:
                raise

    return gate
