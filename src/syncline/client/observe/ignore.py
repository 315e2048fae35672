"""What is not synced: `.synclineignore` in any folder, gitignore's grammar, and a short list of junk built in (`docs/ignore.md`).

A file's patterns speak of its own folder and what is below; of several files the nearer wins, in one file the later line. What lies
in an ignored folder cannot be named back, as in git. Laws: rules only keep things *out*. Whoever is tracked already (in the synced
or remote tree at that place) syncs on, so becoming ignored never deletes; the walk asks here for untracked entries alone. Rules
that cannot be read ignore everything untracked in their folder until they can: nothing is sent by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from syncline.client.observe.patterns import BUILT_IN, BUILT_IN_SOURCE, IGNORE_FILE, Rule, Rules, parse
from syncline.model.entries import Signature
from syncline.model.limits import IGNORE_FILE_MAX_BYTES
from syncline.model.paths import join

_NEVER: Final = re.compile(r"(?!)")


class Level(Struct, frozen=True):
    """What holds for the entries of one folder. `closed` says why all of them are ignored: the rule that named the folder or one
    above it, or the rules that could not be read."""

    path: str
    chain: tuple[Rules, ...]
    """Nearest first; the built-in ones last."""
    closed: Rule | None = None

    def verdict(self, name: str, *, is_folder: bool) -> Rule | None:
        """The rule that ignores the entry, or None."""
        if self.closed is not None:
            return self.closed
        full = join(self.path, name) + ("/" if is_folder else "")
        for rules in self.chain:
            rule = rules.verdict(full[len(rules.base) + 1 :] if rules.base else full)
            if rule is not None:
                return rule if rule.ignores else None
        return None

    def into(self, name: str) -> Level:
        """The level of a folder in this one, before its own file is read."""
        return Level(join(self.path, name), self.chain, self.verdict(name, is_folder=True))

    def under(self, rules: Rules) -> Level:
        """The same with the folder's own rules in front."""
        return Level(self.path, (rules, *self.chain), self.closed)

    def shut(self, reason: str) -> Level:
        """The same with everything ignored, since the folder's rules cannot be known."""
        rule = Rule(join(self.path, IGNORE_FILE), 0, reason, True, _NEVER)
        return Level(self.path, self.chain, self.closed or rule)


_BUILT_IN_RULES: Final = parse("\n".join(BUILT_IN), "", BUILT_IN_SOURCE).rules
ROOT_LEVEL: Final = Level("", (_BUILT_IN_RULES,))


class Kept(Struct, frozen=True):
    """A folder's rules as last read, and of which file."""

    signature: Signature
    rules: Rules | None
    problems: tuple[str, ...] = field(default=())


class Ignore:
    """The rules of every folder that has some, as the walk last read them."""

    def __init__(self, read: Callable[[str, int], bytes]) -> None:
        self._read = read
        self._kept: dict[str, Kept] = {}

    def level(self, folder: str) -> Level:
        """What holds in `folder`, from what is known."""
        level = self._own(ROOT_LEVEL)
        for name in folder.split("/") if folder else ():
            level = self._own(level.into(name))
        return level

    def own(self, above: Level) -> Level:
        """`above` (a folder's level from `into`) with the folder's own rules as known."""
        return self._own(above)

    def _own(self, level: Level) -> Level:
        kept = self._kept.get(level.path)
        if kept is None:
            return level
        return level.shut(kept.problems[0]) if kept.rules is None else level.under(kept.rules)

    def knows(self, folder: str, signature: Signature) -> bool:
        """Whether the folder's file, as it is now, has been read."""
        kept = self._kept.get(folder)
        return kept is not None and kept.rules is not None and kept.signature == signature

    def learn(self, folder: str, signature: Signature | None) -> bool:
        """Takes note of the folder's file as listed now (None: there is none); whether what holds below changed."""
        kept = self._kept.get(folder)
        if signature is None:
            self._kept.pop(folder, None)
            return kept is not None
        if self.knows(folder, signature):
            return False
        fresh = self._load(folder, signature)
        self._kept[folder] = fresh
        return kept is None or _texts(kept.rules) != _texts(fresh.rules)

    def wait(self, folder: str, signature: Signature) -> None:
        """The folder's file is being written: what was known holds; where nothing was, everything waits for it."""
        if folder not in self._kept:
            self._kept[folder] = Kept(signature, None, (_UNQUIET,))

    def problems(self, folder: str) -> tuple[str, ...]:
        kept = self._kept.get(folder)
        return () if kept is None or kept.problems == (_UNQUIET,) else kept.problems

    def forget(self, folder: str) -> None:
        """The folder is gone, or elsewhere, with all below it."""
        below = folder + "/"
        for path in [path for path in self._kept if path == folder or path.startswith(below)]:
            del self._kept[path]

    def _load(self, folder: str, signature: Signature) -> Kept:
        path = join(folder, IGNORE_FILE)
        if signature.size > IGNORE_FILE_MAX_BYTES:
            return Kept(signature, None, (f"it is larger than {IGNORE_FILE_MAX_BYTES} bytes: nothing new in its folder is synced",))
        try:
            content = self._read(path, IGNORE_FILE_MAX_BYTES)
        except OSError as error:
            return Kept(signature, None, (f"it cannot be read ({error.strerror}): nothing new in its folder is synced",))
        parsed = parse(content.decode(errors="replace"), folder)
        return Kept(signature, parsed.rules, parsed.problems)


_UNQUIET: Final = "it is still being written"


def _texts(rules: Rules | None) -> list[str] | None:
    return None if rules is None else [rule.text for rule in rules.rules]


def ignored_by(path: str, *, is_folder: bool, read: Callable[[str, int], bytes]) -> Rule | None:
    """The rule that ignores `path`, from the files as they are on disk now; for `syncline ignore check`."""
    level = ROOT_LEVEL
    names = path.split("/")
    for depth, name in enumerate(names):
        folder = "/".join(names[:depth])
        try:
            text = read(join(folder, IGNORE_FILE), IGNORE_FILE_MAX_BYTES).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            level = level.shut(f"it cannot be read ({error.strerror})")
        else:
            level = level.under(parse(text, folder).rules)
        if depth == len(names) - 1:
            return level.verdict(name, is_folder=is_folder)
        level = level.into(name)
    return None
