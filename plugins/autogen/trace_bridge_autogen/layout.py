"""Where an agent's parameters lie: the places of a walk, and how values are written there."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import types
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from autogen_core.tools import ToolOverride

from trace_bridge import Parameter, revised
from trace_bridge_autogen.attributes import attribute_of
from trace_bridge_autogen.copies import agree, copied, renew
from trace_bridge_autogen.discovery import Found, is_function, parts_of, walk
from trace_bridge_autogen.slots import CONSTANT, Place, Reader, slots_of

_REMEDY = "AutoGenModule(agent, unsafe=True)"


class Layout:
    """What was found in an agent.

    Args:
        agent: an agent, team, object that holds some, or function that makes one.
        spans: by the name of a slot, the marker after which a part of a system message stands.
        attributes: what else is a slot: attribute names by globs-free paths (``"home/alice"``).
        unsafe: run changed code in this process.

    Attributes:
        held: by an object's position and attribute, the places that the attribute holds.
    """

    def __init__(
        self, agent: object, spans: Mapping[str, str],
        attributes: Mapping[str, str | Sequence[str]], *, unsafe: bool = False,
    ) -> None:  # fmt: skip
        self.agent = agent
        self.unsafe = unsafe
        self.factory = is_function(agent)
        self.found: list[Found] = list(walk(cast("Any", agent)() if self.factory else agent))
        self.position = {id(item.value): at for at, item in enumerate(self.found)}
        self.places = list(_unique(self._all(spans, attributes)))
        self.parameters: dict[str, Parameter] = {}
        self._ops = ["/".join(item.owners) for item in self.found]
        self._read: dict[int, list[Place]] = defaultdict(list)
        for place in self.places:
            self._read[self.position[id(place.consumer)]].append(place)
        self._readable: dict[tuple[int, Reader], list[Place]] = defaultdict(list)
        for at, places in self._read.items():
            for place in places:
                self._readable[at, place.reader].append(place)
        self._names: dict[tuple[int, int], str] = {}
        self.held: dict[tuple[int, str], list[Place]] = {}
        for place in self.places:
            key = (self.position[id(place.owner)], place.attribute)
            self.held.setdefault(key, []).append(place)
        self._tools = [list(self._tools_of(item)) for item in self.found]

    def _tools_of(self, item: Found) -> Iterator[tuple[str, int]]:
        """The tools that an agent has, perhaps with others: positions, by what models call them."""
        parts = list(parts_of(item.value))
        told = {names[-1]: p.name for names, p in parts if isinstance(p, ToolOverride) and p.name}
        for names, part in parts:
            at = self.position.get(id(part))
            if at is not None and names[:-1] in (("tools",), ("handoffs",)):
                yield told.get(names[-1], names[-1]), at

    def _all(
        self, spans: Mapping[str, str], attributes: Mapping[str, str | Sequence[str]]
    ) -> Iterator[Place]:
        named = dict(attributes)
        for item in self.found:
            places = list(slots_of(item, spans))
            yield from places
            wanted = named.pop("/".join(item.owners), ())
            known = {place.attribute for place in places}
            for name in [wanted] if isinstance(wanted, str) else wanted:
                if name not in known:
                    yield attribute_of(item, name)
        if named:
            there = ", ".join("/".join(item.owners) for item in self.found)
            msg = f"there is no {', '.join(sorted(named))}; there are: {there}"
            raise LookupError(msg)

    def connect(self, parameters: Mapping[str, Parameter]) -> None:
        """Tell which parameter belongs to which place."""
        self.parameters = dict(parameters)

    def op(self, at: int) -> str:
        """What an object is called in the graph."""
        return self._ops[at]

    def read(self, at: int, *readers: Reader) -> list[Place]:
        """The places that calls of the object read, of these kinds."""
        if len(readers) == 1:
            return self._readable.get((at, readers[0]), [])
        return [place for place in self._read.get(at, ()) if place.reader in readers]

    def tools(self, at: int, names: Collection[str]) -> list[Place]:
        """The places that are read when an agent's model is sent tools of these names."""
        return [
            place
            for name, tool in self._tools[at]
            if name in names
            for place in self.read(tool, "tool")
        ]

    def of(self, places: Sequence[Place], at: int) -> dict[str, Parameter]:
        """The parameters of places, by what they are called at the object that reads them."""
        return {self._name(place, at): self.parameters[place.path] for place in places}

    def _name(self, place: Place, at: int) -> str:
        """What a place is called at the object that reads it."""
        key = (id(place), at)
        if key not in self._names:
            owner, _, slot = place.path.rpartition(":")
            inner = owner.removeprefix(self.op(at)).strip("/").replace("/", ".")
            self._names[key] = f"{inner}.{slot}" if inner else slot
        return self._names[key]

    def fresh(self, state: Mapping[str, object]) -> list[Any]:
        """The objects of a copy that holds ``state``, in the order of ``found``; the agent first.

        Raises:
            TypeError: the agent cannot be copied.
            ValueError: a factory made something of another shape than before.
        """
        if self.factory:
            made = list(walk(cast("Any", self.agent)()))
            if [item.owners for item in made] != [item.owners for item in self.found]:
                msg = "the function that makes the agent must make the same each time"
                raise ValueError(msg)
            objects = [item.value for item in made]
        else:
            _, memo = copied(self.agent)
            objects = [memo.get(id(item.value), item.value) for item in self.found]
            renew(objects)
        self.write(objects, state)
        return objects

    def write(self, objects: Sequence[Any], state: Mapping[str, object]) -> None:
        """Write what ``state`` changes into objects like those found."""
        for place in self.places:
            value = state.get(place.path)
            if place.path not in state or value == place.get():
                continue
            owner = objects[self.position[id(place.owner)]]
            if place.attribute == CONSTANT:
                place.put(owner, value)
            else:
                present = getattr(owner, place.attribute)
                setattr(owner, place.attribute, self.encoded(place, present, value))
        agree(objects)

    def encoded(self, place: Place, present: Any, value: object) -> Any:
        """``present``, what a place's attribute is now, with another value.

        Raises:
            UnsafeCodeError: for changed code, unless this is ``unsafe``.
        """
        if place.kind == "code":
            function = getattr(present, "__func__", present)
            made = revised(function, str(value), unsafe=self.unsafe, remedy=_REMEDY)
            return made if function is present else types.MethodType(made, present.__self__)
        return place.encode(present, value)


def _unique(places: Iterator[Place]) -> Iterator[Place]:
    """Places with paths that differ: two of one name (a tool that two hold) are numbered."""
    import dataclasses

    count: dict[str, int] = defaultdict(int)
    for place in places:
        count[place.path] += 1
        again = count[place.path]
        path = place.path if again == 1 else f"{place.path}#{again}"
        yield place if again == 1 else dataclasses.replace(place, path=path)
