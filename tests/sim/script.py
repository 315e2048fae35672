"""Scripts for black boxes: what users do on several devices, drawn from a seed, as steps that read like the scenario they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

DEVICES = ("A", "B", "C")
NAMES = ("a", "b", "c")
DEPTH = 3
RESTS_S = (0.0, 0.0, 0.0, 0.02, 0.1, 0.3)
SIZES = (1, 30, 500, 20_000, 700_000)
ANSWERS = {
    "write": ("write", "write", "delete", "delete", "move", "mkdir"),
    "delete": ("write", "write", "write", "move", "delete"),
    "move": ("write", "write", "move", "delete"),
    "mkdir": ("write", "mkdir", "delete"),
}
APART_SHARE = 0.4
"""Of the epochs, those in which the devices act apart from each other."""
CONTEST_SHARE = 0.35
"""Of the acts, those that another device answers in the same place."""
USER_OPS = ("write", "delete", "move", "mkdir")
WEIGHTS = {"write": 10, "delete": 4, "move": 6, "mkdir": 2, "pause": 2, "resume": 2, "kill": 2, "start": 1, "freeze": 1, "thaw": 1}


@dataclass(frozen=True)
class Step:
    """One line of a script. `rest_s` is how long nothing happens after it."""

    op: str
    device: str = ""
    path: str = ""
    target: str = ""
    size: int = 0
    rest_s: float = 0.0

    def __str__(self) -> str:
        if self.op == "settle":
            return "settle"
        words = [
            word for word in (self.path, f"→ {self.target}" if self.target else "", f"{self.size} B" if self.size else "") if word
        ]
        said = " ".join([f"{self.device}.{self.op}", *words])
        return f"{said}; rest {self.rest_s:g} s" if self.rest_s else said


def draw(seed: int, *, epochs: int = 3, length: int = 9) -> list[Step]:
    """A script of some epochs, each ended by `settle`. Each seed leaves some kinds of step out, so that the others come thicker."""
    chance = random.Random(f"script {seed}")
    left_out = {op for op in WEIGHTS if op not in ("write", "move") and chance.random() < 0.25}
    ops = [op for op in WEIGHTS if op not in left_out]
    paths = _Paths(chance)
    steps: list[Step] = []
    for _ in range(epochs):
        actors = chance.sample(DEVICES, chance.choice((1, 2, 2, 3, 3)))
        if chance.random() < APART_SHARE:
            # Whatever happens until they settle, happens at once.
            steps += [Step("pause", device) for device in actors]
        for _ in range(chance.randint(length // 2, length + length // 2)):
            op = chance.choices(ops, [WEIGHTS[op] for op in ops])[0]
            steps.append(_step(op, chance, paths, actors))
            while steps[-1].op in USER_OPS and len(actors) > 1 and chance.random() < CONTEST_SHARE:
                steps.append(_contest(steps[-1], chance, paths, actors))
        steps.append(Step("settle"))
    return steps


def _contest(step: Step, chance: random.Random, paths: _Paths, actors: Sequence[str]) -> Step:
    """Another device does something to the same place, or to where it lies."""
    device = chance.choice([actor for actor in actors if actor != step.device])
    path = chance.choice([step.path, step.path, step.target or step.path])
    if "/" in path and chance.random() < 0.2:
        path = path.rpartition("/")[0]
    op = chance.choice(ANSWERS[step.op])
    if op == "move":
        return Step(op, device, path, paths.new())
    return Step(op, device, path, size=chance.choice(SIZES) if op == "write" else 0)


def _step(op: str, chance: random.Random, paths: _Paths, actors: Sequence[str]) -> Step:
    rest_s = chance.choice(RESTS_S)
    device = chance.choice(actors if op in USER_OPS else DEVICES)
    if op in ("delete", "move") and not paths.known:
        op = "write"
    if op == "write":
        path = chance.choice(paths.files) if paths.files and chance.random() < 0.5 else paths.new()
        paths.make(path)
        paths.files.append(path)
        return Step(op, device, path, size=chance.choice(SIZES), rest_s=rest_s)
    if op == "mkdir":
        path = paths.new()
        paths.make(path)
        return Step(op, device, path, rest_s=rest_s)
    if op == "delete":
        path = paths.some()
        if chance.random() < 0.4:
            paths.forget(path)
        return Step(op, device, path, rest_s=rest_s)
    if op == "move":
        source, target = paths.some(), paths.new()
        if source in paths.files:
            paths.files.append(target)
        paths.move(source, target)
        return Step(op, device, source, target, rest_s=rest_s)
    return Step(op, device, rest_s=rest_s)


class _Paths:
    """Paths that probably exist on some device: those it may not have yet, or no more, make the best scripts."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.known: list[str] = []
        self.files: list[str] = []

    def make(self, path: str) -> None:
        above = [str(parent) for parent in PurePosixPath(path).parents if parent.name]
        self.known += [each for each in (*reversed(above), path) if each not in self.known]

    def forget(self, path: str) -> None:
        self.known, self.files = (
            [each for each in paths if each != path and not each.startswith(path + "/")] for paths in (self.known, self.files)
        )

    def move(self, source: str, target: str) -> None:
        within = [each for each in self.known if each == source or each.startswith(source + "/")]
        self.make(target)
        for each in within:
            self.make(target + each.removeprefix(source))
        if self._chance.random() < 0.6:
            self.forget(source)

    def some(self) -> str:
        return self._chance.choice(self.known)

    def new(self) -> str:
        if self.known and self._chance.random() < 0.6:
            below = PurePosixPath(self.some()) / self._chance.choice(NAMES)
            if len(below.parts) <= DEPTH:
                return str(below)
        return "/".join(self._chance.choice(NAMES) for _ in range(self._chance.choice((1, 1, 2, 3))))
