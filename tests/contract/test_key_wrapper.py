"""What every key wrapper promises (`ports/kms.py`), and what the key file does besides."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from syncline.adapters.kms.keyfile import KeyFileWrapper
from syncline.adapters.kms.secrets import load_or_create
from syncline.adapters.machine import MachineChance
from syncline.model.errors import Corrupt

KEY = b"k" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pack-keys.json"


def test_unwrap_undoes_wrap_and_nothing_repeats(path: Path) -> None:
    wrapper = KeyFileWrapper.open(path, MachineChance())
    first, second = wrapper.wrap(KEY), wrapper.wrap(KEY)
    assert first != second
    assert KEY not in first
    assert wrapper.unwrap(first) == wrapper.unwrap(second) == KEY


def test_every_changed_byte_is_noticed(path: Path) -> None:
    wrapper = KeyFileWrapper.open(path, MachineChance())
    wrapped = wrapper.wrap(KEY)
    for index in range(len(wrapped)):
        with pytest.raises(Corrupt):
            wrapper.unwrap(wrapped[:index] + bytes([wrapped[index] ^ 1]) + wrapped[index + 1 :])
    for short in (b"", wrapped[:-1], wrapped[:21]):
        with pytest.raises(Corrupt):
            wrapper.unwrap(short)


def test_another_start_unwraps_and_another_key_does_not(path: Path, tmp_path: Path) -> None:
    wrapped = KeyFileWrapper.open(path, MachineChance()).wrap(KEY)
    assert KeyFileWrapper.open(path, MachineChance()).unwrap(wrapped) == KEY
    with pytest.raises(Corrupt):
        KeyFileWrapper.open(tmp_path / "other.json", MachineChance()).unwrap(wrapped)


def test_an_added_key_wraps_and_the_old_one_still_unwraps(path: Path) -> None:
    old = KeyFileWrapper.open(path, MachineChance()).wrap(KEY)
    keys = msgspec.json.decode(path.read_bytes())["keys"]
    both = KeyFileWrapper([*msgspec.convert(keys, list[bytes]), b"n" * 32], MachineChance())
    assert both.unwrap(old) == both.unwrap(both.wrap(KEY)) == KEY
    with pytest.raises(Corrupt):
        KeyFileWrapper(msgspec.convert(keys, list[bytes]), MachineChance()).unwrap(both.wrap(KEY))


@pytest.mark.parametrize("text", [b"", b"{", b'{"keys": []}', b'{"keys": ["c2hvcnQ="]}'])
def test_a_damaged_key_file_is_said_and_never_replaced(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(Corrupt):
        KeyFileWrapper.open(path, MachineChance())
    assert path.read_bytes() == text


def test_a_secret_is_made_once_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert load_or_create(path, lambda: b"first", MachineChance()) == b"first"
    assert load_or_create(path, lambda: b"second", MachineChance()) == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]
