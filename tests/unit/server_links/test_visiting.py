"""Links as whoever has one sees them: pages, facts, passwords, and the one answer to all that do not work."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.nodes import commit
from tests.unit.server_links.visitors import BROWSER, NOBODY, PROGRAM, bytes_of, file, folder, link, run_sql, visited

from syncline.adapters.machine import MachineChance
from syncline.model.limits import LINK_PAGE
from syncline.server.accounts.attempts import ATTEMPTS_AT_ONCE
from syncline.server.links.tokens import fresh_token

BARS = {
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "private, no-store",
    "x-content-type-options": "nosniff",
}


class Page(HTMLParser):
    """The tags and attributes of a page, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def hrefs(self) -> list[str]:
        return [str(attrs["href"]) for tag, attrs in self.tags if tag == "a"]


def barred(headers: Any) -> bool:
    found = {name.lower(): value for name, value in headers.items()}
    policy = found.get("content-security-policy", "")
    return all(found.get(name) == value for name, value in BARS.items()) and "default-src 'none'" in policy


async def test_a_file_has_a_page_with_its_name_size_and_date(server: RunningServer, ann: SignedIn) -> None:
    made = await link(ann, await file(ann, "plan.txt", b"x" * 2500))
    answer = await visited(server, f"/s/{made['token']}", **BROWSER)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert barred(answer.headers)
    page = Page(answer.text)
    assert "plan.txt" in page.text
    assert "2.5 KB" in page.text
    assert "2026-01-02 03:04 UTC" in page.text
    assert page.hrefs() == [f"/s/{made['token']}/download"]
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "img", "link", "object")]
    assert await bytes_of(server, page.hrefs()[0]) == b"x" * 2500


async def test_a_file_has_facts_for_programs(server: RunningServer, ann: SignedIn) -> None:
    made = await link(ann, await file(ann, "plan.txt", b"x" * 2500), expires="2099-01-01T00:00:00Z")
    meta = await visited(server, f"/s/{made['token']}/meta")
    assert meta.status == 200
    assert barred(meta.headers)
    facts = json.loads(meta.body)
    assert facts == {
        "kind": "download",
        "name": "plan.txt",
        "path": "",
        "node_kind": "file",
        "size": 2500,
        "modified": "2026-01-02T03:04:05Z",
        "expires": "2099-01-01T00:00:00Z",
        "download": f"/s/{made['token']}/download",
    }
    same = await visited(server, f"/s/{made['token']}", **PROGRAM)
    assert json.loads(same.body) == facts


async def test_a_folder_is_walked_into_and_nowhere_else(server: RunningServer, ann: SignedIn) -> None:
    top = await folder(ann, "Trip")
    below = await folder(ann, "Day & night", top)
    await file(ann, "a.txt", b"first", top)
    await file(ann, "b #1?.txt", b"second", below)
    await file(ann, "secret.txt", b"third")
    token = (await link(ann, top))["token"]
    page = Page((await visited(server, f"/s/{token}", **BROWSER)).text)
    inner = f"/s/{token}?path={quote('Day & night')}"
    assert inner in page.hrefs()
    assert f"/s/{token}?path=a.txt" in page.hrefs()
    page = Page((await visited(server, inner, **BROWSER)).text)
    assert f"/s/{token}" in page.hrefs()
    deep = f"/s/{token}?path={quote('Day & night/b #1?.txt', safe='')}"
    assert deep in page.hrefs()
    page = Page((await visited(server, deep, **BROWSER)).text)
    assert await bytes_of(server, page.hrefs()[-1]) == b"second"
    meta = json.loads((await visited(server, f"/s/{token}/meta?path={quote('Day & night')}")).body)
    assert [(one["name"], one["path"], one["kind"]) for one in meta["entries"]] == [("b #1?.txt", "Day & night/b #1?.txt", "file")]
    for astray in ("..", "../secret.txt", "secret.txt", "/../Trip", "a.txt/x", "%00", "Day & night/../../secret.txt"):
        assert (await visited(server, f"/s/{token}/meta?path={quote(astray)}")).status == 404, astray
        assert (await visited(server, f"/s/{token}/download?path={quote(astray)}")).status == 404, astray


async def test_a_long_folder_comes_in_pages(server: RunningServer, ann: SignedIn) -> None:
    top = await folder(ann, "Many")
    from tests.unit.server_gateway.nodes import create_folder

    names = [f"{number:04}" for number in range(LINK_PAGE + 5)]
    status, answer = await commit(ann, *(create_folder(top, name) for name in names))
    assert status == 200, answer
    token = (await link(ann, top))["token"]
    found, query = [], ""
    for _ in range(3):
        meta = json.loads((await visited(server, f"/s/{token}/meta{query}")).body)
        found += [one["name"] for one in meta["entries"]]
        if "next" not in meta:
            break
        query = f"?page={quote(meta['next'])}"
    assert found == names
    page = Page((await visited(server, f"/s/{token}", **BROWSER)).text)
    following = next(one for one in page.hrefs() if "page=" in one)
    assert names[-1] in Page((await visited(server, following, **BROWSER)).text).text
    assert (await visited(server, f"/s/{token}/meta?page=%21")).status == 404


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)",
        '"><img src=x onerror=alert(1)>',
        "'-alert(1)-'",
        "&lt;b&gt;{title}{0}",
        "javascript:alert(1)",
        "\u202egnp.exe",
    ],
)
async def test_no_name_breaks_out_of_a_page(server: RunningServer, ann: SignedIn, name: str) -> None:
    top = await folder(ann, name)
    await file(ann, name, b"x", top)
    token = (await link(ann, top))["token"]
    for query in ("", f"?path={quote(name, safe='')}"):
        answer = await visited(server, f"/s/{token}{query}", **BROWSER)
        assert answer.status == 200
        page = Page(answer.text)
        assert name in page.text
        assert not [tag for tag, attrs in page.tags if tag in ("script", "img", "b") or any(key.startswith("on") for key in attrs)]
        assert all(href.startswith(f"/s/{token}") for href in page.hrefs())


async def gone(server: RunningServer, token: str) -> tuple[bytes, Any]:
    """What a link answers that does not work, at each of its doors."""
    page = await visited(server, f"/s/{token}", **BROWSER)
    assert page.status == 404
    assert barred(page.headers)
    for door in ("/meta", "/download", "/zip"):
        assert (await visited(server, f"/s/{token}{door}")).status == 404
    assert (await visited(server, f"/s/{token}", "POST", data={"password": "x"})).status == 404
    assert (await visited(server, f"/s/{token}/files/x", "PUT", data=b"x")).status == 404
    problem = json.loads((await visited(server, f"/s/{token}/meta")).body)
    problem.pop("request_id")
    return page.body, problem


async def test_whatever_does_not_work_answers_the_same(server: RunningServer, ann: SignedIn) -> None:
    """A token that never was, one of no form, a revoked, an expired and a used-up link, one whose file is deleted: all alike."""
    never = fresh_token(ann.root, MachineChance())  # type: ignore[arg-type]
    wanted = await gone(server, never)
    revoked = await link(ann, await file(ann, "revoked"), password="p")
    assert (await ann.call("DELETE", f"/v1/links/{revoked['link_id']}"))[0] == 204
    expired = await link(ann, await file(ann, "expired"), password="p", expires="2099-01-01T00:00:00Z")
    run_sql(server, "UPDATE links SET expires_us = 1 WHERE link_id = ?", expired["link_id"])
    used_up = await link(ann, await file(ann, "used up"), downloads_max=1)
    assert (await visited(server, f"/s/{used_up['token']}/download")).status == 302
    deleted_node = await file(ann, "deleted")
    deleted = await link(ann, deleted_node)
    assert (await commit(ann, {"op": "delete", "node_id": deleted_node, "base_revision": 1}))[0] == 200
    for token in (
        revoked["token"],
        expired["token"],
        used_up["token"],
        deleted["token"],
        "x",
        "A" * 48,
        never[:-1] + "!",
        "%C3%A9" * 8,
    ):
        assert await gone(server, token) == wanted, token
    assert re.search("does not work any more", wanted[0].decode())


async def test_a_link_follows_its_node(server: RunningServer, ann: SignedIn) -> None:
    node, other = await file(ann, "before.txt", b"bytes"), await folder(ann, "Elsewhere")
    token = (await link(ann, node))["token"]
    move = {"op": "move", "node_id": node, "base_revision": 1, "parent_id": other, "name": "after.txt"}
    assert (await commit(ann, move))[0] == 200
    assert json.loads((await visited(server, f"/s/{token}/meta")).body)["name"] == "after.txt"
    assert await bytes_of(server, f"/s/{token}/download") == b"bytes"
    assert (await commit(ann, {"op": "delete", "node_id": other, "recursive": True, "subtree_as_of": 100}))[0] == 200
    assert (await visited(server, f"/s/{token}")).status == 404
    assert (await commit(ann, {"op": "undelete", "node_id": other, "recursive": True}))[0] == 200
    assert (await visited(server, f"/s/{token}")).status == 200


async def test_a_link_stays_when_its_folder_becomes_a_shared_one(server: RunningServer, ann: SignedIn, bob: SignedIn) -> None:
    top = await folder(ann, "Trip")
    node = await file(ann, "plan.txt", b"bytes", top)
    of_folder, of_file = await link(ann, top), await link(ann, node)
    drop = await link(ann, top, kind="drop")
    users = [{"email": "bob@example.org", "access": "read"}]
    assert (await ann.post(f"/v1/files/{top}/share", {"users": users}))[0] == 200
    assert json.loads((await visited(server, f"/s/{of_folder['token']}/meta")).body)["entries"][0]["name"] == "plan.txt"
    assert await bytes_of(server, f"/s/{of_folder['token']}/download?path=plan.txt") == b"bytes"
    assert await bytes_of(server, f"/s/{of_file['token']}/download") == b"bytes"
    assert (await visited(server, f"/s/{drop['token']}/files/new.txt", "PUT", data=b"x")).status == 201
    # A member who may only read makes no links of it, and sees none of the owner's; the owner may end a member's.
    assert (await bob.post(f"/v1/shares/{top}/accept", {}))[0] == 200
    assert (await bob.post("/v1/links", {"node_id": node}))[0] == 403
    assert (await bob.get("/v1/links", node_id=node))[1]["links"] == []
    users = [{"email": "bob@example.org", "access": "write"}]
    assert (await ann.post(f"/v1/files/{top}/share", {"users": users}))[0] == 200
    made = await link(bob, node)
    assert await bytes_of(server, f"/s/{made['token']}/download") == b"bytes"
    assert made["link_id"] in {one["link_id"] for one in (await ann.get("/v1/links", node_id=node))[1]["links"]}
    assert (await ann.call("DELETE", f"/v1/files/{top}/share", params={"email": "bob@example.org"}))[0] == 200
    assert (await visited(server, f"/s/{made['token']}")).status == 404
    assert (await ann.call("DELETE", f"/v1/links/{made['link_id']}"))[0] == 204


async def test_a_link_ends_with_its_makers_access(server: RunningServer, ann: SignedIn) -> None:
    token = (await link(ann, await file(ann, "a", b"bytes")))["token"]
    begun = await visited(server, f"/s/{token}/download")
    run_sql(server, "UPDATE users SET disabled = 1 WHERE user_id = ?", ann.user_id)
    assert (await visited(server, f"/s/{token}")).status == 404
    assert (await visited(server, begun.headers["Location"])).status == 404
    run_sql(server, "UPDATE users SET disabled = 0 WHERE user_id = ?", ann.user_id)
    assert (await visited(server, f"/s/{token}")).status == 200
    run_sql(server, "DELETE FROM members WHERE user_id = ?", ann.user_id)
    assert (await visited(server, f"/s/{token}")).status == 404
    assert (await visited(server, begun.headers["Location"])).status == 404


# -- Passwords -------------------------------------------------------------------------------------------------------------------


async def test_a_password_is_asked_for_and_kept_for_an_hour(server: RunningServer, ann: SignedIn) -> None:
    token = (await link(ann, await file(ann, "a", b"bytes"), password="open sesame"))["token"]
    door = f"/s/{token}"
    asked = await visited(server, door, **BROWSER)
    assert asked.status == 401
    assert "Basic" not in asked.headers["WWW-Authenticate"]
    assert [tag for tag, attrs in Page(asked.text).tags if attrs.get("type") == "password"]
    for closed in ("/meta", "/download", "/zip"):
        problem = await visited(server, door + closed, **PROGRAM)
        assert (problem.status, json.loads(problem.body)["code"]) == (401, "link.password")
        assert problem.headers["WWW-Authenticate"].startswith("Basic")
    wrong = await visited(server, door, "POST", data={"password": "open"}, **BROWSER)
    assert (wrong.status, wrong.cookies) == (401, {})
    assert "not the password" in wrong.text
    right = await visited(server, door, "POST", data={"password": "open sesame"}, **BROWSER)
    assert (right.status, right.headers["Location"]) == (303, door)
    crumbs = right.headers["Set-Cookie"].lower()
    assert all(part in crumbs for part in (f"path={door.lower()}", "httponly", "samesite=lax", "max-age=3600"))
    assert (await visited(server, door, cookies=right.cookies, **BROWSER)).status == 200
    assert (await visited(server, door + "/download", cookies=right.cookies)).status == 302
    forged = {name: value[:-1] + ("A" if value[-1] != "A" else "B") for name, value in right.cookies.items()}
    assert (await visited(server, door, cookies=forged)).status == 401
    later = {name: f"9{value}" for name, value in right.cookies.items()}
    assert (await visited(server, door, cookies=later)).status == 401


async def test_a_pass_is_for_one_link_and_one_password(server: RunningServer, ann: SignedIn) -> None:
    node = await file(ann, "a")
    first, second = await link(ann, node, password="same"), await link(ann, node, password="same")
    right = await visited(server, f"/s/{first['token']}", "POST", data={"password": "same"})
    assert (await visited(server, f"/s/{second['token']}", cookies=right.cookies)).status == 401
    assert (await ann.call("PATCH", f"/v1/links/{first['link_id']}", {"password": "other"}))[0] == 200
    assert (await visited(server, f"/s/{first['token']}", cookies=right.cookies)).status == 401


async def test_programs_send_the_password_with_each_request(server: RunningServer, ann: SignedIn) -> None:
    token = (await link(ann, await file(ann, "a", b"bytes"), password="öpen"))["token"]

    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()

    assert await bytes_of(server, f"/s/{token}/download", authorization=basic("öpen")) == b"bytes"
    assert (await visited(server, f"/s/{token}/meta", authorization=basic("open"))).status == 401
    assert (await visited(server, f"/s/{token}/meta", authorization="Basic %%%")).status == 401


async def test_guessing_is_slowed_down_and_says_nothing(server: RunningServer, ann: SignedIn) -> None:
    token = (await link(ann, await file(ann, "a"), password="right"))["token"]
    tries = [visited(server, f"/s/{token}", "POST", data={"password": str(number)}) for number in range(ATTEMPTS_AT_ONCE + 4)]
    statuses = [answer.status for answer in await asyncio.gather(*tries)]
    assert statuses.count(401) == ATTEMPTS_AT_ONCE
    assert statuses.count(429) == 4
    late = await visited(server, f"/s/{token}", "POST", data={"password": "right"}, **BROWSER)
    assert late.status == 429
    assert int(late.headers["Retry-After"]) > 0


async def test_a_link_without_password_takes_any(server: RunningServer, ann: SignedIn) -> None:
    token = (await link(ann, await file(ann, "a")))["token"]
    answer = await visited(server, f"/s/{token}", "POST", data={"password": "whatever"})
    assert (answer.status, answer.cookies) == (303, {})
    assert (await visited(server, f"/s/{token}", "POST", data={"word": "x"})).status == 400


async def test_ids_of_nodes_lead_nowhere(server: RunningServer, ann: SignedIn) -> None:
    assert (await visited(server, f"/s/{NOBODY}")).status == 404
    assert (await visited(server, f"/s/{ann.root}/meta")).status == 404
