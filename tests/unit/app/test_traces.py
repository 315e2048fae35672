"""One request followed through gateway, metadata and database, as a collector is told of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.server import RunningServer, running_server, split_server
from tests.unit.server_gateway.nodes import create_folder, fresh_id

from syncline.app.config import load
from syncline.model.errors import InvalidRequest
from syncline.testing.services.otlp import collecting

Server = Callable[..., AbstractAsyncContextManager[RunningServer]]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize("server_of", [running_server, split_server])
async def test_a_request_is_followed_through_its_rooms(tmp_path: Path, server_of: Server) -> None:
    """In one process, and through two: a gateway, and what it asks over gRPC."""
    file = tmp_path / "server.toml"
    async with collecting() as collector:
        # Nothing is followed but what says that it is followed already.
        file.write_text(f'[telemetry]\nendpoint = "{collector.url}"\nsample = 0.0\n')
        async with server_of(tmp_path, file=file) as server:
            ann = await server.newcomer()
            body = {"namespace": ann.root, "changes": [create_folder(ann.root, "secret-plan")]}
            headers = {"idempotency-key": fresh_id(), "traceparent": f"00-{TRACE}-{PARENT}-01"}
            assert (await ann.post("/v1/files/commit", body, headers=headers))[0] == 200
            headers["idempotency-key"] = fresh_id()
            status, problem = await ann.post(
                "/v1/files/commit", body | {"changes": [create_folder(ann.root, "secret-plan")]}, headers=headers
            )
            assert status == 409
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    served, refused = collector.named("POST /v1/files/commit")
    assert served.parent_span_id.hex() == PARENT
    commit, failed = collector.named("metadata.commit")
    above = {span.span_id: span for span in collector.spans}.get(commit.parent_span_id)
    assert above is not None
    if server_of is split_server:
        assert above.name == "peers.metadata.call"
        assert above.parent_span_id == served.span_id
    else:
        assert above.span_id == served.span_id
    (*_, transaction) = [span for span in collector.named("database.write") if span.parent_span_id == commit.span_id]
    assert served.start_time_unix_nano <= commit.start_time_unix_nano <= transaction.start_time_unix_nano
    assert transaction.end_time_unix_nano <= commit.end_time_unix_nano <= served.end_time_unix_nano
    assert (failed.status.code, failed.status.message) == (2, problem["code"])
    facts = {one.key: one.value.string_value for one in refused.attributes}
    assert facts == {"http.response.status_code": "409", "syncline.request_id": problem["request_id"]}
    assert collector.resources[0]["service.name"] == "syncline"
    told = "".join(map(str, collector.spans))
    for secret in ("secret-plan", ann.access_token, "ann@example.org", ann.device_id):
        assert secret not in told


async def test_a_collector_that_is_away_costs_no_request(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[telemetry]\nendpoint = "http://127.0.0.1:9"\nsample = 1.0\n')
    async with running_server(tmp_path, file=file) as server:
        ann = await server.newcomer()
        assert (await ann.get("/v1/namespaces"))[0] == 200


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[telemetry]\nendpoint = "collector:4318"', "telemetry.endpoint"),
        ("[telemetry]\nsample = 2.0", "telemetry.sample"),
        ('metrics_listen = "9484"', "metrics_listen"),
        ('log_format = "xml"', "log_format"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=named.replace(".", r"\.")):
        load(tmp_path, None, file)
