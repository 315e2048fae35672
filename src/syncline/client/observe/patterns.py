"""gitignore's grammar, by pathspec: the lines of one file as rules, each matched against one entry, not against what is above it.

pathspec answers for whole paths, where a pattern may match through a folder above; the walk asks level by level, as git does, so
the matching is done here on pathspec's expressions. They are made safe first: a file may be another member's, and `*a*a*a*b` must
not cost a device hours, so each star but a name's last keeps its first fit (which is as good as any, for stars).
"""

from __future__ import annotations

import re
import warnings
from typing import Final

from msgspec import Struct
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from syncline.model.limits import IGNORE_PATTERN_MAX_CHARS, IGNORE_PATTERNS_MAX
from syncline.model.paths import join

IGNORE_FILE: Final = ".synclineignore"
BUILT_IN: Final = (".DS_Store", "Thumbs.db", "desktop.ini", "~$*", ".~lock.*#", "*.swp", "*.part", "*.crdownload")
"""Junk of file managers, locks of office programs, and files that editors and browsers are still writing."""
BUILT_IN_SOURCE: Final = "built in"
SPANS_MAX: Final = 2
"""`**` between two names of a pattern, at most: each multiplies the time a match can take."""

_DIR_MARK: Final = "ps_d"
_ANY_FOLDER: Final = "(?P<ps_d>/)"
"""How pathspec writes `*/`: every folder."""
_STAR: Final = "[^/]*"
"""How pathspec writes a star."""
_STARS: Final = re.compile(r"(?<!\\)\*{2,}")


class Rule(Struct, frozen=True):
    """One pattern: `ignores` false for a negation."""

    source: str
    line: int
    text: str
    ignores: bool
    regex: re.Pattern[str]

    def matches(self, path: str) -> bool:
        """Whether the pattern names this very entry (folders end in a slash), not merely something above it."""
        if self.regex.pattern == _ANY_FOLDER:
            return path.endswith("/")
        found = self.regex.search(path)
        if found is None:
            return False
        if _DIR_MARK not in self.regex.groupindex:
            return found.end() < len(path) or self.regex.pattern == "."
        mark = found.end(_DIR_MARK)
        return mark in (-1, len(path))

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.text}" if self.line else f"{self.source}: {self.text}"


class Rules(Struct, frozen=True):
    """One file's rules, in order, for the folder `base`."""

    base: str
    rules: tuple[Rule, ...]
    any: re.Pattern[str] | None
    """Matches whenever one of the rules may: most names end here."""

    def verdict(self, path: str) -> Rule | None:
        """The last rule that names `path` (relative to `base`, folders with a slash at the end)."""
        if self.any is None or self.any.search(path) is None:
            return None
        for rule in reversed(self.rules):
            if rule.matches(path):
                return rule
        return None


class Parsed(Struct, frozen=True):
    rules: Rules
    problems: tuple[str, ...]
    """One line for each pattern that is none."""


def parse(text: str, folder: str, source: str | None = None) -> Parsed:
    """The rules of the file in `folder`; a line that is no pattern is a problem, and nothing else."""
    source = join(folder, IGNORE_FILE) if source is None else source
    rules: list[Rule] = []
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(rules) >= IGNORE_PATTERNS_MAX:
            problems.append(f"line {number}: more than {IGNORE_PATTERNS_MAX} patterns; the rest is not read")
            break
        compiled = _compiled(line)
        if isinstance(compiled, str):
            problems.append(f"line {number}: {line[:80]!r} {compiled}")
        elif compiled[0] is not None:
            rules.append(Rule(source, 0 if source == BUILT_IN_SOURCE else number, line.rstrip(), compiled[1], compiled[0]))
    return Parsed(Rules(folder, tuple(rules), _any(rules)), tuple(problems))


def _compiled(line: str) -> tuple[re.Pattern[str] | None, bool] | str:
    """The pattern's expression (None for one that names nothing) and whether it ignores; or why it is no pattern."""
    if len(line) > IGNORE_PATTERN_MAX_CHARS:
        return f"is longer than {IGNORE_PATTERN_MAX_CHARS} characters"
    negation = "!" if line.startswith("!") else ""
    segments = line.removeprefix("!").split("/")
    if segments[1:-1].count("**") > SPANS_MAX:
        return f"has more than {SPANS_MAX} ** between its names"
    if segments[-2:-1] == ["**"] and not segments[-1].strip() and any(segments[:-2]):
        segments[-1:] = ["*", ""]  # Git: the folders below, at any depth. pathspec would take the folder above them for meant.
    collapsed = negation + "/".join(part if part.strip() == "**" else _STARS.sub("*", part) for part in segments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            pattern = GitIgnoreSpecPattern(collapsed)
            if pattern.regex is None:
                return (None, True) if collapsed.strip() in ("/", "!/") else "is no pattern"
            return re.compile(_safe(pattern.regex.pattern)), bool(pattern.include)
    except (ValueError, re.error):
        return "is no pattern"


def _safe(expression: str) -> str:
    """The same expression, with each star followed by more of the same name made to take the first fit and keep it."""
    head, *pieces = expression.split(_STAR)
    for piece in pieces[:-1]:
        within = piece.replace("[^/]", "")
        head += f"(?>[^/]*?{piece})" if piece and "/" not in within and "(" not in within.replace("\\(", "") else _STAR + piece
    return head + (_STAR + pieces[-1] if pieces else "")


def _any(rules: list[Rule]) -> re.Pattern[str] | None:
    if not rules:
        return None
    return re.compile("|".join(f"(?:{rule.regex.pattern.replace(f'?P<{_DIR_MARK}>', '?:')})" for rule in rules))
