"""An agent as the seams know it: its slots, and what each component reads; and its copies."""

from __future__ import annotations

import functools
import operator
import threading
import types
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage
from langchain_core.prompts import BasePromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableBranch,
    RunnableLambda,
    RunnableSequence,
)
from langchain_core.tools import BaseTool

from trace_bridge import Parameter, in_place_of, join_path
from trace_bridge_langchain.arguments import described
from trace_bridge_langchain.checks import both
from trace_bridge_langchain.copies import LightCopy
from trace_bridge_langchain.discovery import Found, Walk, own_name
from trace_bridge_langchain.functions import first_line
from trace_bridge_langchain.intake import intake_of
from trace_bridge_langchain.parts import is_users
from trace_bridge_langchain.sessions import Sessions
from trace_bridge_langchain.slots import (
    Place,
    block_in,
    settings_of,
    slots_of,
    texts_in,
    trainable_source,
)

_KEPT = 32  # copies for states that an agent keeps
_PICKS = (operator.itemgetter, operator.attrgetter)  # they pass on what they find, as it is
_SAME = 16  # characters from which two equal texts are one parameter


@dataclass(slots=True, eq=False)
class Site:
    """A component of the agent: what it is called, and which parameters its calls read.

    Attributes:
        ends: of a router in a graph, which node a result means, and ``CONDITION`` of a branch's
            condition; None for what is neither.
        is_users: whether it is a function of the user's, and no part of the framework.
        is_node: whether a lambda is what a graph's node calls first, with the state.
        reads: the names of its input that it reads, of a prompt; None where it may read all.
    """

    op: str
    description: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    ends: Mapping[object, object] | None = None
    is_users: bool = False
    is_node: bool = False
    reads: frozenset[str] | None = None


CONDITION: Mapping[object, object] = types.MappingProxyType({"": ""})  # what a branch asks first
UNKNOWN = Site("")  # of what was not found: what runs was made on the way


class Layout:
    """All slots and components of an agent."""

    def __init__(self, agent: object, *, unsafe: bool = False) -> None:
        self.agent = agent
        self.unsafe = unsafe
        self.walk = Walk(agent)
        self.places: list[Place] = []
        self.sites: dict[int, Site] = {}
        # by the class of what holds them
        self.by_class: dict[type, list[tuple[Place, Parameter]]] = {}
        # by a model's id and their names: the numbers that bindings pass to it
        self.settings: dict[int, dict[str, list[Parameter]]] = {}
        self.tools: dict[str, dict[str, Parameter]] = {}  # by a tool's name: what models read of it
        self._names: Counter[str] = Counter()
        self._texts: dict[tuple[str, object], Place] = {}
        self._lock = threading.Lock()
        self._copies: OrderedDict[tuple[object, ...], LightCopy] = OrderedDict()
        for item in self.walk.found.values():
            for place in self._places_of(item):
                self._add(place)
        self._add_bound_tools()
        self.originals = {place.path: place.get() for place in self.places}
        self.intake = intake_of(agent)
        self.sessions = Sessions(self.walk)
        self.unchanged = LightCopy(self.walk, {})
        # whether some function in it can only be awaited: then ``invoke`` would fail
        self.is_async = any(_only_async(item.value) for item in self.walk.found.values())

    def _places_of(self, item: Found) -> list[Place]:
        def join(name: str) -> str:
            return join_path(item.owners, name)

        if item.other:
            return []
        if isinstance(item.value, (dict, list)):
            return self._texts_of(item, join)
        if isinstance(item.value, RunnableBinding):
            return list(settings_of(cast("RunnableBinding[Any, Any]", item.value), join))
        return list(slots_of(item.value, join))

    def _texts_of(self, item: Found, join: Callable[[str], str]) -> list[Place]:
        """The texts in a container that the user's code holds, or a prompt, or a message."""
        value: Any = item.value
        for holder in self._holders(item):
            if isinstance(holder, BaseMessage):
                return list(block_in(value, join)) if isinstance(value, dict) else []
            partial = isinstance(holder, BasePromptTemplate) and holder.partial_variables is value
            if partial or is_users(holder if callable(holder) else type(holder)):
                label = item.owners[-1] if item.owners and not partial else ""
                return list(texts_in(value, label, join))
        return []

    def _holders(self, item: Found) -> Iterator[object]:
        """What holds a container, if need be in another one."""
        seen, pending = {id(item.value)}, list(item.parents)
        while pending:
            at = pending.pop()
            if at in seen:
                continue
            seen.add(at)
            holder = self.walk.found[at]
            if isinstance(holder.value, (dict, list)):
                pending += holder.parents
            else:
                yield holder.value

    def _add(self, place: Place) -> None:
        """Take ``place`` as a slot, or as another place of one with the same text."""
        value = place.get()
        key = (place.kind, value) if isinstance(value, str) and len(value) >= _SAME else None
        known = None if key is None or place.kind == "code" else self._texts.get(key)
        if known is not None:
            known.others.append(place)
            object.__setattr__(known, "check", both(known.check, place.check))
            return
        self._names[place.path] += 1
        if self._names[place.path] > 1:
            owners, _, name = place.path.rpartition(":")
            object.__setattr__(place, "path", f"{owners}#{self._names[place.path]}:{name}")
        self.places.append(place)
        if key is not None:
            self._texts[key] = place

    def _add_bound_tools(self) -> None:
        """What ``bind_tools`` has made of tools: their texts stand there a second time."""
        known = {
            (place.owner.name, place.path.rpartition(":")[2]): place
            for place in self.places
            if isinstance(place.owner, BaseTool)
        }
        for item in list(self.walk.found.values()):
            held = item.value
            if not isinstance(held, dict) or not isinstance(held.get("name"), str):
                continue
            self._bound_text(known, held, held["name"], "description")
            schema = held.get("parameters") or held.get("input_schema") or {}
            for name, field_ in described(schema):
                self._bound_text(known, field_, held["name"], f"args.{name}")

    def _bound_text(
        self, known: dict[tuple[str, str], Place], held: Any, tool: str, name: str
    ) -> None:
        if not isinstance(held.get("description"), str):
            return
        place = Place(
            join_path(("tools", tool), name), held, "description", "description",
            decode=lambda value: value, encode=lambda _, value: value,
        )  # fmt: skip
        first = known.setdefault((tool, name), place)
        if first is not place:
            first.others.append(place)
        else:
            self._add(place)

    def connect(self, parameters: Mapping[str, Parameter]) -> None:
        """Let the components know the parameters that they read."""
        read: dict[int, dict[str, Parameter]] = {}
        for place in self.places:
            for one in (place, *place.others):
                self._connect_place(one, place.path, parameters[place.path], read)
        for item in self.walk.found.values():
            if isinstance(item.value, (Runnable, types.FunctionType)):
                self.sites[id(item.value)] = self._site(item, read)
        for item in self.walk.found.values():
            if type(item.value).__name__ == "BranchSpec":  # private: LangGraph's conditional edges
                self.sites[id(item.value.path)].ends = item.value.ends or {}
            if isinstance(item.value, RunnableBranch):
                for condition, _ in cast("RunnableBranch[Any, Any]", item.value).branches:
                    last = _end(condition, "last")
                    self.sites.get(id(last), Site("")).ends = CONDITION
            if type(item.value).__name__ == "PregelNode":  # private: a node of a compiled graph
                first = _end(cast("Any", item.value).bound, "first")
                self.sites.get(id(first), Site("")).is_node = True

    def _connect_place(
        self, place: Place, path: str, parameter: Parameter, read: dict[int, dict[str, Parameter]]
    ) -> None:
        owner, name = place.owner, path.rpartition(":")[2]
        self.by_class.setdefault(type(owner), []).append((place, parameter))
        if place.kind == "description":
            tool = path.rpartition(":")[0].rpartition("/")[2]
            tool = owner.name if isinstance(owner, BaseTool) else tool
            self.tools.setdefault(tool, {})[f"tools.{tool}.{name}"] = parameter
            return
        own = read.setdefault(id(owner), {})
        own[name if name not in own else path] = parameter
        if isinstance(owner, dict) and place.kind == "number":
            for model in self._models_below(owner):
                self.settings.setdefault(model, {}).setdefault(name, []).append(parameter)

    def _models_below(self, kwargs: object) -> list[int]:
        """The ids of the models that a binding leads to, of which these are the keywords."""
        bindings = self.walk.found[id(kwargs)].parents
        return [
            at
            for at, item in self.walk.found.items()
            if isinstance(item.value, BaseLanguageModel) and bindings & self.walk.above({at})
        ]

    def _site(self, item: Found, read: Mapping[int, Mapping[str, Parameter]]) -> Site:
        value = item.value
        site = Site(".".join(item.owners) or own_name(value) or type(value).__name__)
        below = [value] if isinstance(value, BaseTool) else []
        for inner in self.walk.below(value):
            if inner.value is not value or value not in below:
                below.append(inner.value)
        for inner in below:
            for name, parameter in read.get(id(inner), {}).items():
                if parameter not in site.parameters.values():
                    key = name if name not in site.parameters else parameter.name
                    site.parameters[key] = parameter
        function = called_by(value)
        told = function is not value or isinstance(value, types.FunctionType)
        site.description = first_line(function) if told else ""
        site.is_users = runs_users_code(value) or _is_chosen_by_user(value)
        if isinstance(value, BasePromptTemplate):
            site.reads = _names_read(value, below)
        return site

    def left_out(self) -> dict[str, str]:
        """What was found and cannot be trained, by name, with the reason."""
        found: dict[str, str] = {}
        for item in self.walk.found.values():
            name = "/".join(item.owners) or type(item.value).__name__
            if isinstance(item.value, types.FunctionType) and is_users(item.value):
                if not trainable_source(item.value):
                    found[name] = "its code: a lambda, or made by exec; use a def in a file"
            elif isinstance(item.value, BaseRetriever):
                found[name] = "a retriever: what it finds is not written by trace_bridge"
            elif (
                isinstance(item.value, BasePromptTemplate)
                and not self.sites[id(item.value)].parameters
            ):
                found[name] = f"a {type(item.value).__name__} without a text that is known"
        return found

    def copy(self, state: Mapping[str, object]) -> LightCopy:
        """The agent with other values; what does not lead to one of them is the agent's own."""
        changed = self._changed(state)
        if not changed:
            return self.unchanged
        key = tuple((path, repr(state[path])) for path in changed)
        with self._lock:
            found = self._copies.get(key)
            if found is None:
                found = self._copies[key] = self.fresh_copy(state)
            self._copies.move_to_end(key)
            while len(self._copies) > _KEPT:
                self._copies.popitem(last=False)
        return found

    def _changed(self, state: Mapping[str, object]) -> list[str]:
        """The paths whose values in ``state`` are not the agent's own."""
        return [p for p, own in self.originals.items() if p in state and state[p] != own]

    def changed_code(self, state: Mapping[str, object]) -> list[str]:
        """The paths of code in ``state`` that is not the user's own."""
        code = {place.path for place in self.places if place.kind == "code"}
        return [path for path in self._changed(state) if path in code]

    def write(self, state: Mapping[str, object]) -> None:
        """Write ``state`` into the agent itself.

        Raises:
            ValueError: changed code, which only a copy can have; nothing is written then.
        """
        changed = [place for place in self.places if place.path in self._changed(state)]
        code = self.changed_code(state)
        if code:
            msg = f"{', '.join(code)}: code is not written into your functions; use export()"
            raise ValueError(msg)
        for place in changed:
            for one in (place, *place.others):
                one.put(one.owner, state[place.path])
            self.originals[place.path] = state[place.path]
        with self._lock:
            self._copies.clear()

    def fresh_copy(
        self, state: Mapping[str, object], *, live: bool = True, alone: bool = False
    ) -> LightCopy:
        """As ``copy``, for somebody else to keep: what changes shares nothing with others.

        Args:
            state: the values.
            live: see ``functions.clone``.
            alone: it finds and leaves nothing where graphs keep their state.
        """
        writes: dict[int, list[tuple[Place, object]]] = {}
        known = {place.path: place for place in self.places}
        for path in self._changed(state):
            for one in (known[path], *known[path].others):
                writes.setdefault(id(one.owner), []).append((one, state[path]))
        others = [item.value for item in self.walk.found.values() if item.other]
        places = ((value, in_place_of(value)) for value in others)
        given = {id(v): made for v, made in places if made is not None and made is not v}
        fresh = self.sessions.fresh(alone=alone) if writes or alone else None
        return LightCopy(self.walk, writes, given, unsafe=self.unsafe, live=live, fresh=fresh)


def _end(runnable: Any, name: str) -> Any:
    """What a chain calls ``first``, or ``last``."""
    while isinstance(runnable, (RunnableSequence, RunnableBinding)):
        chain = cast("Any", runnable)
        runnable = getattr(chain, "bound" if isinstance(chain, RunnableBinding) else name)
    return runnable


def _names_read(prompt: Any, below: list[Any]) -> frozenset[str] | None:
    """The names that a prompt fills in; None where it cannot be told.

    What selects examples gets all names, as do prompts of the user's own; and a section of a
    mustache template may have any in it.
    """
    for inner in (prompt, *below):
        told = getattr(inner, "example_selector", None) is None and not is_users(type(inner))
        if not told or getattr(inner, "template_format", "") == "mustache":
            return None
    return frozenset((*prompt.input_variables, *prompt.optional_variables,
                      *prompt.partial_variables))  # fmt: skip


def runs_users_code(value: object) -> bool:
    """Whether what is called by a runnable, or is a function, is the user's own."""
    return is_users_function(called_by(value))


def _is_chosen_by_user(value: object) -> bool:
    """Whether a lambda calls what the user has taken from elsewhere (``len``, ``json.loads``)."""
    called = called_by(value)
    if not isinstance(value, RunnableLambda) or isinstance(called, _PICKS):
        return False
    module = getattr(called, "__module__", None) or ""
    return not module.partition(".")[0].startswith(("langchain", "langgraph"))


def is_users_function(called: object) -> bool:
    """Whether a function or method is the user's own."""
    return is_users(getattr(called, "__func__", called))


def called_by(value: Any) -> Any:
    """What a runnable over a function calls, without what wraps it; a function itself."""
    found = getattr(value, "func", None) or getattr(value, "afunc", None) or value
    while isinstance(found, functools.partial):
        found = found.func
    return getattr(found, "__wrapped__", found)


def _only_async(value: object) -> bool:
    if isinstance(value, RunnableLambda):
        return not hasattr(value, "func")
    has_async = isinstance(value, Runnable) and getattr(value, "afunc", None) is not None
    return has_async and getattr(value, "func", True) is None
