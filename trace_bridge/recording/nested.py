"""A Module over an agent with agents of other frameworks in it: all their parameters as one."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from trace_bridge.graph import JSON, Parameter, paths
from trace_bridge.graph.code import code_digest
from trace_bridge.recording.agent import AgentModule
from trace_bridge.recording.nesting import Child, NestedRun, copying
from trace_bridge.recording.routes import Routes, Substitution
from trace_bridge.recording.slot import Slot


class NestedModule(AgentModule[Any]):
    """Runs the outer agent, and whatever it calls of the children with their current values.

    Args:
        outer: the Module of the agent itself.
        children: the agents in it, those that are deeper later.
        routes: how they were found.
        nest: finds the children of another Module of the same kind.
    """

    def __init__(
        self, outer: AgentModule[Any], children: Sequence[Child], routes: Routes,
        nest: Callable[[AgentModule[Any]], AgentModule[Any]],
    ) -> None:  # fmt: skip
        super().__init__(outer.agent)
        self._outer = outer
        self._children = tuple(children)
        self._routes = routes
        self._nest = nest
        self._paths: list[dict[str, str]] = []  # of each child: ours by its own
        taken = dict(outer.named_parameters())
        for child in self._children:
            ours: dict[str, str] = {}
            for path, parameter in child.module.named_parameters():
                ours[path] = parameter.name = paths.below(child.owners, path)
                taken[parameter.name] = parameter
            self._paths.append(ours)
        self._known = taken

    @property
    def framework(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the outer agent."""
        return self._outer.framework

    @property
    def outer(self) -> AgentModule[Any]:
        """The Module of the agent itself."""
        return self._outer

    def inner(
        self, agent: object, state: Mapping[str, object]
    ) -> tuple[AgentModule[Any], Mapping[str, object]] | None:
        """The Module over ``agent``, one of the children, and its part of ``state``."""
        parts = self._parts(state)
        for child, part in zip(self._children, parts, strict=True):
            if child.module.agent is agent:
                return child.module, part
        return None

    def slots(self) -> Sequence[Slot]:
        """All of them, by their paths here."""
        found = list(self._outer.slots())
        for child, ours in zip(self._children, self._paths, strict=True):
            found += [replace(slot, path=ours[slot.path]) for slot in child.module.slots()]
        return found

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The outer agent's, then each child's below the place where it was found."""
        return iter(self._known.items())

    def default_paths(self) -> list[str]:
        """What each Module trains by default."""
        found = self._outer.default_paths()
        for child, ours in zip(self._children, self._paths, strict=True):
            found += [ours[path] for path in child.module.default_paths()]
        return found

    def run(self, example: Any) -> object | Awaitable[object]:
        """Run the outer agent; what stands in for the children lasts as long as the run."""
        nested = NestedRun(self._children, live=False)
        try:
            with nested.entered():
                output = self._outer.run(example)
        except BaseException:
            nested.close()
            raise
        if inspect.isawaitable(output):
            return _finished(nested, output)
        nested.close()
        return output

    @contextmanager
    def attached(self) -> Generator[None]:
        """A context in which calls of all agents themselves read these parameters."""
        nested = NestedRun(self._children, live=True)
        try:
            with self._outer.attached(), nested.entered():
                yield
        finally:
            nested.close()

    def export(self, state: Mapping[str, object], format: str = "") -> object:  # noqa: A002
        """The outer agent with ``state``, its functions and objects holding tuned children.

        One that only code leads to (a global of a method) cannot be exchanged in a copy: a warning
        names its changed paths.
        """
        self.resolve(state)
        made: dict[int, Any] = {}
        taken: set[int] = set()
        for child, part in reversed(list(zip(self._children, self._parts(state), strict=True))):
            tuned = self._exported(child.module, part, "", made, taken)
            if tuned is not child.module.agent:
                made[id(child.module.agent)] = tuned
        native = self._exported(self._outer, self._own(state), format, made, taken)
        self._warn(state, taken)
        return native

    def _exported(
        self, module: AgentModule[Any], state: Mapping[str, object], form: str,
        made: Mapping[int, Any], taken: set[int],
    ) -> object:  # fmt: skip
        substitution = Substitution(self._routes, made)
        with copying(substitution.find):
            native = module.export(state, form)
        taken |= substitution.taken
        return native

    def _warn(self, state: Mapping[str, object], taken: set[int]) -> None:
        """Say which new values are in nothing that was exported."""
        lost: list[str] = []
        for child, ours, part in zip(self._children, self._paths, self._parts(state), strict=True):
            own = {slot.path: slot.get() for slot in child.module.slots()}
            if id(child.module.agent) not in taken:
                lost += [ours[path] for path, value in part.items() if value != own[path]]
        if lost:
            warnings.warn(
                f"{', '.join(lost)}: no copy leads to its agent (only the code of a method does, or"
                " a function makes it), so none could hold the new value; apply() writes it",
                stacklevel=3,
            )

    def apply(self, state: Mapping[str, object]) -> None:
        """Write ``state`` into all agents, or, where one of them refuses, into none."""
        self.resolve(state)
        modules = [self._outer, *(child.module for child in self._children)]
        done: list[tuple[AgentModule[Any], dict[str, object]]] = []
        try:
            for module, part in zip(modules, [self._own(state), *self._parts(state)], strict=True):
                before = {
                    path: value for path, value in module.state_dict().items() if path in part
                }
                module.apply(part)
                done.append((module, before))
        except Exception:
            for module, before in done:
                module.apply(before)
            raise

    def clone(self, state: Mapping[str, object]) -> AgentModule[Any]:
        """A Module over a copy of the outer agent, and the children in that."""
        return self._nest(type(self._outer)(self.export(state)))

    def problem(self) -> str:
        """Why one of the agents cannot run."""
        modules = [self._outer, *(child.module for child in self._children)]
        return next((problem for module in modules if (problem := module.problem())), "")

    def left_out(self) -> Mapping[str, str]:
        """What was found but cannot be trained."""
        found = dict(self._outer.left_out())
        for child in self._children:
            prefix = "/".join(child.owners)
            found |= {f"{prefix}/{name}": why for name, why in child.module.left_out().items()}
        return found

    def models(self) -> Sequence[object]:
        """The outer agent's first."""
        every = [*self._outer.models()]
        for child in self._children:
            every += child.module.models()
        return list({id(model): model for model in every}.values())

    def fingerprint(self) -> Mapping[str, object]:
        """That of each agent, and of the code that leads from one to the other."""
        inside = {"/".join(c.owners): dict(c.module.fingerprint()) for c in self._children}
        code = code_digest(*self._routes.functions)
        return {**self._outer.fingerprint(), "inside": inside, "between": code}

    def inputs(self, example: Any) -> Mapping[str, object]:
        """The outer agent's."""
        return self._outer.inputs(example)

    def encode(self, example: Any) -> JSON:
        """As the outer agent's."""
        return self._outer.encode(example)

    def fields(self, output: object) -> Mapping[str, object] | None:
        """The outer agent's."""
        return self._outer.fields(output)

    def labelled(self, example: Any) -> Mapping[str, JSON]:
        """The outer agent's: examples say nothing of what happens inside."""
        return self._outer.labelled(example)

    def native(self, state: Mapping[str, object]) -> Mapping[str, JSON]:
        """The outer agent's save file; the children's values stand in our part beside it."""
        return self._outer.native(self._own(state))

    def _own(self, state: Mapping[str, object]) -> dict[str, object]:
        known = dict(self._outer.named_parameters())
        return {path: value for path, value in state.items() if path in known}

    def _parts(self, state: Mapping[str, object]) -> list[dict[str, object]]:
        return [
            {path: state[name] for path, name in ours.items() if name in state}
            for ours in self._paths
        ]


async def _finished(nested: NestedRun, output: Awaitable[object]) -> object:
    try:
        with nested.entered():
            return await output
    finally:
        nested.close()
