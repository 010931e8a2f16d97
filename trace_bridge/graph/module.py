"""Modules: agents with parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

from trace_bridge.graph import context, paths
from trace_bridge.graph.bundle import Operator
from trace_bridge.graph.node import Parameter


class Module:
    """An agent: ``forward`` does the work, and parameters are found in its attributes.

    Parameters may be held directly, in lists, tuples and dicts, in sub-modules and as trainable
    methods; each is found once, under the first path that leads to it.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; subclasses define it."""
        msg = f"{type(self).__name__} does not define forward"
        raise NotImplementedError(msg)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``."""
        return self.forward(*args, **kwargs)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, each once, in order of definition.

        Raises:
            ValueError: if a path would lead to two parameters (keys ``1`` and ``"1"`` of a dict).
        """
        taken: set[str] = set()
        for owners, slot, parameter in _walk(self, (), set()):
            path = paths.join_path(owners, slot)
            if path in taken:
                msg = f"two parameters would go by the path {path}: rename the key of one of them"
                raise ValueError(msg)
            taken.add(path)
            parameter.go_by(path, len(owners))
            yield path, parameter

    def parameters(self) -> list[Parameter]:
        """All parameters, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, object]:
        """The current values by path: a candidate. All values are JSON values."""
        return {path: parameter.peek() for path, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Make ``state`` the base values, all or none of them.

        Raises:
            LookupError: for a path that this module does not have.
            ValueError: for a value that its parameter refuses.
        """
        chosen = self.resolve(state)
        for parameter, value in chosen.items():
            parameter.set(value)

    def using(self, state: Mapping[str, object]) -> AbstractContextManager[None]:
        """Let ``state`` be the current values in this thread or task only, until exit.

        Raises:
            LookupError: for a path that this module does not have.
            ValueError: for a value that its parameter refuses.
        """
        return context.overlaid(self.resolve(state))

    def resolve(self, state: Mapping[str, object]) -> dict[Parameter, object]:
        """``state`` by parameter instead of by path, checked; raises as ``using`` does."""
        known = dict(self.named_parameters())
        unknown = [path for path in state if path not in known]
        if unknown:
            msg = f"no parameter {', '.join(unknown)}; there are: {', '.join(known) or 'none'}"
            raise LookupError(msg)
        for path, value in state.items():
            reason = known[path].refusal(value) if value != known[path].base else None
            if reason:
                msg = f"{path}: {reason}"
                raise ValueError(msg)
        return {known[path]: value for path, value in state.items()}


_Found = tuple[tuple[str, ...], str, Parameter]


def _walk(value: object, owners: tuple[str, ...], seen: set[int]) -> Iterator[_Found]:
    """Parameters below ``value``, which ``owners`` lead to."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Parameter):
        yield owners[:-1], owners[-1], value
    elif isinstance(value, Operator):
        operator = cast("Operator[..., object]", value)
        if operator.parameter is not None:
            yield owners, "code", operator.parameter
    elif isinstance(value, Module):
        for name, item in _attributes(value):
            yield from _walk(item, (*owners, name), seen)
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            yield from _walk(item, (*owners, str(key)), seen)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _walk(item, (*owners, str(index)), seen)


def _attributes(module: Module) -> Iterator[tuple[str, object]]:
    """The instance's attributes, and its class's operators bound to it."""
    yield from [(name, item) for name, item in vars(module).items() if not name.startswith("<")]
    for name in dir(type(module)):
        with contextlib.suppress(AttributeError):
            if isinstance(getattr(type(module), name), Operator):
                yield name, getattr(module, name)
