"""Light copies: an agent with other values, which shares all else with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trace_bridge import revised
from trace_bridge_langchain.parts import shell, whole, write
from trace_bridge_langchain.slots import SOURCE, Place

if TYPE_CHECKING:
    from trace_bridge_langchain.discovery import Walk

_REMEDY = "LangChainModule(agent, unsafe=True)"


class LightCopy:
    """Copies of those objects of a walk that lead to a change.

    Args:
        walk: the agent's objects; they stay as they are.
        writes: what is written, by the id of the original that holds it.
        given: what stands for agents of other frameworks, by the id of the original.
        unsafe: run changed code in this process.
        live: see ``functions.clone``.
        fresh: attributes that are written, too, by the id of the original.
    """

    def __init__(
        self, walk: Walk, writes: Mapping[int, Sequence[tuple[Place, object]]],
        given: Mapping[int, object] | None = None, *, unsafe: bool = False, live: bool = True,
        fresh: Mapping[int, Mapping[str, object]] | None = None,
    ) -> None:  # fmt: skip
        self._walk = walk
        self._writes = writes
        self._unsafe = unsafe
        self._live = live
        self._fresh = fresh or {}
        self.made: dict[int, Any] = dict(given or {})  # by the id of the original
        changed = {*writes, *self.made, *self._fresh}
        self._dirty = walk.above(changed) if changed else set[int]()
        self.originals: dict[int, int] = {}  # by the id of the copy
        for at in self._dirty:
            self._make(at)

    def find(self, original: Any) -> Any:
        """What stands for ``original`` here: a copy, or itself."""
        return self.made.get(id(original), original)

    def original(self, value: object) -> int:
        """The id of the original that ``value`` stands for (its own, if it is no copy)."""
        return self.originals.get(id(value), id(value))

    def _make(self, at: int) -> Any:
        if at in self.made:
            return self.made[at]
        item = self._walk.found[at]
        names = {name: part for name, part in item.parts.items() if id(part) in self._dirty}
        writes = self._writes.get(at, ())
        held = {place.attribute: None for place, _ in writes}
        made = shell(item.value, {**names, **held}, live=self._live)
        if made is None:
            changes = {name: self._make(id(part)) for name, part in names.items()}
            changes |= {place.attribute: place.encode(None, value) for place, value in writes}
            made = whole(item.value, changes)
            if at in self.made:  # a cycle led back here, and was given one already
                return self.made[at]
            return self._keep(at, made)
        self._keep(at, made)
        for place, value in writes:
            if place.attribute != SOURCE:
                place.put(made, value)
        for name, part in names.items():
            write(made, name, self._make(id(part)))
        for name, value in self._fresh.get(at, {}).items():
            write(made, name, value)
        source = next((value for place, value in writes if place.attribute == SOURCE), None)
        if source is not None:
            made = revised(made, str(source), unsafe=self._unsafe, remedy=_REMEDY)
            self._keep(at, made)
        return made

    def _keep(self, at: int, made: Any) -> Any:
        self.made[at] = made
        self.originals[id(made)] = at
        return made
