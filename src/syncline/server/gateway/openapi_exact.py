"""What routes cannot say of themselves in the OpenAPI document: the form of ids, and which answer's ids the next call takes.

Forms are told of what is sent, never of what is answered: a batch answers an entry of another form under what was sent for it.
"""

from __future__ import annotations

from typing import Any, Final

from syncline.model.ids import ULID_CHARS

_ULID: Final = {"pattern": f"^[0-7][0-9A-HJKMNP-TV-Z]{{{ULID_CHARS - 1}}}$"}
_DIGEST: Final = {"pattern": "^[0-9a-f]{64}$"}
_TOKEN: Final = {"pattern": "^[0-9A-Za-z_-]{48}$"}
_ULID_NAMES: Final = (
    *("actor", "changeset", "device", "device_id", "file", "file_id", "folder", "link_id", "namespace", "node_id", "node_ids"),
    *("pack_ids", "parent_folder_id", "parent_id", "share", "to_namespace", "to_parent_id", "upload", "upload_id"),
)
_FORMS: Final = {
    **dict.fromkeys(_ULID_NAMES, _ULID),
    **dict.fromkeys(("block_list", "blocks", "content_hash", "hash", "hashes", "sha256"), _DIGEST),
    "token": _TOKEN,
}

_FILE: Final = "$response.body#/entry/node_id"
_BEGUN: Final = "$response.body#/files/0/uploadId"
_LINKS: Final[dict[str, tuple[tuple[str, dict[str, str]], ...]]] = {
    "post /v1/folders": (
        ("get /v1/folders/{folder}/children", {"folder": _FILE}),
        ("get /v1/metadata", {"node_id": _FILE}),
        ("get /v1/files/{file}/changes", {"file": _FILE}),
        ("get /v1/files/{file}/share", {"file": _FILE}),
        ("post /v1/files/{file}/share", {"file": _FILE}),
        ("get /v1/retention", {"node_id": _FILE}),
    ),
    "get /v1/metadata": (
        ("get /v1/files/metadata", {"file_id": _FILE}),
        ("get /v1/files/{file}/versions", {"file": _FILE}),
        ("post /v1/files/{file}/restore", {"file": _FILE}),
        ("get /v1/files/{file}/download", {"file": _FILE}),
        ("get /v1/files/{file}/manifest", {"file": _FILE}),
        ("get /v1/links", {"node_id": _FILE}),
    ),
    "post /v1/files/commit": (("get /v1/changes", {"cursor": "$response.body#/cursor"}),),
    "post /v1/files/upload": (
        ("get /v1/uploads/{upload}", {"upload": _BEGUN}),
        ("get /v1/uploads/{upload}/parts", {"upload": _BEGUN}),
        ("patch /v1/uploads/{upload}/parts", {"upload": _BEGUN}),
        ("post /v1/uploads/{upload}/complete", {"upload": _BEGUN}),
        ("delete /v1/uploads/{upload}", {"upload": _BEGUN}),
    ),
    "post /v1/uploads/{upload}/complete": (
        ("get /v1/files/metadata", {"file_id": "$response.body#/file_id"}),
        ("get /v1/files/{file}/download", {"file": "$response.body#/file_id"}),
    ),
    "post /v1/files/{file}/share": (
        ("get /v1/files/{file}/share", {"file": "$response.body#/node_id"}),
        ("delete /v1/files/{file}/share", {"file": "$response.body#/node_id"}),
    ),
    "get /v1/shared": tuple(
        (f"post /v1/shares/{{share}}/{word}", {"share": f"$response.body#/{where}/0/namespace"})
        for word, where in (
            *(("accept", "invitations"), ("decline", "invitations")),
            *(("mount", "folders"), ("unmount", "folders"), ("leave", "folders")),
        )
    ),
    "post /v1/links": (
        ("patch /v1/links/{link_id}", {"link_id": "$response.body#/link_id"}),
        ("delete /v1/links/{link_id}", {"link_id": "$response.body#/link_id"}),
        *(
            (f"{door}", {"token": "$response.body#/token"})
            for door in (
                *("get /s/{token}", "get /s/{token}/meta", "get /s/{token}/download", "get /s/{token}/zip"),
                *("post /s/{token}/files", "post /s/{token}/uploads"),
            )
        ),
    ),
    "post /s/{token}/uploads": tuple(
        (door, {"token": "$request.path.token", "upload": _BEGUN})
        for door in (
            *("get /s/{token}/uploads/{upload}", "get /s/{token}/uploads/{upload}/parts"),
            *("post /s/{token}/uploads/{upload}/complete", "delete /s/{token}/uploads/{upload}"),
        )
    ),
    "get /v1/changes": (("get /v1/changes", {"cursor": "$response.body#/cursor"}),),
    "get /v1/changes/latest": (("get /v1/changes", {"cursor": "$response.body#/cursor"}),),
    "get /v1/snapshot": (("get /v1/changes", {"cursor": "$response.body#/cursor"}),),
    "get /v1/trash": (("get /v1/files/{file}/versions", {"file": "$response.body#/entries/0/node_id"}),),
}
"""Answer → calls that go on from it, and where their parameters stand in it."""


def tell_exactly(document: dict[str, Any]) -> None:
    """Adds the forms and the links, in place."""
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                _form(parameter["name"], parameter["schema"])
    schemas = document["components"]["schemas"]
    for name in _sent(document):
        for field, schema in schemas[name].get("properties", {}).items():
            _form(field, schema)
    for source, targets in _LINKS.items():
        if not _stands(document, source):
            continue
        operation = _operation(document, source)
        good = next(status for status in operation["responses"] if status.startswith("2"))
        links = operation["responses"][good].setdefault("links", {})
        for target, parameters in targets:
            if not _stands(document, target):
                continue
            name = _operation(document, target)["operationId"]
            links[name] = {"operationId": name, "parameters": parameters}


def _stands(document: dict[str, Any], door: str) -> bool:
    """Whether this process has the door: not every role has all of them."""
    method, _, path = door.partition(" ")
    return method in document["paths"].get(path, ())


def _operation(document: dict[str, Any], door: str) -> dict[str, Any]:
    method, _, path = door.partition(" ")
    found: dict[str, Any] = document["paths"][path][method]
    return found


def _form(name: str, schema: dict[str, Any]) -> None:
    """Tells the form of the texts in a schema that stands under this name."""
    form = _FORMS.get(name)
    if form is None:
        return
    for part in (schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        texts = part.get("items", {}) if part.get("type") == "array" else part
        if texts.get("type") == "string":
            texts |= form


def _sent(document: dict[str, Any]) -> set[str]:
    """The names of schemas that bodies of requests are made of, and of no answer."""
    bodies, answers = set[str](), set[str]()
    for item in document["paths"].values():
        for operation in item.values():
            _refs(operation.get("requestBody", {}), document, bodies)
            _refs(operation["responses"], document, answers)
    return bodies - answers


def _refs(part: Any, document: dict[str, Any], found: set[str]) -> None:
    if isinstance(part, list):
        for one in part:
            _refs(one, document, found)
    elif isinstance(part, dict):
        for key, one in part.items():
            if key != "$ref":
                _refs(one, document, found)
            elif (name := str(one).rsplit("/", 1)[-1]) not in found:
                found.add(name)
                _refs(document["components"]["schemas"][name], document, found)
