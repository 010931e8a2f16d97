"""Light copies of DSPy programs: what could be trained is copied, everything else is shared.

``Module.deepcopy`` copies language models and indexes too, and where something cannot be copied, a
tool that is a method keeps pointing at the original module (DSPy 3.0 to 3.4).
"""

from __future__ import annotations

import functools
import types
from typing import Any, cast

import dspy

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
        if id(value) in self.made:
            return self.made[id(value)]
        if isinstance(value, dspy.Module):
            return self._module(value)
        if isinstance(value, dspy.Tool):
            return self._tool(value)
        if isinstance(value, types.MethodType):
            owner = self.copy(value.__self__)
            return value if owner is value.__self__ else types.MethodType(value.__func__, owner)
        if type(value) is functools.partial:
            function = self.copy(value.func)
            if function is value.func:
                return value
            return functools.partial(function, *value.args, **value.keywords)
        if type(value) in (list, tuple, dict) and len(value) <= LARGEST:
            return self._container(value)
        return value

    def _module(self, module: dspy.Module) -> dspy.Module:
        kind = type(module)
        new = self.made[id(module)] = kind.__new__(kind)
        state = vars(new)
        for name, value in vars(module).items():
            state[name] = self.copy(value)
        for name in _OWN_LISTS:
            if isinstance(state.get(name), list):
                state[name] = list(state[name])
        if "history" in state:
            state["history"] = []
        return new

    def _tool(self, tool: dspy.Tool) -> dspy.Tool:
        new = self.made[id(tool)] = tool.model_copy()
        new.func = self.copy(tool.func)
        return new

    def _container(self, value: Any) -> Any:
        if id(value) in self._open:  # a container that holds itself is shared
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
