"""Values as JSON: what the journal keeps, and what its keys are made of."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring as _quoted
from typing import TypeAlias, cast

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # noise in a key
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


def jsonable(value: object, inside: tuple[int, ...] = ()) -> JSON:
    """``value`` as JSON; what has no JSON form becomes its ``str``, without memory addresses.

    ``inside`` has the ids of what holds ``value``: a container that holds itself ends there.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if id(value) in inside:
        return "..."
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(key): jsonable(item, inside) for key, item in pairs}
    if isinstance(value, (list, tuple)):
        return [jsonable(item, inside) for item in cast("list[object]", value)]
    if isinstance(value, (set, frozenset)):
        items = [jsonable(item, inside) for item in cast("set[object]", value)]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: jsonable(getattr(value, field.name), inside) for field in fields}
    if hasattr(type(value), "model_dump"):  # pydantic, which the core does not import
        dump = cast("Callable[..., object]", getattr(value, "model_dump"))  # noqa: B009
        try:
            return jsonable(dump(mode="json"), inside)
        except ValueError:  # there is something in it that pydantic does not know
            return jsonable(dump(), inside)
    if hasattr(type(value), "tolist"):  # numpy, whose text leaves out the middle of long arrays
        return jsonable(value.tolist(), inside)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType,reportUnknownArgumentType]
    bare = f"<{type(value).__qualname__}>"
    if type(value).__str__ is object.__str__ and type(value).__repr__ is object.__repr__:
        return bare
    try:
        return _ADDRESS.sub("", str(value))
    except Exception:  # noqa: BLE001 (a closed or half-made object of the user's: it has no text)
        return bare


def canonical(value: object) -> str:
    """``value`` as JSON text that is the same for equal values."""
    if type(value) is str:  # most are
        return _quoted(value)
    return _ENCODER.encode(jsonable(value))


def digest(*values: object) -> str:
    """A key for ``values``: 128 bits of SHA-256 over their canonical JSON, in hex."""
    import hashlib

    text = "\x1f".join(map(canonical, values))
    # a cut-off reply may end in half a character, which is no UTF-8
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
