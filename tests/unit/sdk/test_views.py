"""Looking about."""

from __future__ import annotations

import pytest

from syncline import AsyncClient, errors


async def test_who_one_is(ann: AsyncClient) -> None:
    me = await ann.me()
    assert me.email == "ann@example.org"
    (device,) = await ann.devices()
    assert (device.id, device.name, device.current) == (me.device_id, "ann's program", True)


async def test_search_usage_and_activity(ann: AsyncClient) -> None:
    for number in range(5):
        await ann.upload_bytes(b"x" * number, f"/reports/summer {number}.txt")
    await ann.mkdir("/summer")
    assert (await ann.search("summer"))[0].path == "/summer"
    assert len(await ann.search("summer", kind="file")) == 5
    assert len(await ann.search("summer", path="/reports", limit=2)) == 2
    assert await ann.search("winter") == []
    usage = await ann.usage("/")
    assert (usage.bytes, usage.files) == (10, 5)
    assert usage.held is not None
    assert (await ann.usage("/reports")).held is None
    activity = await ann.activity(limit=3)
    assert len(activity) == 3
    assert activity[0].what == "created"
    assert activity[0].examples[0].path == "/summer"
    assert len(await ann.activity("/reports", limit=1000)) == 5
    for nothing in (ann.search("a", path="/nothing"), ann.usage("/nothing"), ann.activity("/nothing")):
        with pytest.raises(errors.NotFound):
            await nothing
