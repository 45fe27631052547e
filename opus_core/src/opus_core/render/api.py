"""An OpenAPI document as chapters, for a page that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_METHODS: Final = ("get", "put", "post", "delete")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something that a request may carry; `place`: path, query, header or form."""

    name: str
    place: str
    kind: str  # its type, or the values there are
    description: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a request may be answered with."""

    status: str
    description: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    inputs: tuple[Input, ...]
    body: tuple[str, ...]  # the media types it may have
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """The operations of one tag."""

    name: str
    description: str
    operations: tuple[Operation, ...]


def chapters(document: Document) -> tuple[Chapter, ...]:
    """The operations of a document by their first tag, in the order in which it has them."""
    every = list(_operations(document))
    return tuple(
        Chapter(
            name=tag["name"],
            description=tag["description"],
            operations=tuple(one for first, one in every if first == tag["name"]),
        )
        for tag in document["tags"]
    )


def _operations(document: Document) -> Iterator[tuple[str, Operation]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                shared = item.get("parameters", ())
                yield item[method]["tags"][0], _operation(document, path, method, shared)


def _operation(document: Document, path: str, method: str, shared: Sequence[Document]) -> Operation:
    content = document["paths"][path][method]
    body = _resolved(document, content.get("requestBody", {})).get("content", {})
    inputs = [
        _input(document, _resolved(document, one))
        for one in (*shared, *content.get("parameters", ()))
    ]
    form: Document = next((one["schema"] for one in body.values()), {})
    return Operation(
        id=content["operationId"],
        method=method.upper(),
        path=path,
        summary=content["summary"],
        description=content.get("description", ""),
        inputs=(*inputs, *_fields(document, _resolved(document, form))),
        body=tuple(body),
        outcomes=tuple(
            _outcome(status, _resolved(document, one))
            for status, one in content["responses"].items()
        ),
    )


def _input(document: Document, content: Document) -> Input:
    return Input(
        name=content["name"],
        place=content["in"],
        kind=_kind(document, content["schema"]),
        description=content.get("description", ""),
        required=content.get("required", False),
    )


def _fields(document: Document, schema: Document) -> Iterator[Input]:
    for name, one in schema.get("properties", {}).items():
        yield Input(
            name=name,
            place="form",
            kind=_kind(document, one),
            description=_resolved(document, one).get("description", ""),
            required=name in schema.get("required", ()),
        )


def _kind(document: Document, schema: Document) -> str:
    """The type of a value, or the values that there are."""
    found = _resolved(document, schema)
    if "enum" in found:
        return " | ".join(found["enum"])
    if found.get("type") == "array":
        return f"any of {_kind(document, found['items'])}"
    kind = found.get("type", "any")
    return str(kind)


def _outcome(status: str, content: Document) -> Outcome:
    types = ("any type" if kind == "*/*" else kind for kind in content.get("content", {}))
    return Outcome(status=status, description=content["description"], types=tuple(types))


def _resolved(document: Document, content: Document) -> Document:
    """What a reference stands for; anything else as it is."""
    while "$ref" in content:
        found: Any = document
        for step in content["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        content = found
    return content
