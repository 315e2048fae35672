"""The description of the doors: OpenAPI 3.1, drawn from the routes, and the same as a page for people.

The page is plain HTML without scripts, so it works on a server that has no way to the internet.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Router
from litestar.datastructures import ResponseHeader
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from syncline.protocol.blocks import StoredBlock
from syncline.server.gateway.openapi_exact import tell_exactly
from syncline.server.gateway.public import describe_links

_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_REFS: Final = "#/components/schemas/{name}"
_PROBLEM_SCHEMA: Final = {"$ref": _REFS.format(name="Problem")}
_PROBLEM: Final = {
    "description": "A problem (RFC 9457); `code` is stable.",
    "content": {"application/problem+json": {"schema": _PROBLEM_SCHEMA}},
}


class Problem(msgspec.Struct, kw_only=True):
    """A problem document (RFC 9457). Codes bring fields of their own beside these."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retryable: bool
    request_id: str
    retry_after: float | None = None


class PagePlugin(OpenAPIRenderPlugin):
    """Shows the page instead of one of Litestar's, which load scripts from elsewhere."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return as_page(request.app)


def description(version: str) -> OpenAPIConfig:
    """What Litestar is told of the document; the page is at `/docs`."""
    policy = ResponseHeader(name="content-security-policy", value=_PAGE_POLICY)
    return OpenAPIConfig(
        title="Syncline",
        version=version,
        description="Your files on all your devices, on storage you own.",
        use_handler_docstrings=True,
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}),
        security=[{"token": []}],
        render_plugins=[PagePlugin(path="/")],
        openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, response_headers=[policy]),
    )


@lru_cache(maxsize=4)
def as_schema(app: Litestar) -> bytes:
    """The OpenAPI document in JSON."""
    return msgspec.json.encode(_document(app))


@lru_cache(maxsize=4)
def as_page(app: Litestar) -> bytes:
    """The OpenAPI document as HTML."""
    document = _document(app)
    rows = [
        _operation(path, method, item[method])
        for path, item in sorted(document["paths"].items())
        for method in _METHODS
        if method in item
    ]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    title = escape(document["info"]["title"])
    return _PAGE.format(title=title, operations="\n".join(rows), schemas="\n".join(schemas)).encode()


def _document(app: Litestar) -> dict[str, Any]:
    document = app.openapi_schema.to_schema()
    # Litestar draws every struct as an object; msgspec knows which ones cross the wire as arrays.
    _, exact = msgspec.json.schema_components((StoredBlock, Problem), ref_template=_REFS)
    document["components"]["schemas"] |= exact
    for item in document["paths"].values():
        for method in _METHODS:
            if method in item:
                responses = item[method]["responses"]
                responses.pop("400", None)
                responses["default"] = _PROBLEM
    describe_links(document["paths"])
    tell_exactly(document)
    return document


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parameters = ", ".join(
        f"<code>{escape(parameter['name'])}</code>{'' if parameter.get('required') else '?'}"
        for parameter in operation.get("parameters", ())
    )
    body = _first_schema(operation.get("requestBody", {}))
    answer = next((_first_schema(one) for code, one in operation["responses"].items() if code.startswith("2")), "")
    return (
        f"<section><h3><b>{method.upper()}</b> <code>{escape(path)}</code></h3><p>{escape(operation.get('description', ''))}</p>"
        f"<p class=facts>{f'with {parameters} ' if parameters else ''}{f'body {body} ' if body else ''}"
        f"{f'→ {answer}' if answer else ''}</p></section>"
    )


def _first_schema(part: dict[str, Any]) -> str:
    for content in part.get("content", {}).values():
        return _type(content.get("schema", {}))
    return ""


def _schema(name: str, schema: dict[str, Any]) -> str:
    fields = "".join(
        f"<li><code>{escape(field)}</code>{'' if field in schema.get('required', ()) else '?'} {_type(one)}</li>"
        for field, one in schema.get("properties", {}).items()
    )
    text = escape(schema.get("description", ""))
    return f"<section id='{escape(name)}'><h3>{escape(name)}</h3><p>{text}</p><ul>{fields}</ul></section>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rsplit("/", 1)[-1])
        return f"<a href='#{name}'>{name}</a>"
    if "oneOf" in schema or "anyOf" in schema:
        return " or ".join(_type(one) for one in schema.get("oneOf", schema.get("anyOf", ())))
    if schema.get("type") == "array" and "items" in schema:
        return f"[{_type(schema['items'])}]" if isinstance(schema["items"], dict) else "array"
    kind = schema.get("type", "any")
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }}
h3 {{ margin-bottom: 0; font-weight: 500; }} h3 b {{ display: inline-block; min-width: 4.5rem; color: #0b62c4; }}
section {{ border-top: 1px solid #dde3ea; }} p {{ margin: .3rem 0; }} .facts {{ color: #55626f; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14191f; color: #d8dee6; }} a, h3 b {{ color: #7db8ff; }} }}
</style></head><body>
<h1>{title}</h1><p>The same as a machine reads it: <a href="/openapi.json">openapi.json</a>.</p>
<h2>Doors</h2>
{operations}
<h2>Structures</h2>
{schemas}
</body></html>
"""
