"""Light copies of DSPy programs: what could be trained is copied, everything else is shared.

``Module.deepcopy`` copies language models and indexes too, and where something cannot be copied, a
tool that is a method keeps pointing at the original module (DSPy 3.0 to 3.4).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, cast

import dspy

from trace_bridge import in_place_of

LARGEST = 1000  # a container with more items is data (a corpus), and is shared without a look

# Lists that DSPy itself appends to while a module runs.
_OWN_LISTS = ("demos", "traces", "train", "callbacks")


class LightCopy:
    """One copy of a program; ``made`` maps the identity of an original to its copy."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}
        self._open: set[int] = set()

    def find(self, original: object) -> Any:
        """The copy of ``original``, or None if no copy was made of it."""
        return self.made.get(id(original))

    def copy(self, value: Any) -> Any:
        """``value``, or a copy of it if a module or tool is in it."""
        other = in_place_of(value)
        if other is not None:
            return other
        how = _how(type(value))
        if how is None:
            return value
        if id(value) in self.made:
            return self.made[id(value)]
        return how(self, value)

    def module(self, module: dspy.Module) -> dspy.Module:
        """A copy of a module, with copies of what it holds."""
        kind = type(module)
        new = self.made[id(module)] = kind.__new__(kind)
        state = vars(new)
        for name, value in vars(module).items():
            if name in _OWN_LISTS:  # no modules in them, and a history is long
                state[name] = list(value) if isinstance(value, list) else value
            else:
                state[name] = [] if name == "history" else self.copy(value)
        return new

    def tool(self, tool: dspy.Tool) -> dspy.Tool:
        """A copy of a tool, bound to the copy if it is a method."""
        new = self.made[id(tool)] = tool.model_copy()
        new.func = self.copy(tool.func)
        return new

    def method(self, value: types.MethodType) -> types.MethodType:
        """A method, bound to the copy of its module."""
        owner = self.copy(value.__self__)
        return value if owner is value.__self__ else types.MethodType(value.__func__, owner)

    def partial(self, value: functools.partial[Any]) -> functools.partial[Any]:
        """A partial of a method, bound to the copy of its module."""
        function = self.copy(value.func)
        if function is value.func:
            return value
        return functools.partial(function, *value.args, **value.keywords)

    def container(self, value: Any) -> Any:
        """A list, tuple or dict with copies of the modules in it, or itself if there are none."""
        # a container that holds itself is shared
        if not value or len(value) > LARGEST or id(value) in self._open:
            return value
        self._open.add(id(value))
        try:
            if isinstance(value, dict):
                pairs = cast("dict[object, object]", value)
                new: Any = {key: self.copy(item) for key, item in pairs.items()}
                changed = any(new[key] is not item for key, item in pairs.items())
            else:
                items = cast("list[object]", value)
                new = type(value)(self.copy(item) for item in items)
                changed = any(a is not b for a, b in zip(new, items, strict=True))
        finally:
            self._open.discard(id(value))
        if changed:
            self.made[id(value)] = new  # two attributes that share a list still do
        return new if changed else value


@functools.lru_cache(maxsize=4096)  # asking pydantic's classes is slow, and types repeat
def _how(kind: type) -> Callable[[LightCopy, Any], Any] | None:
    """How a value of that type is copied; None means that it is shared."""
    if issubclass(kind, dspy.Module):
        return LightCopy.module
    if issubclass(kind, dspy.Tool):
        return LightCopy.tool
    if kind in (list, tuple, dict):
        return LightCopy.container
    if kind is types.MethodType:
        return LightCopy.method
    return LightCopy.partial if kind is functools.partial else None
