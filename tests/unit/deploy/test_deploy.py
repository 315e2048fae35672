"""What deploy/ names is there: keys of the configuration, roles, ports, doors, metrics and their labels, options of commands.

The files' own checkers are run by `make deploy-check`, which needs tools that the tests do not.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from syncline.app.config import DEFAULT_LISTEN, ServerConfig, load
from syncline.app.environment import variables
from syncline.app.observing import carries_content
from syncline.app.processes.config import ROLES
from syncline.cli.serve import serve
from syncline.ports import metrics
from syncline.protocol.notifications import SOCKET_PATH

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "syncline"
VARIABLES = {one.name for one in variables(ServerConfig)}
OTHERS = {"SYNCLINE_S3_ACCESS_KEY", "SYNCLINE_S3_SECRET_KEY", "PGPASSWORD"}
"""What a process reads besides its configuration."""
HTTP_PORT, PEERS_PORT, METRICS_PORT = 8484, 8485, 9484
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def _text(*path: str) -> str:
    return DEPLOY.joinpath(*path).read_text()


def _yaml(*path: str) -> Any:
    return yaml.safe_load(_text(*path))


def _dashboards() -> Iterator[tuple[str, Any]]:
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        yield path.name, json.loads(path.read_text())


def _expressions() -> Iterator[tuple[str, str]]:
    for group in _yaml("prometheus", "rules.yml")["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for name, board in _dashboards():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]


def _environment(file: str) -> dict[str, str]:
    lines = [line for line in _text("systemd", file).splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_file_can_be_read() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 30
    for path in files:
        if path.suffix in (".yaml", ".yml") and path.parent.name != "templates":
            assert list(yaml.safe_load_all(path.read_text())), path
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text())
        elif path.suffix == ".service":
            sections = re.findall(r"^\[(\w+)\]$", path.read_text(), re.MULTILINE)
            assert sections == ["Unit", "Service", "Install"], path


def test_every_variable_is_one() -> None:
    named = set[str]()
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named |= set(re.findall(r"\bSYNCLINE_SERVER_[A-Z0-9_]+\b", path.read_text(errors="replace")))
    assert len(named) > 25
    assert named <= VARIABLES, sorted(named - VARIABLES)


def _services(file: str) -> dict[str, dict[str, Any]]:
    """Our own services, as docker compose would tell them their variables."""
    filled = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", _text("compose", file)))
    services: dict[str, dict[str, Any]] = yaml.safe_load(filled)["services"]
    return {name: service for name, service in services.items() if service["image"] == f"syncline:{VERSION}"}


@pytest.mark.parametrize("file", ["one.yaml", "scale.yaml"])
def test_compose_configures_processes_that_start(file: str, tmp_path: Path) -> None:
    image = dict(re.findall(r"(SYNCLINE_SERVER_\w+)=(\S+)", _text("Dockerfile")))
    assert image == {
        "SYNCLINE_SERVER_LISTEN": f"0.0.0.0:{HTTP_PORT}",
        "SYNCLINE_SERVER_METRICS_LISTEN": f"0.0.0.0:{METRICS_PORT}",
    }
    seen = set[str]()
    services = _services(file)
    for name, service in services.items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        if name == "keys":
            continue
        environment = image | {key: str(value) for key, value in service["environment"].items()}
        assert {key for key in environment if not key.startswith("SYNCLINE_SERVER_")} <= OTHERS
        command = service.get("command", ["serve", "--data", str(tmp_path)])
        roles = [command[command.index("--role") + 1]] if "--role" in command else []
        config = load(None if roles else tmp_path, None, None, roles=roles, environment=environment)
        assert (config.port, config.metrics_listen) == (HTTP_PORT, f"0.0.0.0:{METRICS_PORT}")
        if roles and roles != ["gateway"]:
            assert config.cluster.listen == f"0.0.0.0:{PEERS_PORT}"
            assert not config.needs_data
        for role in ("metadata", "blocks", "notify"):
            for peer in config.peers.of(role):
                assert peer == f"{role}:{PEERS_PORT}"
                assert role in services
        seen |= set(config.roles)
    assert seen == set(ROLES)


def test_units_start_what_there_is(tmp_path: Path) -> None:
    options = CliRunner().invoke(serve, ["--help"]).output
    for unit in ("syncline.service", "syncline@.service"):
        (command,) = re.findall(r"^ExecStart=(.+)$", _text("systemd", unit), re.MULTILINE)
        program, verb, *rest = command.split()
        assert (program, verb) == ("/opt/syncline/bin/syncline", "serve")
        assert all(option in options for option in rest if option.startswith("--"))
    whole = load(tmp_path, None, DEPLOY / "systemd" / "server.toml", environment={})
    assert set(whole.roles) == set(ROLES)
    assert whole.listen == DEFAULT_LISTEN
    seen = set[str]()
    for role in ROLES:
        environment = _environment("server.env") | _environment(f"{role}.env")
        config = load(None, None, None, roles=[role], environment=environment)
        assert not config.needs_data
        assert {name for name in environment if not name.startswith("SYNCLINE_SERVER_")} == OTHERS
        here = {config.listen, config.metrics_listen or "", config.cluster.listen or ""} - {""}
        assert not here & seen, "two roles on one machine listen at one address"
        seen |= here
    gateway = load(None, None, None, roles=["gateway"], environment=_environment("server.env") | _environment("gateway.env"))
    for role in ("metadata", "blocks", "notify"):
        asked = _environment(f"{role}.env")["SYNCLINE_SERVER_CLUSTER_LISTEN"]
        assert list(gateway.peers.of(role)) == [asked]


def test_the_chart_names_roles_ports_and_doors_that_there_are() -> None:
    values, schema = _yaml("helm", "syncline", "values.yaml"), json.loads(_text("helm", "syncline", "values.schema.json"))
    assert set(values["roles"]) == set(ROLES) == set(schema["properties"]["roles"]["properties"])
    templates = "".join(path.read_text() for path in sorted((CHART / "templates").glob("*.yaml")))
    lists = re.findall(r'\(?list ((?:"[a-z]+" ?)+)\)?', templates)
    assert {name for one in lists for name in re.findall(r'"([a-z]+)"', one)} <= set(ROLES)
    assert {int(port) for port in re.findall(r"containerPort: (\d+)", templates)} == {HTTP_PORT, PEERS_PORT, METRICS_PORT}
    chart = _yaml("helm", "syncline", "Chart.yaml")
    assert chart["appVersion"] == chart["version"] == VERSION
    assert _text("helm", "syncline", "files", "rules.yml") == _text("prometheus", "rules.yml")
    for key in re.findall(r"\.Values\.([A-Za-z0-9.]+)", templates + _text("helm", "syncline", "templates", "_names.tpl")):
        at = values
        for part in key.split("."):
            assert part in at, key
            at = at[part]


def test_the_image_exposes_its_ports_and_runs_as_nobody() -> None:
    dockerfile = _text("Dockerfile")
    (exposed,) = re.findall(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)
    assert [int(port) for port in exposed.split()] == [HTTP_PORT, PEERS_PORT, METRICS_PORT]
    assert re.search(r"^USER (?!0)\d+:\d+$", dockerfile, re.MULTILINE)
    assert f"http://127.0.0.1:{METRICS_PORT}/healthz" in dockerfile
    assert dockerfile.count("--require-hashes") == 2
    for name in re.findall(r"requirements/\w+\.txt", dockerfile):
        assert (ROOT / name).exists()
    (built,) = re.findall(r"^setuptools==(\S+)", (ROOT / "requirements" / "build.txt").read_text(), re.MULTILINE)
    assert f"setuptools=={built} " in (ROOT / "requirements" / "dev.txt").read_text()


def test_proxies_send_each_door_to_its_role() -> None:
    nginx = _text("compose", "nginx.conf")
    doors = dict(re.findall(r"location (?:= )?(\S+) \{\s+set \$\w+ (\w+);", nginx))
    assert doors == {"/v1/notifications/": "notify", "/content/": "content", "/s/": "content", "/": "gateway"}
    assert SOCKET_PATH.startswith("/v1/notifications/")
    assert carries_content("/content/x")
    ingress = _text("helm", "syncline", "templates", "ingress.yaml")
    paths = dict(re.findall(r"path: (\S+)\n.*\n.*\}\}-(\w+), port", ingress))
    assert paths == {"/v1/notifications": "notify", "/content": "content", "/s": "content", "/": "gateway"}


def _series() -> dict[str, set[str]]:
    """Every series that is told, and its labels."""
    found = dict[str, set[str]]()
    for metric in metrics.ALL:
        labels = set(metric.labels)
        if metric.bounds:
            found |= {f"{metric.name}_bucket": labels | {"le"}, f"{metric.name}_count": labels, f"{metric.name}_sum": labels}
        else:
            found[metric.name] = labels
    return found


def test_dashboards_and_alerts_name_metrics_and_labels_that_there_are() -> None:
    series, named = _series(), set[str]()
    for where, expression in _expressions():
        here = re.findall(r"\b(syncline_\w+)(?:\{([^}]*)\})?", expression)
        assert here or where == "SynclineDown" or "process_" in expression, where
        known = {"instance", "job"}.union(*(series.get(name, set()) for name, _ in here))
        for name, matchers in here:
            assert name in series, f"{where}: {name}"
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                assert label in series[name], f"{where}: {name} has no {label}"
            named.add(name)
        for labels in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", expression):
            assert {label.strip() for label in labels.split(",") if label.strip()} <= known, where
    told = {metric.name for metric in metrics.ALL}
    assert {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in named} >= told - {"syncline_task_failures_total"}


def test_panels_have_names_of_their_own_and_say_what_they_show() -> None:
    boards = dict(_dashboards())
    assert len({board["uid"] for board in boards.values()}) == len(boards) == 2
    for name, board in boards.items():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids) > 10, name
        assert all(panel["title"] and panel["description"] for panel in board["panels"])


def test_every_alert_is_explained() -> None:
    lines = _text("prometheus", "rules.yml").splitlines()
    page = (ROOT / "docs" / "operations" / "deploy.md").read_text()
    alerts = [index for index, line in enumerate(lines) if "- alert:" in line]
    assert len(alerts) >= 10
    for index in alerts:
        assert lines[index - 1].strip().startswith("# "), lines[index]
        assert f"`{lines[index].split()[-1]}`" in page
    documented = set(re.findall(r"`(Syncline[A-Za-z]+)`", page))
    assert documented == {lines[index].split()[-1] for index in alerts}


def test_keys_in_the_pages_are_keys() -> None:
    keys = {one.key for one in variables(ServerConfig)} | {"objects", "retention"}
    for page in ("metrics.md", "redis.md", "deploy.md"):
        for block in re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "operations" / page).read_text(), re.DOTALL):
            for key in _keys(tomllib.loads(block)):
                assert key in keys, (page, key)


def _keys(document: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_the_example_of_secrets_has_all_that_compose_wants() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", _text("compose", "scale.yaml")))
    given = {line.split("=")[0] for line in _text("compose", "scale.env.example").splitlines() if "=" in line and line[0] != "#"}
    assert wanted == given
