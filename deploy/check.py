"""Holds every file of deploy/ to its own checker, and says which was not to be had. `make deploy-check` brings most of them.

docker-compose reads the compose files, hadolint the Dockerfile, Helm lints and renders the chart, whose manifests are then held to
Kubernetes' own schemas, promtool reads the rules and plays their tests, nginx its configuration, systemd-analyze the units.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
KUBERNETES = ("1.27", "1.30", "1.33")
VALUES = {
    "publicUrl": "https://files.example.org",
    "database": {"url": "postgresql://syncline@db/syncline"},
    "objects": {"bucket": "syncline", "endpoint": "https://s3.example.org", "publicEndpoint": "https://files3.example.org"},
    "bus": {"kind": "nats", "servers": "nats://nats:4222"},
    "redis": "redis://redis:6379/0",
    "ingress": {"enabled": True, "host": "files.example.org", "tlsSecret": "tls", "className": "nginx"},
    "podMonitor": {"enabled": True},
    "rules": {"enabled": True},
    "settings": {"SYNCLINE_SERVER_LIMITS_USER_PER_MINUTE": "6000"},
}
SECRETS = {"SYNCLINE_DATABASE_PASSWORD": "x", "SYNCLINE_S3_ACCESS_KEY": "x", "SYNCLINE_S3_SECRET_KEY": "x"}


class Missing(Exception):
    """A checker that is not there."""


def tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Missing(name)
    return found


def said(*command: str, **more: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | more, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def compose(name: str) -> None:
    said(tool("docker-compose"), "-f", str(HERE / "compose" / name), "--profile", "*", "config", "--quiet", **SECRETS)


def dockerfile() -> None:
    said(tool("hadolint"), str(HERE / "Dockerfile"))


def chart() -> None:
    try:
        import helm_python as helm
        import kubernetes_validate
        import yaml
    except ImportError as error:
        raise Missing(error.name or "Helm") from error
    place = str(HERE / "helm" / "syncline")
    found = helm.lint(place, values=VALUES)
    if found["errors"] or any(message["severity"] > 1 for message in found["messages"]):
        raise AssertionError(str(found))
    loaded = helm.Chart.load(place)
    try:
        loaded.render({})
    except Exception as refused:
        if "publicUrl" not in str(refused):
            raise
    else:
        raise AssertionError("values that lack what must be given are rendered")
    pages = loaded.render(VALUES)
    manifests = [one for name, text in pages.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    ours = [one for one in manifests if not one["apiVersion"].startswith("monitoring.coreos.com/")]
    if len(ours) < 25:
        raise AssertionError(f"only {len(ours)} manifests")
    for version in KUBERNETES:
        for one in ours:
            kubernetes_validate.validate(one, version, strict=True)


def prometheus(*words: str) -> None:
    said(tool("promtool"), *words[:-1], str(HERE / "prometheus" / words[-1]))


def nginx() -> None:
    said(tool("nginx"), "-t", "-c", str(HERE / "compose" / "nginx.conf"), "-e", "stderr")


def units() -> None:
    """Under names that systemd takes, with a program that is there: ours is where it is installed."""
    with tempfile.TemporaryDirectory() as place:
        names = []
        for unit in sorted((HERE / "systemd").glob("*.service")):
            copy = Path(place) / unit.name.replace("@.", "@gateway.")
            copy.write_text(unit.read_text().replace("ExecStart=/opt/syncline/bin/syncline", f"ExecStart={shutil.which('true')}"))
            names.append(str(copy))
        said(tool("systemd-analyze"), "verify", *names)


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    for name in ("one.yaml", "scale.yaml"):
        yield f"docker compose config: {name}", lambda name=name: compose(name)
    yield "hadolint: Dockerfile", dockerfile
    yield f"helm lint, render; Kubernetes {', '.join(KUBERNETES)}: chart", chart
    yield "promtool check rules", lambda: prometheus("check", "rules", "rules.yml")
    yield "promtool test rules", lambda: prometheus("test", "rules", "rules_test.yml")
    yield "promtool check config", lambda: prometheus("check", "config", "prometheus.yml")
    yield "nginx -t", nginx
    yield "systemd-analyze verify", units


def main() -> int:
    failed = 0
    for name, check in checks():
        try:
            check()
        except Missing as missing:
            print(f"NOT RUN  {name}: {missing} is not here")
        except Exception as error:
            failed += 1
            print(f"FAILED   {name}: {error}")
        else:
            print(f"ok       {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
