"""Agents written with trace_bridge itself: Modules, bundled functions, functions that use them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from trace_bridge.graph import Module, Node, Operator, Parameter
from trace_bridge.graph.code import code_digest
from trace_bridge.recording import Slot
from trace_bridge.recording.agent import AgentModule


class NativeModule(AgentModule[Any]):
    """A Module over a ``Module`` or a function, whose parameters read the overlay themselves."""

    framework = "trace_bridge"

    def __init__(self, agent: Module | Callable[..., object]) -> None:
        super().__init__(agent)
        self._module = agent if isinstance(agent, Module) else _FunctionModule(agent)

    def slots(self) -> Sequence[Slot]:
        """None: nothing lives in a framework's object."""
        return ()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The agent's own parameters, which go by their paths from now on."""
        for path, parameter in self._module.named_parameters():
            parameter.name = path
            yield path, parameter

    def default_paths(self) -> list[str]:
        """All of them: the user has marked them as trainable."""
        return [path for path, _ in self.named_parameters()]

    def run(self, example: Any) -> object:
        """Call the agent with the example's keys that it takes, or with the example itself."""
        if not isinstance(example, Mapping):
            return self._module(example)
        return self._module(**self.inputs(example))

    def inputs(self, example: Any) -> Mapping[str, object]:
        """The keys of the example that the agent has arguments for."""
        if not isinstance(example, Mapping):
            return {"input": example}
        given = cast("Mapping[str, object]", example)
        wanted = inspect.signature(self._function()).parameters.values()
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted):
            return given
        return {p.name: given[p.name] for p in wanted if p.name in given}

    def _function(self) -> Callable[..., object]:
        if isinstance(self._module, _FunctionModule):
            return self._module.function
        return self._module.forward

    def nothing_to_train(self) -> str:
        """Why there is no slot."""
        if not isinstance(self._module, _FunctionModule):
            return super().nothing_to_train()
        return (
            "it refers to no parameters. One that makes an agent must take nothing and be no"
            " coroutine: lambda: make(client)"
        )

    def fingerprint(self) -> Mapping[str, object]:
        """The agent's code."""
        is_function = isinstance(self._module, _FunctionModule)
        code = code_digest(self._function() if is_function else type(self._module))
        return {**super().fingerprint(), "code": code}

    def apply(self, state: Mapping[str, object]) -> None:
        """Make ``state`` the base values of the agent's parameters."""
        self._module.load_state_dict(state)

    def export(self, state: Mapping[str, object], format: str = "") -> object:  # noqa: A002
        """The values as Python source (see ``Module.export``)."""
        if format not in ("", "source") or isinstance(self._module, _FunctionModule):
            msg = (
                "a Module can be exported as format='source', a function has no form but its own:"
                " use run.apply(agent)"
            )
            raise ValueError(msg)
        with self._module.using(state):
            return self._module.export()


class _FunctionModule(Module):
    """A function, and the parameters, operators and modules that its code refers to."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        inner = function.function if isinstance(function, Operator) else inspect.unwrap(function)
        variables = inspect.getclosurevars(inner)
        found = {**variables.globals, **variables.nonlocals}
        self.uses: dict[str, object] = {
            name: value
            for name, value in found.items()
            if isinstance(value, (Node, Operator, Module))
        }

    def forward(self, *args: Any, **kwargs: Any) -> object:
        return self.function(*args, **kwargs)


def wrap_native(agent: object) -> AgentModule[Any] | None:
    """A Module over an agent that needs no plugin, or None."""
    if isinstance(agent, Module) or inspect.isroutine(agent) or isinstance(agent, Operator):
        return NativeModule(cast("Module | Callable[..., object]", agent))
    return None
