"""What the objects of an agent consist of, and shallow copies of them with other parts.

One table serves discovery (walk over parts), candidates (copy what leads to a change), and
``apply`` (write a part in place).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.vectorstores import VectorStore
from pydantic import BaseModel

from trace_bridge_langchain import functions

_ATOMS = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType)
_LEAVES = (BaseLanguageModel, Embeddings, VectorStore)  # they hold clients, and no parameters
_FRAMEWORK = ("langchain", "langgraph")
_INSTALLED = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")
)


def is_users(value: object) -> bool:
    """Whether a function or class is the user's own, and not installed."""
    if isinstance(value, types.FunctionType) and _is_installed(value.__code__.co_filename):
        return False  # whatever functools.wraps has made it say of itself
    return _is_users(getattr(value, "__module__", None) or "")


@functools.lru_cache(maxsize=1024)
def _is_users(module: str) -> bool:
    if module not in sys.modules:  # loaded from a file by hand
        return bool(module)
    file = getattr(sys.modules[module], "__file__", None)
    if file is None:  # typed into a shell; or written in C
        return module == "__main__"
    return not _is_installed(file)


@functools.lru_cache(maxsize=1024)
def _is_installed(file: str) -> bool:
    return str(Path(file).resolve()).startswith(_INSTALLED)


def _is_framework(kind: type) -> bool:
    return kind.__module__.partition(".")[0].startswith(_FRAMEWORK)


def parts(value: object) -> dict[str, object]:
    """The named parts of ``value`` that could hold, or lead to, something trainable."""
    if isinstance(value, (*_ATOMS, *_LEAVES)):
        return {}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(key): item for key, item in pairs}
    if isinstance(value, (list, tuple)):
        return {str(index): item for index, item in enumerate(cast("list[object]", value))}
    if isinstance(value, types.FunctionType):
        return functions.referred(value, globals_too=is_users(value))
    if isinstance(value, types.MethodType):
        return {"self": value.__self__, "func": value.__func__}
    if isinstance(value, functools.partial):
        given = {f"args.{i}": item for i, item in enumerate(value.args)}
        named = {f"keywords.{name}": item for name, item in value.keywords.items()}
        return {"func": value.func, **given, **named, **vars(value)}
    if isinstance(value, BaseModel):
        held = {**vars(value), **(value.__pydantic_private__ or {})}
        return {**_of_class(type(value)), **held}
    kind = type(value)
    known = isinstance(value, Runnable) or _is_framework(kind) or dataclasses.is_dataclass(kind)
    if known or is_users(kind):
        return _attributes(value)
    return {}


def _attributes(value: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else cast("tuple[str, ...]", slots):
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    found.update(_of_class(type(value)))
    cached = _cached_properties(type(value))
    held = cast("dict[str, object]", getattr(value, "__dict__", {}))
    found.update((name, item) for name, item in held.items() if name not in cached)
    return found


def _of_class(kind: type) -> dict[str, object]:
    """What an object has of the user's own classes: methods, texts, prompts."""
    found: dict[str, object] = {}
    for base in reversed(kind.__mro__):
        if not is_users(base):
            continue
        for name, item in vars(base).items():
            if name.startswith("__") and name != "__call__":
                continue
            if isinstance(item, types.FunctionType) or not hasattr(item, "__get__"):
                found[name] = item
    return found


@functools.lru_cache(maxsize=1024)
def _cached_properties(kind: type) -> frozenset[str]:
    """Attributes that are worked out from others: a copy works them out again."""
    return frozenset(
        name
        for base in kind.__mro__
        for name, item in vars(base).items()
        if isinstance(item, functools.cached_property)
    )


def shell(value: object, names: Mapping[str, object], *, live: bool = True) -> Any:
    """A shallow copy of ``value`` into which the parts ``names`` may be written.

    None for what has to be made whole (tuples, partials and bound methods): see ``whole``.
    """
    if isinstance(value, (tuple, functools.partial, types.MethodType)):
        return None
    if isinstance(value, types.FunctionType):
        return functions.clone(value, names, live=live)
    if isinstance(value, BaseModel):
        return value.model_copy()
    made = copy.copy(value)
    for name in _cached_properties(type(value)):
        getattr(made, "__dict__", {}).pop(name, None)
    return made


def whole(value: Any, changes: Mapping[str, object]) -> Any:
    """A tuple, partial or bound method like ``value``, with other parts."""
    if isinstance(value, types.MethodType):
        function = cast("Callable[..., object]", changes.get("func", value.__func__))
        return types.MethodType(function, changes.get("self", value.__self__))
    if isinstance(value, functools.partial):
        made = functools.partial(
            cast("Callable[..., object]", changes.get("func", value.func)),
            *[changes.get(f"args.{i}", item) for i, item in enumerate(value.args)],
            **{n: changes.get(f"keywords.{n}", v) for n, v in value.keywords.items()},
        )
        vars(made).update({name: changes.get(name, v) for name, v in vars(value).items()})
        return made
    items = [changes.get(str(index), item) for index, item in enumerate(value)]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def write(owner: Any, name: str, value: object) -> None:
    """Write the part ``name`` of ``owner``, in place and, but for tools, past all validation."""
    if isinstance(owner, types.FunctionType):
        functions.change(owner, name, value)
    elif isinstance(owner, functools.partial):
        owner.keywords[name.removeprefix("keywords.")] = value
    elif isinstance(owner, dict):
        held = cast("dict[Any, object]", owner)
        held[next((key for key in held if str(key) == name), name)] = value
    elif isinstance(owner, list):
        cast("list[object]", owner)[int(name)] = value
    elif name in (getattr(owner, "__pydantic_private__", None) or {}):
        owner.__pydantic_private__[name] = value
    elif isinstance(owner, BaseTool) and name in type(owner).model_fields:
        setattr(owner, name, value)  # which forgets what was told of it to models before
    elif name in getattr(owner, "__dict__", {}):
        vars(owner)[name] = value
    elif isinstance(getattr(type(owner), name, None), types.FunctionType):
        object.__setattr__(owner, "__class__", _with_method(type(owner), name, value))
    else:
        object.__setattr__(owner, name, value)


def _with_method(kind: type, name: str, method: object) -> type:
    """A class like ``kind`` with another method, for one object: Python looks some up there."""
    body: dict[str, object] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    if not issubclass(kind, BaseModel):
        body["__slots__"] = ()  # or an object could not be made one of it
    make: Any = type(kind)
    return make(kind.__name__, (kind,), {**body, name: method})
