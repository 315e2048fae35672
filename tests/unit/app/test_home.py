"""The home keeps secrets to its user, replaces files whole, and admits one engine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from syncline.app.home import Credentials, DaemonRunning, Home, Link, Options, make_private, write_private
from syncline.model.errors import LocalIo, NotLinked, NotLoggedIn
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.limits import SOCKET_PATH_MAX_BYTES

SOMEBODY = Credentials(
    server="http://127.0.0.1:1",
    server_id="01J00000000000000000000000",
    email="a@example.org",
    user_id=UserId("01J00000000000000000000001"),
    device_id=DeviceId("01J00000000000000000000002"),
    device_name="laptop",
    root_namespace=NamespaceId("01J00000000000000000000003"),
    refresh_token="secret",
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_in_a_home_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = Home(tmp_path / "deep" / "home")
        home.save_credentials(SOMEBODY)
        home.save_link(Link(folder="/x", remote="/", root_id="r"))
        home.lock().release()
    finally:
        os.umask(before)
    assert mode(home.path) == mode(home.spool) == 0o700
    assert {mode(file) for file in home.path.iterdir() if file.is_file()} == {0o600}


def test_a_home_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    home.path.chmod(0o755)
    home.make()
    assert mode(home.path) == 0o700


def test_what_is_saved_is_read_back_and_forgotten(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(NotLoggedIn):
        home.credentials()
    with pytest.raises(NotLinked):
        home.link()
    home.save_credentials(SOMEBODY)
    assert Home(home.path).credentials() == SOMEBODY
    home.save_link(Link(folder="/x", remote="/", root_id="r"))
    home.state_db.write_bytes(b"trees")
    (home.spool / "pack").write_bytes(b"bytes")
    home.forget_link()
    home.forget_credentials()
    assert not home.state_db.exists() or not home.state_db.stat().st_size
    assert not list(home.spool.iterdir())
    with pytest.raises(NotLinked):
        home.link()


def test_a_damaged_file_is_named_and_never_guessed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    home.credentials_file.write_bytes(b'{"server": 5}')
    with pytest.raises(LocalIo, match=r"credentials\.json.*remove it, then sign in"):
        home.credentials()


def test_a_pause_is_remembered_until_it_ends(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    assert not home.is_paused
    home.remember_paused(True)
    assert Home(tmp_path / "home").is_paused
    home.remember_paused(False)
    home.remember_paused(False)
    assert not home.is_paused


def test_options_have_defaults(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    assert home.options() == Options(log_level="info")
    home.config_file.write_text('{"log_level": "debug"}')
    assert home.options().log_level == "debug"


def test_one_engine_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.lock():
        with pytest.raises(DaemonRunning) as refused:
            Home(home.path).lock()
        assert refused.value.fields["pid"] == str(os.getpid())
    home.lock().release()


def test_where_a_home_lies(tmp_path: Path) -> None:
    assert Home.from_environment({"SYNCLINE_HOME": str(tmp_path / "h")}).path == tmp_path / "h"
    assert Home.from_environment({"XDG_DATA_HOME": str(tmp_path)}).path == tmp_path / "syncline"
    assert Home.from_environment({"HOME": str(tmp_path)}).path == tmp_path / ".local" / "share" / "syncline"
    assert Home.from_environment({"XDG_DATA_HOME": "not/absolute", "HOME": str(tmp_path)}).path.is_relative_to(tmp_path)


def test_the_socket_has_a_path_short_enough_and_its_own(tmp_path: Path) -> None:
    near, far, farther = Home("/h"), Home(f"/{'x' * 200}"), Home(f"/{'y' * 200}")
    assert near.control_socket == Path("/h/control.sock")
    assert len(os.fsencode(far.control_socket)) <= SOCKET_PATH_MAX_BYTES
    assert far.control_socket != farther.control_socket
    assert far.control_socket == Home(far.path).control_socket


def test_a_planted_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "planted").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalIo):
        make_private(tmp_path / "planted")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_private(target, b"old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LocalIo, match="No space"):
        write_private(target, b"new")
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
