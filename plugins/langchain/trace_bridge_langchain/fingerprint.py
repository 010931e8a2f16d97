"""What determines an agent's outputs besides its parameters: code, structure, models."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from pydantic import SecretStr

from trace_bridge import code_digest, jsonable
from trace_bridge_langchain.layout import Layout
from trace_bridge_langchain.parts import is_users, parts

_SECRET = re.compile(r"key|token|secret|password|credential|header|organization", re.IGNORECASE)
_COUNTS = ("max_tokens", "max_completion_tokens")
_LOOPBACK = re.compile(r"^\w+://(localhost|127\.|\[::1\]|0\.0\.0\.0)")


def fingerprint(layout: Layout) -> dict[str, Any]:
    """The same in each process, while none of it changes; no secrets, no addresses."""
    from trace_bridge_langchain import __version__

    slots = {(id(place.owner), place.attribute) for place in layout.places}
    found = [item for item in layout.walk.found.values() if not isinstance(item.value, _DATA)]
    users = [item.value for item in found if isinstance(item.value, types.FunctionType)]
    users += [type(item.value) for item in found]
    structure = [
        ["/".join(item.owners), type(item.value).__qualname__, _settings(item.value, slots)]
        for item in found
    ]
    return {
        "plugin": __version__,
        "structure": structure,
        "code": code_digest(*(value for value in users if is_users(value))),
    }


_DATA = (dict, list, tuple)


def _settings(value: object, slots: set[tuple[int, str]]) -> dict[str, Any]:
    """The plain attributes of an object that are no slots."""
    if isinstance(value, types.FunctionType):
        return {}
    is_model = isinstance(value, BaseLanguageModel)
    held: Mapping[str, object] = vars(value) if is_model else parts(value)
    return {
        name: jsonable(item)
        for name, item in held.items()
        if (item is None or isinstance(item, (bool, int, float, str)))
        and (id(value), name) not in slots
        and not isinstance(item, SecretStr)
        and (name in _COUNTS or not _SECRET.search(name))
        and not (isinstance(item, str) and _LOOPBACK.match(item))
    }
