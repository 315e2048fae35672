"""The spool's files: whole packs, used again under load, gone at rest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.unit.send.kit import HOME, Device

from syncline.adapters.machine import MachineChance
from syncline.client.send.spool import Spool, Spooled
from syncline.content.digest import digest
from syncline.content.pack import PackWriter
from syncline.model.limits import MIB


def test_files_of_packs_that_are_done_serve_the_next_ones(device: Device) -> None:
    spool = Spool(device.spool, device.store, MachineChance())
    chance = MachineChance()

    def pack(size: int) -> Spooled:
        name, file = spool.create()
        writer = PackWriter(file, chance.token(32), chance)
        data = chance.token(size)
        writer.add(digest(data), data)
        return spool.sealed(name, file, HOME, writer.finish())

    first, second = pack(MIB), pack(MIB)
    spool.remove([first])
    assert device.spooled() == sorted([first.file_name, second.file_name])
    shorter = pack(MIB // 2)
    assert shorter.file_name == first.file_name
    assert Path(shorter.path).stat().st_size == shorter.offer.size
    assert hashlib.sha256(Path(shorter.path).read_bytes()).hexdigest() == shorter.offer.sha256
    spool.remove([second])
    Path(second.path).unlink()
    assert pack(MIB).file_name not in (first.file_name, second.file_name)


def test_a_spool_at_rest_keeps_no_files(device: Device) -> None:
    spool = Spool(device.spool, device.store, MachineChance())
    chance = MachineChance()
    name, file = spool.create()
    writer = PackWriter(file, chance.token(32), chance)
    data = chance.token(MIB)
    writer.add(digest(data), data)
    spool.remove([spool.sealed(name, file, HOME, writer.finish())])
    assert device.spooled() == []
