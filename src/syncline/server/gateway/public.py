"""Routes: links, as whoever has one sees them. Nobody is signed in here.

A browser is given pages, a program that asks for `application/json` (or for `/meta`) facts. Whatever does not work answers 404,
one page or one problem for all; only a right token without its password is told so. Nothing here redirects anywhere but into this
server, or to the store that holds the bytes.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar import MediaType, Request, Response, get, post, put
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, URLEncodedBody

from syncline.model.entries import Kind
from syncline.model.errors import NotFound, SynclineError
from syncline.model.ids import is_ulid
from syncline.model.limits import DROP_FILE_MAX_BYTES, LINK_PASS_TTL_S
from syncline.protocol.changes import to_time
from syncline.protocol.links import Dropped, LinkedEntry, LinkKind, LinkMeta, PasswordForm
from syncline.server.content.headers import disposition_of
from syncline.server.gateway import failures
from syncline.server.gateway.services import LinkServices
from syncline.server.gateway.streamed import Streamed
from syncline.server.gateway.wire import Asked, whole
from syncline.server.links import pages
from syncline.server.links.forms import Form
from syncline.server.links.public import Key, LinkPassword, Look
from syncline.server.links.reaching import Visit
from syncline.server.links.zipped import name_of

_PROGRAMS: Final = re.compile(r"^/s/[^/]+/(meta$|uploads)")
"""Doors that no browser's page leads to: what they refuse is a problem document."""
PASS_COOKIE: Final = "syncline-link"
_DOWNLOAD_COOKIE: Final = "syncline-download-"
BARS: Final = {
    "content-security-policy": pages.POLICY,
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "private, no-store",
}
"""What every answer here bears: no script runs, no address leaks, no search engine keeps it."""
_JSON_CHALLENGE: Final = 'Basic realm="Syncline link", charset="UTF-8"'
_PAGE_CHALLENGE: Final = "Syncline-Link-Password"
"""A browser does not know this scheme, and shows the page with the form in place of a box of its own."""


def routes(services: LinkServices) -> Sequence[HTTPRouteHandler]:
    links, drops, zips = services.links, services.drops, services.zips
    public: dict[str, Any] = {"tags": ["links"], "security": [{}], "exception_handlers": {SynclineError: refused}}

    @get("/s/{token:str}", media_type=MediaType.HTML, **public)
    async def page(
        request: Asked, token: FromPath[str], path: FromQuery[str] = "", page: FromQuery[str | None] = None
    ) -> Response[bytes]:
        """A link's page: the file, the folder's entries, or the form to drop files. Facts, where JSON is asked for."""
        visit = await links.enter(token, key_of(request))
        if _wants_json(request):
            return _json(await _meta(token, visit, path, page))
        if visit.link.kind is LinkKind.DROP:
            return _html(pages.drop_page(token, visit.maker_name, None))
        look = await links.look(visit, path, page)
        return _html(pages.folder_page(token, look, page) if look.is_folder else pages.file_page(token, look))

    @post("/s/{token:str}", status_code=303, **public)
    async def unlock(request: Asked, token: FromPath[str], data: URLEncodedBody[PasswordForm]) -> Response[None]:
        """Gives a link its password: a cookie keeps for an hour that it was right."""
        passed = await links.unlock(token, Key(address=request.address, password=data.password))
        cookies = [_cookie(request, PASS_COOKIE, passed, f"/s/{token}")] if passed else []
        return Response(None, status_code=303, headers={**BARS, "location": f"/s/{quote(token, safe='')}"}, cookies=cookies)

    @get("/s/{token:str}/meta", **public)
    async def meta(
        request: Asked, token: FromPath[str], path: FromQuery[str] = "", page: FromQuery[str | None] = None
    ) -> Response[LinkMeta]:
        """What a link leads to, for programs; a folder's entries a page at a time."""
        return Response(await _meta(token, await links.enter(token, key_of(request)), path, page), headers=BARS)

    @get("/s/{token:str}/download", status_code=302, **public)
    async def download(request: Asked, token: FromPath[str], path: FromQuery[str] = "") -> Response[None]:
        """Redirects to a file's bytes, at a URL that holds for 15 minutes and honours Range. Counts as one download."""
        begun = await links.begin(token, key_of(request), path, passes=_passes(request), ranged="range" in request.headers)
        location = whole(begun.offer.url, request.base(services.public_url))
        name = _DOWNLOAD_COOKIE + begun.offer.content.node_id
        cookie = _cookie(request, name, begun.passed, f"/s/{token}/download")
        return Response(None, status_code=302, headers={**BARS, "location": location}, cookies=[cookie])

    @get("/s/{token:str}/zip", media_type="application/zip", **public)
    async def archive(request: Asked, token: FromPath[str], path: FromQuery[str] = "") -> Streamed:
        """A folder and everything in it as one ZIP file, streamed. Counts as one download."""
        visit = await links.enter(token, key_of(request))
        look = await links.find(visit, path)
        found = await zips.members(look)
        await links.count(visit)
        disposition = disposition_of(f"{name_of(look)}.zip", "application/zip", inline=False)
        return Streamed(zips.stream(look, found), "application/zip", {**BARS, "content-disposition": disposition})

    @post("/s/{token:str}/files", status_code=201, media_type=MediaType.HTML, **public)
    async def drop(request: Asked, token: FromPath[str]) -> Response[bytes]:
        """Drops files through a form (`multipart/form-data`), of any size and any number within the limits."""
        visit = drop_only(await links.enter(token, key_of(request)))
        form = Form(request.stream(), request.headers.get("content-type", ""))
        sent = [await drops.take(visit, one.name, one.content, _length(request)) async for one in form.files()]
        if _wants_json(request):
            return _json(Dropped(files=sent), status=201)
        return _html(pages.drop_page(token, visit.maker_name, sent), status=201)

    @put("/s/{token:str}/files/{name:str}", status_code=201, **public)
    async def put_file(request: Asked, token: FromPath[str], name: FromPath[str]) -> Response[Dropped]:
        """Drops one file whose bytes are the body: `curl -T FILE URL/files/`."""
        visit = drop_only(await links.enter(token, key_of(request)))
        sent = await drops.take(visit, name, request.stream(), _length(request))
        return Response(Dropped(files=[sent]), status_code=201, headers=BARS)

    async def _meta(token: str, visit: Visit, path: str, page: str | None) -> LinkMeta:
        expires = visit.link.expires_us
        told = None if expires is None else to_time(expires)
        if visit.link.kind is LinkKind.DROP:
            return LinkMeta(kind=LinkKind.DROP, expires=told, to=visit.maker_name or None, max_bytes=DROP_FILE_MAX_BYTES)
        return _described(token, await links.look(visit, path, page), told)

    return [page, unlock, meta, download, archive, drop, put_file]


def describe_links(paths: dict[str, Any]) -> None:
    """Adds to the OpenAPI document what routes cannot say: bodies that are read as they come, and answers in two forms."""
    page = {"text/html": {"schema": {"type": "string"}}}
    for path, item in paths.items():
        if path.startswith("/s/"):
            for operation in item.values():
                refused = operation["responses"]["default"]
                operation["responses"]["default"] = {**refused, "content": {**refused["content"], **page}}
    if "/s/{token}" not in paths:
        return
    paths["/s/{token}"]["get"]["responses"]["200"]["content"] |= {**page, **_json_of("LinkMeta")}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    form = {"schema": {"type": "object", "properties": {"file": files}, "required": ["file"]}}
    drop = paths["/s/{token}/files"]["post"]
    drop["requestBody"] = {"required": True, "content": {"multipart/form-data": form}}
    drop["responses"]["201"]["content"] |= {**page, **_json_of("Dropped")}
    raw = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    paths["/s/{token}/files/{name}"]["put"]["requestBody"] = {"required": True, "content": raw}
    paths["/s/{token}/zip"]["get"]["responses"]["200"]["content"] = {
        "application/zip": {"schema": {"type": "string", "format": "binary"}}
    }


def _json_of(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _described(token: str, look: Look, expires: Any) -> LinkMeta:
    path, entry = "/".join(look.names), look.entry
    query = f"?path={quote(path, safe='')}" if path else ""
    found = LinkMeta(
        kind=LinkKind.DOWNLOAD,
        name=entry.name if entry is not None else look.visit.name,
        path=path,
        node_kind=Kind.DIR if look.is_folder else Kind.FILE,
        expires=expires,
        download=f"/s/{token}/{'zip' if look.is_folder else 'download'}{query}",
    )
    if look.is_folder:
        found.next = look.next
        found.entries = [
            LinkedEntry(
                name=one.name,
                path=f"{path}/{one.name}" if path else one.name,
                kind=one.kind,
                size=one.size,
                modified=to_time(one.mtime_us if one.kind is Kind.FILE else one.time_us),
            )
            for one in look.children
        ]
    elif entry is not None:
        found.size, found.modified = entry.size, to_time(entry.mtime_us)
    return found


def refused(request: Request[Any, Any, Any], error: SynclineError) -> Response[Any]:
    """What went wrong, as a page or as a problem."""
    if _wants_json(request) or not _takes_pages(request):
        answer: Response[Any] = failures.respond(request, error)
    else:
        token = str(request.path_params.get("token", ""))
        answer = _html(_page_of(request, error, token), status=error.status)
        if "retry_after" in error.fields:
            answer.headers["retry-after"] = str(error.fields["retry_after"])
    answer.headers.update(BARS)
    if isinstance(error, LinkPassword):
        answer.headers["www-authenticate"] = _JSON_CHALLENGE if _wants_json(request) else _PAGE_CHALLENGE
    return answer


def _page_of(request: Request[Any, Any, Any], error: SynclineError, token: str) -> bytes:
    if isinstance(error, LinkPassword):
        return pages.password_page(token, f"{error.fields['reason']}." if request.method == "POST" else None)
    if isinstance(error, NotFound):
        return pages.gone_page()
    return pages.trouble_page("That did not work", str(error))


def _wants_json(request: Request[Any, Any, Any]) -> bool:
    accept = request.headers.get("accept", "")
    asked = "application/json" in accept or "application/problem+json" in accept
    is_programs_own = request.method == "PUT" or _PROGRAMS.search(request.scope["path"]) is not None
    return (asked and "text/html" not in accept) or is_programs_own


def _takes_pages(request: Request[Any, Any, Any]) -> bool:
    accept = request.headers.get("accept", "*/*")
    return "text/html" in accept or "*/*" in accept or "text/*" in accept


def key_of(request: Asked) -> Key:
    """The pass in the cookie, or the password of `Authorization: Basic`, whatever the name before it."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    password = None
    if scheme.lower() == "basic":
        try:
            password = b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except (Base64Error, ValueError):
            password = ""
    return Key(address=request.address, given=request.cookies.get(PASS_COOKIE), password=password)


def _passes(request: Asked) -> dict[str, str]:
    """The passes of downloads that this browser began, by node id."""
    found = {
        name.removeprefix(_DOWNLOAD_COOKIE): value for name, value in request.cookies.items() if name.startswith(_DOWNLOAD_COOKIE)
    }
    return {node: value for node, value in found.items() if is_ulid(node)}


def _cookie(request: Asked, name: str, value: str, path: str) -> Cookie:
    secure = request.scope["scheme"] == "https"
    return Cookie(key=name, value=value, path=path, max_age=LINK_PASS_TTL_S, httponly=True, samesite="lax", secure=secure)


def drop_only(visit: Visit) -> Visit:
    if visit.link.kind is not LinkKind.DROP:
        raise NotFound(what="This link")
    return visit


def _length(request: Asked) -> int:
    """The body's size, as far as it was said; the edge has checked that it is a number."""
    return int(request.headers.get("content-length", "0"))


def _html(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(body, status_code=status, headers=dict(BARS), media_type=MediaType.HTML)


def _json(document: Any, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(document), status_code=status, headers=dict(BARS), media_type=MediaType.JSON)
