"""Making, listing, changing and revoking links."""

from __future__ import annotations

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_links.visitors import BROWSER, NOBODY, file, folder, link, rows, visited

from syncline.model.limits import LINKS_PER_PERSON_MAX


async def test_a_link_is_made_by_id_or_by_path_and_told_once(server: RunningServer, ann: SignedIn) -> None:
    trip = await folder(ann, "Trip")
    plan = await file(ann, "plan.pdf", parent=trip)
    made = await link(ann, plan)
    assert made["url"] == f"{server.url}/s/{made['token']}"
    assert (made["kind"], made["name"], made["path"], made["node_id"]) == ("download", "plan.pdf", "/Trip/plan.pdf", plan)
    status, by_path = await ann.post("/v1/links", {"path": "/Trip/plan.pdf"})
    assert (status, by_path["node_id"]) == (201, plan)
    assert by_path["token"] != made["token"]
    status, listed = await ann.get("/v1/links")
    assert status == 200
    assert [one["link_id"] for one in listed["links"]] == [made["link_id"], by_path["link_id"]]
    assert all("token" not in one and "url" not in one for one in listed["links"])
    stored = rows(server, "SELECT token_hash, password_hash FROM links")
    assert all(made["token"].encode() not in (hashed or b"") for hashed, _ in stored)


async def test_a_list_comes_in_pages_and_by_node(ann: SignedIn) -> None:
    first, second = await file(ann, "a"), await file(ann, "b")
    made = [await link(ann, first), await link(ann, second), await link(ann, first)]
    status, page = await ann.get("/v1/links", limit=2)
    assert (status, [one["link_id"] for one in page["links"]]) == (200, [made[0]["link_id"], made[1]["link_id"]])
    status, rest = await ann.get("/v1/links", limit=2, cursor=page["cursor"])
    assert [one["link_id"] for one in rest["links"]] == [made[2]["link_id"]]
    assert rest["cursor"] is None
    status, of_node = await ann.get("/v1/links", node_id=first)
    assert [one["link_id"] for one in of_node["links"]] == [made[0]["link_id"], made[2]["link_id"]]


async def test_a_link_is_changed_by_its_maker(server: RunningServer, ann: SignedIn) -> None:
    made = await link(ann, await file(ann, "a"), password="one", downloads_max=3, expires="2099-01-01T00:00:00Z")
    door = f"/v1/links/{made['link_id']}"
    assert made["has_password"] is True
    status, answer = await ann.call("PATCH", door, {"downloads_max": 5})
    assert (status, answer["downloads_max"], answer["has_password"]) == (200, 5, True)
    assert answer["expires"].startswith("2099-01-01T00:00:00")
    status, answer = await ann.call("PATCH", door, {"password": None, "expires": None, "downloads_max": None})
    assert status == 200
    assert not {"has_password", "expires", "downloads_max"} & set(answer)
    assert (await visited(server, f"/s/{made['token']}", **BROWSER)).status == 200


async def test_revoking_ends_a_link_at_once(server: RunningServer, ann: SignedIn) -> None:
    made = await link(ann, await file(ann, "a"))
    assert (await ann.call("DELETE", f"/v1/links/{made['link_id']}"))[0] == 204
    assert (await visited(server, f"/s/{made['token']}")).status == 404
    assert (await ann.call("DELETE", f"/v1/links/{made['link_id']}"))[0] == 404
    assert (await ann.get("/v1/links"))[1]["links"] == []


async def test_others_links_and_nodes_are_not_found(ann: SignedIn, bob: SignedIn) -> None:
    node = await file(ann, "a")
    made = await link(ann, node)
    door = f"/v1/links/{made['link_id']}"
    assert (await bob.post("/v1/links", {"node_id": node}))[0] == 404
    assert (await bob.post("/v1/links", {"path": "/a"}))[0] == 404
    assert (await bob.post("/v1/links", {"path": "/a", "namespace": ann.root}))[0] == 404
    assert (await bob.call("PATCH", door, {"password": "mine"}))[0] == 404
    assert (await bob.call("DELETE", door))[0] == 404
    assert (await bob.get("/v1/links", node_id=node))[0] == 404
    assert (await bob.get("/v1/links"))[1]["links"] == []


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({}, 400),
        ({"path": "/a", "node_id": NOBODY}, 400),
        ({"path": "/none"}, 404),
        ({"node_id": NOBODY}, 404),
        ({"path": "/"}, 400),
        ({"path": "/a", "kind": "drop"}, 400),
        ({"path": "/a", "kind": "upload"}, 400),
        ({"path": "/a", "expires": "2001-01-01T00:00:00Z"}, 400),
        ({"path": "/a", "expires": "2099-01-01T00:00:00"}, 400),
        ({"path": "/a", "downloads_max": 0}, 400),
        ({"path": "/a", "password": ""}, 400),
        ({"path": "/a", "password": "p" * 2000}, 413),
    ],
)
async def test_what_cannot_be_linked_is_refused(ann: SignedIn, wrong: dict[str, object], status: int) -> None:
    await file(ann, "a")
    assert (await ann.post("/v1/links", wrong))[0] == status


async def test_links_a_person_are_bounded(server: RunningServer, ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LINKS_PER_PERSON_MAX > 1
    monkeypatch.setattr("syncline.server.links.links.LINKS_PER_PERSON_MAX", 1)
    node = await file(ann, "a")
    await link(ann, node)
    status, answer = await ann.post("/v1/links", {"node_id": node})
    assert (status, answer["code"]) == (413, "limit.exceeded")
