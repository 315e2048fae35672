"""Names that a disk gives back in another spelling than it was asked for: HFS+ decomposes them, APFS and ZFS find them under both.

The tree's spelling, which is the server's, stays: a name that the disk finds under both spellings is one name, and nobody renamed
anything. A disk that tells them apart finds nothing under the old one once it was renamed, so there a rename stays a rename.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from syncline.model.paths import exact_key, join
from syncline.ports.local_files import LocalFiles, Stat


def respelled(files: LocalFiles, folder: str, listing: list[Stat], known: Collection[str]) -> list[Stat]:
    """A folder's listing in the spelling of the names that are `known` there. Raises `OSError` where the disk cannot tell."""
    strangers = [stat for stat in listing if stat.name not in known] if known else []
    if not strangers:
        return listing
    listed = {stat.name for stat in listing}
    absent = {exact_key(name): name for name in known if name not in listed}
    given: dict[str, Stat] = {}
    for stat in strangers if absent else ():
        name = absent.get(exact_key(stat.name))
        if name is not None and is_found_under(files, folder, name, stat):
            given[stat.name] = replace(stat, name=name)
    return [given.get(stat.name, stat) for stat in listing] if given else listing


def is_found_under(files: LocalFiles, folder: str, name: str, stat: Stat) -> bool:
    """Whether the disk finds an entry under `name`, too, which is another spelling of its own. Raises `OSError` where it cannot
    tell."""
    if exact_key(name) != exact_key(stat.name):
        return False
    try:
        found = files.stat(join(folder, name))
    except FileNotFoundError:
        return False
    one, other = found.signature, stat.signature
    return found.kind is stat.kind and (one.device, one.inode) == (other.device, other.inode)
