"""A program as the seams know it: which object stands where, and which parameters it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy

from trace_bridge import Parameter, Slot, join_path
from trace_bridge_dspy import slots as make
from trace_bridge_dspy.discovery import Found, Walk


@dataclass(slots=True, eq=False)
class Site:
    """One object of a program.

    Attributes:
        op: its name in the graph.
        owners: the attributes that lead to it.
        description: what it does, for a model to read.
        slots: what is written on the object itself.
        tools: the slots of tools whose descriptions this predictor shows to its model.
        parameters: by slot name, what its calls read.
    """

    op: str
    owners: tuple[str, ...] = ()
    description: str = ""
    slots: list[Slot] = field(default_factory=list[Slot])
    tools: list[Slot] = field(default_factory=list[Slot])
    parameters: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    known: dict[Slot, tuple[object, object]] = field(
        default_factory=dict[Slot, tuple[object, object]]
    )

    def own(self, slot: Slot, owner: object) -> object:
        """What ``owner`` (or a copy of it) holds; decoded again only if it is another object."""
        present = getattr(owner, slot.attribute)
        known = self.known.get(slot)
        if known is None or known[0] is not present:
            return slot.decode(present)
        return known[1]


class Layout:
    """All sites of a program, and its slots."""

    def __init__(self, program: dspy.Module) -> None:
        self.walk = Walk(program)
        self.sites: dict[int, Site] = {}
        self.slots: list[Slot] = []
        self._names: Counter[tuple[str, ...]] = Counter()
        self._tool_names: dict[str, Site | None] = {}
        self._stages: dict[str, Site | None] = {}
        for item in self.walk.found:
            self._add(item)
        for item in self.walk.found:
            if not item.frozen:
                self._add_slots(item)
        for item in self.walk.found:  # tools come last: their text stands in instructions
            if _trainable_tool(item):
                self._add_tool_slot(item)

    def _add(self, item: Found) -> None:
        value = item.value
        name = str(value.name) if isinstance(value, dspy.Tool) else ""
        owners = self._unique((*item.owners[:-1], name) if name else item.owners)
        site = Site(".".join(owners) or type(value).__name__, owners)
        self.sites[id(value)] = site
        if isinstance(value, dspy.Predict):
            site.description = _about(value, frozen=item.frozen)
            stage = getattr(value, "stage", "")
            # copies that the user made of one predictor share its stage: then it names none
            self._stages[stage] = None if stage in self._stages else site
        elif isinstance(value, dspy.Tool):
            site.description = value.desc or ""
            self._tool_names[name] = None if name in self._tool_names else site
        else:
            site.description = _first_line(type(value).__doc__)

    def _add_slots(self, item: Found) -> None:
        if isinstance(item.value, dspy.Predict):
            site, text = self.sites[id(item.value)], make.signature_of(item.value).instructions
            tools = [other.value for other in self.walk.found if _trainable_tool(other)]
            baked = [tool for tool in tools if str(tool) in text]
            site.slots = list(
                make.of_predictor(item.value, lambda name: join_path(site.owners, name), baked)
            )
            self.slots += site.slots

    def _unique(self, owners: tuple[str, ...]) -> tuple[str, ...]:
        """``owners``, numbered if another object has that path (keys 1 and "1" of a dict)."""
        self._names[owners] += 1
        if self._names[owners] == 1 or not owners:
            return owners
        return self._unique((*owners[:-1], f"{owners[-1]}#{self._names[owners]}"))

    def _add_tool_slot(self, item: Found) -> None:
        site, readers = self.sites[id(item.value)], list(self._readers(item.value, item.owners))
        slot = make.of_tool(
            item.value, join_path(site.owners, "desc"), readers[0] if readers else None
        )
        site.slots.append(slot)
        self.slots.append(slot)
        for reader in readers:
            self.sites[id(reader)].tools.append(slot)

    def _readers(self, tool: dspy.Tool, owners: tuple[str, ...]) -> Iterator[dspy.Predict]:
        """The predictors that show ``tool`` to their model: baked in, or by a field of tools."""
        text = str(tool)
        home = owners[:-2]  # the module whose attribute ("tools") holds the tool by its name
        for item in self.walk.found:
            if isinstance(item.value, dspy.Predict) and not item.frozen:
                signature = make.signature_of(item.value)
                given = "tools" in signature.input_fields and item.owners[:-1] == home
                if given or text in signature.instructions:
                    yield item.value

    def connect(self, parameters: Mapping[str, Parameter]) -> None:
        """Let the sites know the parameters of their slots."""
        for site in self.sites.values():
            for slot in site.slots:
                site.known[slot] = (getattr(slot.owner, slot.attribute), parameters[slot.path].base)
                site.parameters[slot.path.rpartition(":")[2]] = parameters[slot.path]
            for slot in site.tools:
                site.parameters[f"tools.{slot.owner.name}"] = parameters[slot.path]  # pyright: ignore[reportAttributeAccessIssue]

    def site(self, value: Any) -> Site | None:
        """The site of an original object or, by what tells them apart, of a copy somebody made."""
        site = self.sites.get(id(value))
        if site is not None:
            return site
        if isinstance(value, dspy.Predict):  # BestOfN and Refine run deep copies of modules
            return self._stages.get(getattr(value, "stage", ""))
        if isinstance(value, dspy.Tool):
            return self._tool_names.get(str(value.name))
        return None

    def predictors(self) -> list[dspy.Predict]:
        """All predictors, the frozen ones too."""
        return [item.value for item in self.walk.found if isinstance(item.value, dspy.Predict)]


def _trainable_tool(item: Found) -> bool:
    """Whether it is a tool of the user's: DSPy adds "finish" and "submit" itself."""
    if not isinstance(item.value, dspy.Tool) or item.frozen:
        return False
    return getattr(item.value.func, "__module__", "").partition(".")[0] != "dspy"


def _about(predictor: dspy.Predict, *, frozen: bool) -> str:
    """The fields; a frozen predictor's instructions too, which are no parameter of their own."""
    signature = make.signature_of(predictor)
    return f"{signature.signature}\n{signature.instructions}" if frozen else signature.signature


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]
