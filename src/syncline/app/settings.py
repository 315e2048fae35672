"""Settings of one device, by name: what they may be and mean. They lie in the home's `config.json` (`app.home.Options`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from syncline.app.home import Home, Options, write_private
from syncline.model.errors import InvalidRequest, LocalIo


class Setting(Struct, frozen=True):
    """`values` are all it may be, the default first."""

    values: tuple[str, ...]
    meaning: str
    when: str = "at once"


SETTINGS: Final[dict[str, Setting]] = {
    "conflicts": Setting(
        ("copy", "merge"),
        "of a text that was edited here and elsewhere, keep both versions, or merge them where no change touches another",
    ),
    "log_level": Setting(
        ("info", "debug", "warning", "error"),
        "how much the background engine writes to daemon.log",
        "when syncing starts again",
    ),
}


def get_setting(home: Home, name: str) -> str:
    """The value in force. Raises `LocalIo` where the file is damaged."""
    return str(getattr(home.options(), name))


def set_setting(home: Home, name: str, value: str) -> None:
    """Durable when this returns; what a newer version keeps in the file stays. Raises `InvalidRequest`, `LocalIo`."""
    setting = SETTINGS.get(name)
    if setting is None:
        raise InvalidRequest(message=f"there is no setting {name!r}; there are: {', '.join(SETTINGS)}")
    if value not in setting.values:
        raise InvalidRequest(message=f"{name} is one of {', '.join(setting.values)}, not {value!r}")
    kept = _kept(home) | {name: value}
    msgspec.convert(kept, Options)
    home.make()
    write_private(home.config_file, msgspec.json.encode(kept) + b"\n")


def _kept(home: Home) -> dict[str, Any]:
    try:
        return msgspec.json.decode(home.config_file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        reason = f"it is damaged ({error}); remove it, and set what it held anew"
        raise LocalIo(path=str(home.config_file), reason=reason) from error
    except OSError as error:
        raise LocalIo(path=str(home.config_file), reason=error.strerror or str(error)) from error
