"""The door for copies over HTTP. A copy under its key may be asked for again."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.adapters.http.caller import Caller
from syncline.protocol.copies import Copy, CopyAnswer, CopyRequest

COPY_TIMEOUT_S = 300.0
"""A hundred thousand files take a while."""


class HttpCopies:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def copy(self, files: Sequence[Copy], *, key: str) -> CopyAnswer:
        body, headers = CopyRequest(files=list(files)), {"Idempotency-Key": key}
        return await self._caller.call("POST", "/v1/files/copy", CopyAnswer, body, headers=headers, timeout_s=COPY_TIMEOUT_S)
