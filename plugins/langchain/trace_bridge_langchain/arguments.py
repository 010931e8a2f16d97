"""What a tool's schema tells of its arguments, and of the fields inside them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeAlias, cast, get_args

from langchain_core.utils.json_schema import dereference_refs
from pydantic import (
    AfterValidator,
    BaseModel,
    PydanticUserError,
    WithJsonSchema,
    create_model,
)

Schema: TypeAlias = "dict[str, Any]"  # JSON schema

_ATOMS = (str, int, float, bool, type(None))
_NAMED = frozenset(("$defs", "definitions"))  # where others are that a schema refers to
_OPTIONS = ("anyOf", "oneOf", "allOf", "prefixItems")


def _same(value: object) -> object:
    return value


# Pydantic notes what follows on the schema of this step, and not on that of the user's class, where
# all who use the class would see it.
_FRESH = AfterValidator(_same)


def described(schema: Schema, above: str = "") -> Iterator[tuple[str, Schema]]:
    """The fields with a description in a JSON schema without references.

    Their names are those that lead to them (``trip.stops.city``); of the models in a union, and of
    other models in one field, the second and more have their numbers in them (``shape.2.side``).
    """
    for name, field in schema.get("properties", {}).items():
        if isinstance(field, dict):
            held = cast("Schema", field)
            if isinstance(held.get("description"), str):
                yield above + name, held
            for number, inner in enumerate(_objects(held), 1):
                at = f"{above}{name}." if number == 1 else f"{above}{name}.{number}."
                yield from described(inner, at)


def _objects(field: Schema) -> Iterator[Schema]:
    """The schemas of objects that a field may hold, itself or in a list or a dict."""
    if "properties" in field:
        yield field
        return
    options = [option for key in _OPTIONS for option in field.get(key) or ()]
    for part in (field.get("items"), field.get("additionalProperties"), *options):
        if isinstance(part, dict):
            yield from _objects(cast("Schema", part))


def descriptions(schema: Any) -> dict[str, str]:
    """The descriptions in a tool's schema, by name as in ``described``.

    Args:
        schema: a pydantic class, or (of tools of MCP servers) JSON schema.
    """
    names = () if isinstance(schema, dict) else getattr(schema, "model_fields", ())
    held = [_plain(schema)] if isinstance(schema, dict) else [_field(schema, n) for n in names]
    return {name: field["description"] for one in held for name, field in described(one)}


def description_of(name: str, schema: Any) -> str:
    """The description of one field."""
    return dict(described(_around(name, schema)))[name]["description"]


def with_description(name: str, schema: Any, text: str) -> Any:
    """A schema with another description of one field; validation stays what it is."""
    shown = _around(name, schema)
    dict(described(shown))[name]["description"] = text
    if isinstance(schema, dict):
        return shown
    first = name.partition(".")[0]
    changed = copy.copy(schema.model_fields[first])
    if first == name:
        changed.description = text
    else:
        changed.metadata = [
            *(m for m in changed.metadata if not (m is _FRESH or isinstance(m, WithJsonSchema))),
            _FRESH,
            WithJsonSchema(shown["properties"][first]),
        ]
    fields: dict[str, Any] = {first: (changed.annotation, changed)}
    return create_model(
        schema.__name__, __base__=schema, __doc__=schema.__doc__, __module__=schema.__module__,
        **fields,
    )  # fmt: skip


def _around(name: str, schema: Any) -> Schema:
    """JSON schema, without references, with the field of that name and perhaps others."""
    return _plain(schema) if isinstance(schema, dict) else _field(schema, name.partition(".")[0])


def _field(schema: type[BaseModel], name: str) -> Schema:
    """JSON schema with one of the fields; without it if it has none, so that no model sees it."""
    field = schema.model_fields[name]
    if _is_flat(field.annotation):  # as most are; asking pydantic takes thirty times as long
        return {"properties": {name: {"description": field.description}}}
    # in a model of its own, under a name that nothing warns of
    fields: dict[str, Any] = {"value": (field.annotation, field)}
    try:
        found = _plain(create_model(schema.__name__, **fields).model_json_schema())
    except PydanticUserError:
        return {}
    [held] = found["properties"].values()  # by its alias, if it has one
    held.pop("title", None)
    return {"properties": {name: held}}


def _is_flat(annotation: Any) -> bool:
    """Whether nothing can be inside of what is annotated so."""
    inner = get_args(annotation)
    return annotation in _ATOMS or (bool(inner) and all(_is_flat(kind) for kind in inner))


def _plain(schema: Schema) -> Schema:
    return dereference_refs(schema) if _NAMED & schema.keys() else copy.deepcopy(schema)
