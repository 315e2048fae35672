"""A server of several processes, each a real `syncline serve` with its role, configured by the environment alone.

Each process keeps its port for its whole life, so it can be killed and brought back where its peers look for it. What is shared,
the database, the store and the keys, is the business of whoever makes the cluster.
"""

from __future__ import annotations

import signal
import subprocess
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

from syncline.ports.metrics import GATEWAY_BYTES
from syncline.testing.services.postgres import free_port
from tests.e2e.world import EMAIL, PASSWORD, READY, SYNCLINE, Device, Tree, difference, environment, eventually, run, strays, tree
from tests.scraping import Figures

STARTS_S = 60


class Part:
    """One process. As `url` its own address, also for a `Device` that is to sign in there."""

    def __init__(self, name: str, roles: str, root: Path, variables: Mapping[str, str]) -> None:
        self.name = name
        self.roles = roles
        self.url = f"http://127.0.0.1:{free_port()}"
        self.peer = f"127.0.0.1:{free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.log = root / f"{name}.log"
        self._variables = dict(variables)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, more: Mapping[str, str]) -> None:
        """Begins; `ready` waits until it is there."""
        said = {"LISTEN": self.url.removeprefix("http://"), "ROLES": self.roles, "METRICS_LISTEN": self.metrics}
        if self.roles != "gateway":
            said["CLUSTER_LISTEN"] = self.peer
        given = {f"SYNCLINE_SERVER_{name}": value for name, value in (self._variables | said | dict(more)).items()}
        with self.log.open("ab") as log:
            self._at = log.tell()
            self._process = subprocess.Popen(
                [*SYNCLINE, "serve"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(None) | given
            )

    def listens(self) -> bool:
        assert self._process is not None
        said = self.log.read_bytes()[self._at :].decode(errors="replace")
        assert self._process.poll() is None, f"{self.name} ended: {said[-2000:]}"
        return READY.search(said) is not None

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def figures(self) -> Figures:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            return Figures(answer.read().decode())

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """Ends it as an operator does; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None


class Cluster:
    """`layout`: the roles of each process by its name."""

    def __init__(self, root: Path, layout: Mapping[str, str], shared: Mapping[str, str]) -> None:
        self.root = root
        self.keys = root / "keys"
        run(["admin", "keys", str(self.keys)])
        self.database = shared["DATABASE"]
        self.parts = {name: Part(name, roles, root, shared) for name, roles in layout.items()}

    def of(self, role: str) -> list[Part]:
        return [part for part in self.parts.values() if role in part.roles.split(",")]

    def start(self, names: Iterable[str] | None = None) -> None:
        """Starts these processes, all of them by default; done when each is ready."""
        started = [self.parts[name] for name in (names or self.parts)]
        for part in started:
            part.start(self._known(part))
        for part in started:
            eventually(part.listens, STARTS_S, f"{part.name} listens", every_s=0.1)
            eventually(part.is_ready, STARTS_S, f"{part.name} is ready", every_s=0.1)

    def add_user(self, email: str = EMAIL) -> None:
        config = self.root / "admin.toml"
        config.write_text(f'database = "{self.database}"\n')
        add = ["admin", "user", "add", email, "--password-stdin", "--config", str(config)]
        run(add, input_text=PASSWORD + "\n")

    def close(self) -> None:
        for part in self.parts.values():
            if part.runs:
                part.kill()

    def content_bytes_through_gateways(self) -> float:
        return sum(self.content_bytes_through(part) for part in self.of("gateway"))

    def content_bytes_through(self, part: Part) -> float:
        """How many bytes of files passed this process since it started."""
        return part.figures().of(GATEWAY_BYTES, kind="content")

    def _known(self, part: Part) -> dict[str, str]:
        """Whom a process must know, and what by."""
        if part.roles == "gateway":
            peers = {
                f"PEERS_{role.upper()}": ",".join(one.peer for one in self.of(role)) for role in ("metadata", "blocks", "notify")
            }
            return peers | {"CONTENT_URL": self.of("content")[0].url, "CLUSTER_SECRET_FILE": str(self.keys / "cluster.key")}
        return {"KEYS": str(self.keys)}


def meet(devices: Iterable[Device], cap_s: float = 120) -> Tree:
    """The tree of all of them, once they hold the same one and say that they are in sync."""
    found: dict[str, Tree] = {}

    def same() -> bool:
        for device in devices:
            device.wait(cap_s)
            found[device.name] = tree(device.folder)
        first, *others = found.values()
        return all(other == first for other in others)

    first, *others = devices
    try:
        eventually(same, cap_s, "all devices hold the same tree", every_s=0.2)
    except AssertionError as error:
        told = [difference(found[first.name], found[other.name]) for other in others]
        raise AssertionError(f"{error}: {told}") from None
    assert not [left for device in (first, *others) for left in strays(device.folder)]
    return found[first.name]
