"""Attributes that the user has named as slots."""

from __future__ import annotations

from trace_bridge import join_path, jsonable
from trace_bridge_autogen import spans
from trace_bridge_autogen.discovery import Found
from trace_bridge_autogen.slots import Place, as_it_is, is_text, replaced


def holds(owner: object, name: str) -> bool:
    """Whether an object (or its class, for all) holds an attribute, which nothing computes."""
    if name in getattr(owner, "__dict__", {}):
        return True
    return hasattr(type(owner), name) and not hasattr(getattr(type(owner), name), "__get__")


def attribute_of(item: Found, name: str) -> Place:
    """A place that the user has named: an attribute of one of the agents.

    Raises:
        LookupError: it holds no such attribute, or it is a property.
        TypeError: it holds something that is neither JSON nor a system message.
    """
    path = "/".join(item.owners)
    if not holds(item.value, name):
        msg = f"{path} holds no {name!r}; it holds: {', '.join(vars(item.value))}"
        raise LookupError(msg)
    held = getattr(item.value, name)
    decode, encode = spans.codec_of(held) or (as_it_is, replaced)
    value = decode(held)
    if jsonable(value) != value:
        msg = (
            f"{name!r} of {path} holds a {type(held).__qualname__}: texts, numbers, lists and dicts"
            " of these and system messages can be trained"
        )
        raise TypeError(msg)
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else "value"
    return Place(
        join_path(item.owners, name.lstrip("_")), item.value, name,
        "prompt" if isinstance(value, str) else kind, decode, encode, reader="text",
        check=is_text if isinstance(value, str) else None,
    )  # fmt: skip
