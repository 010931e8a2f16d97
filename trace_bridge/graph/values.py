"""Values as JSON: what the journal keeps, and what its keys are made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TypeAlias, cast

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # noise in a key
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


def jsonable(value: object) -> JSON:
    """``value`` as JSON; what has no JSON form becomes its ``str``, without memory addresses."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(key): jsonable(item) for key, item in pairs}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in cast("list[object]", value)]
    if isinstance(value, (set, frozenset)):
        items = [jsonable(item) for item in cast("set[object]", value)]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if hasattr(type(value), "model_dump"):  # pydantic, which the core does not import
        return jsonable(value.model_dump(mode="json"))  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType,reportUnknownArgumentType]
    if hasattr(type(value), "tolist"):  # numpy, whose text leaves out the middle of long arrays
        return jsonable(value.tolist())  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType,reportUnknownArgumentType]
    if type(value).__str__ is object.__str__ and type(value).__repr__ is object.__repr__:
        return f"<{type(value).__qualname__}>"
    return _ADDRESS.sub("", str(value))


def canonical(value: object) -> str:
    """``value`` as JSON text that is the same for equal values."""
    return json.dumps(jsonable(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(*values: object) -> str:
    """A key for ``values``: 128 bits of SHA-256 over their canonical JSON, in hex."""
    text = "\x1f".join(map(canonical, values))
    # a cut-off reply may end in half a character, which is no UTF-8
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
