"""Brokers that speak Kafka's protocol, of a test run's own: librdkafka's mock cluster, in a process that can be killed.

It keeps records in memory and makes topics by itself. It is no Kafka: replication, retention and access rules are not in it.
`python -m syncline.testing.services.kafka` runs one, says its brokers in one line, and ends with its standard input.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BROKERS: Final = 3


class Kafka:
    """A running mock cluster. `servers` are its brokers."""

    def __init__(self, process: subprocess.Popen[bytes], servers: list[str]) -> None:
        self.process = process
        self.servers = servers

    def kill(self) -> None:
        """As if the machine had gone, and all that was kept with it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running() -> Iterator[Kafka]:
    """A cluster of its own, ended with the block."""
    cluster = start()
    try:
        yield cluster
    finally:
        cluster.kill()


def start() -> Kafka:
    """A cluster, once it says where it is."""
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-m", "syncline.testing.services.kafka"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path.cwd(),
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert process.stdout is not None
    line = process.stdout.readline().decode().split()
    if not line:
        process.kill()
        raise RuntimeError("the Kafka mock cluster did not start")
    return Kafka(process, line)


def main() -> None:
    from confluent_kafka import Producer

    producer = Producer({"test.mock.num.brokers": BROKERS, "bootstrap.servers": "mock", "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    sys.stdout.write(" ".join(f"{broker.host}:{broker.port}" for broker in brokers) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
