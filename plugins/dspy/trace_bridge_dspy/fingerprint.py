"""What determines a program's outputs besides its parameters: code, structure, models, versions."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dspy

from trace_bridge import digest, jsonable
from trace_bridge_dspy import versions
from trace_bridge_dspy.layout import Layout
from trace_bridge_dspy.slots import signature_of

_SECRET = re.compile(r"key|token|secret|password|credential|header", re.IGNORECASE)
_LOOPBACK = re.compile(r"^\w+://(localhost|127\.|\[::1\]|0\.0\.0\.0)")
_RANDOM = ("stage", "_compiled")  # of a module: differ between processes, or say nothing


def fingerprint(layout: Layout, models: Sequence[object]) -> dict[str, Any]:
    """The same in each process, while none of it changes; no secrets, no addresses."""
    from trace_bridge_dspy import __version__

    adapter = dspy.settings.adapter
    return {
        "dspy": versions.dspy_version(),
        "plugin": __version__,
        "structure": _structure(layout),
        "code": _code(layout, adapter),
        "adapter": None if adapter is None else [type(adapter).__qualname__, _plain(vars(adapter))],
        "models": [_model(model) for model in models],
    }


def _structure(layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in layout.walk.found:
        value = item.value
        about: dict[str, Any] = {"class": type(value).__qualname__}
        if isinstance(value, dspy.Predict):
            signature = signature_of(value)
            about["fields"] = {
                name: str(field.annotation) for name, field in signature.fields.items()
            }
            about["config"] = _plain(value.config)
            about["signature"] = signature.signature
            if item.frozen:
                about["state"] = digest({**value.dump_state(), "lm": None})
        elif isinstance(value, dspy.Tool):
            about["args"] = jsonable(value.args)
        else:
            about["values"] = _plain(vars(value))
        found[layout.sites[id(value)].op] = about
    return found


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among ``values`` that have a JSON form of their own."""
    return {
        name: value
        for name, value in values.items()
        if name not in _RANDOM
        and not _SECRET.search(name)
        and (value is None or isinstance(value, (bool, int, float, str)))
    }


def _code(layout: Layout, adapter: object) -> dict[str, str]:
    """Digests of the user's classes and functions by name."""
    found: dict[str, str] = {}
    objects = [item.value for item in layout.walk.found]
    if adapter is not None:
        objects.append(adapter)
    for value in objects:
        for kind in type(value).__mro__:
            if kind.__module__.partition(".")[0] not in ("dspy", "builtins", "pydantic", "abc"):
                found[f"{kind.__module__}.{kind.__qualname__}"] = _source(kind)
        function = getattr(value, "func", None) if isinstance(value, dspy.Tool) else None
        function = getattr(function, "__func__", function)
        if isinstance(function, types.FunctionType):
            found[_name(function)] = _source(function)
    found.update({_name(function): _source(function) for function in layout.walk.functions})
    return found


def _name(function: types.FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _source(value: Any) -> str:
    try:
        return digest(inspect.getsource(value))
    except (OSError, TypeError):  # made by exec, or in a session without files
        return digest(*_bytes(value))


def _bytes(value: Any) -> list[str]:
    if isinstance(value, types.FunctionType):
        return _code_texts(value.__code__)
    methods = [item for item in vars(value).values() if isinstance(item, types.FunctionType)]
    return [text for method in methods for text in (method.__name__, *_code_texts(method.__code__))]


def _code_texts(code: types.CodeType) -> list[str]:
    """Instructions, names and constants, without the addresses that nested code's repr shows."""
    texts = [code.co_code.hex(), repr(code.co_names)]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            texts += _code_texts(constant)
        elif isinstance(constant, frozenset):  # in an order of its own in each process
            texts.append(repr(sorted(map(repr, cast("frozenset[object]", constant)))))
        else:
            texts.append(repr(constant))
    return texts


def _model(model: Any) -> dict[str, Any]:
    """Name and settings; a server on this machine has another port each time."""
    settings = jsonable(_without_secrets(dict(getattr(model, "kwargs", {}))))
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return {"class": kind, "model": str(getattr(model, "model", "")), "settings": settings}


def _without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in settings.items()
        if not (_SECRET.search(name) and name not in ("max_tokens", "max_completion_tokens"))
        and not (isinstance(value, str) and _LOOPBACK.match(value))
    }
