"""`make test-cluster`: the scale-out profile from end to end, with everything in it killed once and brought back.

Two gateways, two processes each of metadata, blocks (with content), notify and worker, on PostgreSQL with a streaming replica,
SeaweedFS, three nodes of JetStream and Redis, all real processes. Three devices sync a real tree through it. Each process of the
server and each service in turn is killed with SIGKILL while people work, stays away for a while, and comes back; after each the
devices must meet again. At the end nothing is lost, all trees are equal, and no byte of a file has passed a gateway. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.cluster.people import Person, missing
from tests.cluster.services import Victim, services
from tests.e2e.cluster import Cluster, meet
from tests.e2e.world import Device

LAYOUT = {
    f"{name}-{number}": roles
    for name, roles in (
        ("metadata", "metadata"),
        ("blocks", "blocks,content"),
        ("notify", "notify"),
        ("worker", "worker"),
        ("gateway", "gateway"),
    )
    for number in (1, 2)
}
SOURCE = Path(__file__).parents[2] / "src/syncline/server"
ACTS = 6
"""What everybody does while something is away, and again once it is back."""


class Story:
    def __init__(self, root: Path, seed: int, cluster: Cluster, victims: dict[str, Victim]) -> None:
        self.cluster = cluster
        self.victims = victims
        gateways = cluster.of("gateway")
        devices = [Device(root, name, gateways[index % len(gateways)]) for index, name in enumerate("ABC")]  # type: ignore[arg-type]
        self.people = [Person(device, seed) for device in devices]
        self.content_bytes = 0.0

    @property
    def devices(self) -> list[Device]:
        return [person.device for person in self.people]

    def begin(self) -> None:
        self.cluster.start()
        self.cluster.add_user()
        for person in self.people:
            person.device.set_up()
            person.begin(SOURCE)
            person.device.start()
        self.agree("the tree is everywhere")

    def kill(self, name: str) -> None:
        """Kills one thing while people work, and brings it back."""
        part = self.cluster.parts.get(name)
        if part is not None and part.roles == "gateway":
            self.content_bytes += self.cluster.content_bytes_through(part)
        self.work()
        if part is not None:
            part.kill()
        else:
            self.victims[name].kill()
        self.work()
        time.sleep(1)
        if part is not None:
            self.cluster.start([name])
        else:
            self.victims[name].start()
        self.work()
        self.agree(f"{name} was killed and is back")

    def work(self) -> None:
        for _ in range(ACTS):
            for person in self.people:
                person.act()

    def agree(self, what: str) -> None:
        begun = time.monotonic()
        wrong = missing(self.people, meet(self.devices, 240))
        if wrong:
            raise AssertionError(f"{what}, but: {wrong[:10]}")
        print(f"  {time.monotonic() - begun:5.1f} s  {what}", flush=True)

    def end(self) -> dict[str, int]:
        self.content_bytes += self.cluster.content_bytes_through_gateways()
        for device in self.devices:
            device.kill()
        return {name: part.end() for name, part in self.cluster.parts.items()}

    def close(self) -> None:
        for device in self.devices:
            if device.running:
                device.kill()
        self.cluster.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make test-cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="kill these alone, such as gateway-1 postgres")
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="syncline-cluster-") as folder, ExitStack() as held:
        root = Path(folder)
        below = held.enter_context(services(root))
        cluster = Cluster(root, LAYOUT, below.variables)
        story = Story(root, chosen.seed, cluster, below.victims)
        held.callback(story.close)
        names = chosen.only or [*LAYOUT, *below.victims]
        story.begin()
        for name in names:
            story.kill(name)
        files = sum(len(person.files) for person in story.people)
        codes = story.end()
    wrong = {name: code for name, code in codes.items() if code}
    told = {
        "killed": len(names),
        "files": files,
        "content_bytes_through_gateways": int(story.content_bytes),
        "ended_badly": wrong,
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(told))
    return 1 if wrong or story.content_bytes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
