"""From noted calls to nodes: the edges of one recorded run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import TypeAlias

from trace_bridge.graph import Edge, Evidence, Node
from trace_bridge.recording.evidence import (
    Produced,
    explain_text,
    identifiable,
    leaves,
    normalized,
)
from trace_bridge.recording.recorder import Call, Recorder

# A value that was seen: the producing call's position (-1: the agent's own inputs) and the field.
Source: TypeAlias = tuple[int, str]
Explained: TypeAlias = dict[str, dict[Source, Evidence]]  # argument -> where it came from

_INPUTS = -1


def link(recorder: Recorder) -> Node:
    """The output of a finished run (its failure, if it failed) as a node with its graph."""
    return _Linker(recorder).output()


class _Linker:
    """Works out the edges of a finished recording and makes its nodes, parents first."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        # a call that is still running (in a thread nobody waited for) has no part in the output
        finished = [call for call in recorder.calls if call.ended >= 0]
        self.calls = [*sorted(finished, key=lambda call: call.ended), recorder.root]
        self.position = {id(call): index for index, call in enumerate(self.calls)}
        self.producers: dict[int, Source] = {}  # id of a value -> what returned it
        self.owners: dict[int, int] = {}  # id of a whole output -> its call's position
        self.aliases: list[int] = []
        self.explained: list[Explained] = []
        self.nodes: dict[Source, Node] = {}
        for name, value in recorder.inputs.items():
            self._produce((_INPUTS, name), value)

    @cached_property
    def known(self) -> str:
        """The normalized text of the agent's own inputs, which proves nothing where it recurs."""
        every = (leaf for value in self.recorder.inputs.values() for leaf in leaves(value))
        return " ".join(normalized(leaf) for leaf in every if isinstance(leaf, str))

    def output(self) -> Node:
        for position, call in enumerate(self.calls):
            self.aliases.append(self._passed_on(position, call))
            self.explained.append(self._explain(position, call))
            self._note_output(position, call)
        self._attribute_reads()
        for position in range(len(self.calls)):
            self._make(position)
        return self._failure() or self._node(self.aliases[-1], "")

    def _produce(self, source: Source, value: object) -> None:
        for leaf in leaves(value):
            if identifiable(leaf):
                self.producers[id(leaf)] = source  # the newest holder is the nearest one

    def _note_output(self, position: int, call: Call) -> None:
        if call.error is not None or self.aliases[position] != position:
            return
        if identifiable(call.output):
            self.owners[id(call.output)] = position
        for name, value in call.fields.items():
            self._produce((position, name), value)

    def _passed_on(self, position: int, call: Call) -> int:
        """The call whose very output this frame passed on (its own position otherwise)."""
        if call.is_frame and call.error is None and identifiable(call.output):
            return self.owners.get(id(call.output), position)
        return position

    def _explain(self, position: int, call: Call) -> Explained:
        """Where a component's arguments, or a frame's results, came from."""
        if not call.is_frame:
            return {name: self._sources(value, call.started) for name, value in call.inputs.items()}
        if self.aliases[position] != position:
            return {}
        return {name: self._sources(value, call.ended) for name, value in call.fields.items()}

    def _sources(self, value: object, before: int) -> dict[Source, Evidence]:
        if identifiable(value) and id(value) in self.owners:
            return {(self.owners[id(value)], ""): Evidence.IDENTITY}
        found: dict[Source, Evidence] = {}
        unexplained: list[object] = []
        for leaf in leaves(value):
            source = self.producers.get(id(leaf)) if identifiable(leaf) else None
            if source is not None:
                found[source] = Evidence.IDENTITY
            elif isinstance(leaf, str):
                unexplained.append(leaf)
        if unexplained:
            produced = self._produced(before)
            found |= {
                s: e for s, e in explain_text(unexplained, produced, self.known) if s not in found
            }
        return found

    def _produced(self, before: int) -> list[Produced]:
        """What components had returned by then, newest first, and last the agent's own inputs."""
        earlier = [
            Produced((index, name), value)
            for index, call in enumerate(self.calls[:-1])
            if not call.is_frame and call.error is None and call.ended < before
            for name, value in call.fields.items()
        ]
        inputs = [Produced((_INPUTS, name), value) for name, value in self.recorder.inputs.items()]
        return earlier[::-1] + inputs

    def _attribute_reads(self) -> None:
        """Give what was read but never seen again to the next call of the code that read it.

        This is what reveals numbers, flags and branches, which no comparison of values can.
        """
        if not self.recorder.reads:
            return
        seen = {
            source
            for explained in self.explained
            for found in explained.values()
            for source in found
        }
        followers: dict[int, list[Call]] = defaultdict(list)
        for call in sorted(self.recorder.calls, key=lambda call: call.started):
            if call.parent is not None and call.ended >= 0:
                followers[id(call.parent)].append(call)
        for moment, reader, value, name in self.recorder.reads:
            position = self.owners.get(value)
            if position is None or name not in self.calls[position].fields:
                continue
            if (
                moment < self.calls[position].ended
            ):  # of another object, gone since, at that address
                continue
            if (position, name) in seen or (position, "") in seen:
                continue
            following = (call for call in followers[id(reader)] if call.started > moment)
            target = next(following, reader)
            index = self.position.get(id(target))
            if index is not None and index > position:
                self.explained[index].setdefault("", {})[position, name] = Evidence.READ

    def _make(self, position: int) -> None:
        call = self.calls[position]
        if self.aliases[position] != position:
            return
        edges = [
            Edge(parameter, slot, Evidence.ARGUMENT)
            for slot, parameter in (call.parameters or {}).items()
        ]
        values = call.fields if call.is_frame else call.inputs
        for name, found in self.explained[position].items():
            edges += self._edges(name, values.get(name), found)
        if call.error is None:
            data = call.output if tuple(call.fields) == ("",) else dict(call.fields)
        else:
            data = f"({type(call.error).__name__}) {call.error}"
        self.nodes[position, ""] = Node(data, call.op, edges, description=call.description)

    def _edges(self, name: str, value: object, found: Mapping[Source, Evidence]) -> list[Edge]:
        """The edges for one argument: to its maker, or to a node for the value they went into."""
        if not found:
            return [Edge(Node(value, "constant", name=name), name, Evidence.ARGUMENT)]
        edges = [Edge(self._node(*source), name, evidence) for source, evidence in found.items()]
        passed_on = len(edges) == 1 and edges[0].evidence in (Evidence.IDENTITY, Evidence.READ)
        if passed_on or not name:
            return edges
        return [Edge(Node(value, "compose", edges, name=name), name, Evidence.ARGUMENT)]

    def _node(self, position: int, name: str) -> Node:
        if position == _INPUTS:
            return self.nodes.setdefault(
                (position, name), Node(self.recorder.inputs[name], "input", name=name)
            )
        whole = self.nodes[position, ""]
        fields = self.calls[position].fields
        if not name or len(fields) == 1:
            return whole
        if (position, name) not in self.nodes:
            edge = Edge(whole, "", Evidence.ARGUMENT)
            self.nodes[position, name] = Node(fields[name], "field", [edge], name=name)
        return self.nodes[position, name]

    def _failure(self) -> Node | None:
        """The node where the run's exception came from: the innermost call that it left."""
        error = self.recorder.root.error
        if error is None:
            return None
        chain = set[int]()
        while error is not None and id(error) not in chain:
            chain.add(id(error))
            error = error.__cause__ or error.__context__
        origin = next(i for i, call in enumerate(self.calls) if id(call.error) in chain)
        return self.nodes[origin, ""]
