"""From noted calls to nodes: the edges of one recorded run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias, cast

from trace_bridge.graph import Edge, Evidence, Node
from trace_bridge.recording.evidence import (
    DEPTH,
    Produced,
    explain_text,
    identifiable,
    items_in,
    leaves,
    normalized,
)
from trace_bridge.recording.recorder import Call, Recorder, resolved

# A value that was seen: the producing call's position (-1: the agent's own inputs) and the field.
Source: TypeAlias = tuple[int, str]
Explained: TypeAlias = dict[str, dict[Source, Evidence]]  # argument -> where it came from

_INPUTS = -1


def link(recorder: Recorder) -> Node:
    """The output of a finished run (its failure, if it failed) as a node with its graph."""
    return _Linker(recorder).output()


def link_steps(recorder: Recorder, steps: Sequence[Call]) -> tuple[Node, list[Node]]:
    """As ``link``, and what each of some calls gave, in the same graph."""
    linker = _Linker(recorder)
    output = linker.output()
    return output, [linker.node_of(call) for call in steps]


class _Linker:
    """Works out the edges of a finished recording and makes its nodes, parents first."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        # a call that is still running (in a thread nobody waited for) has no part in the output
        finished = [call for call in recorder.calls if call.ended >= 0]
        self.calls = [*sorted(finished, key=lambda call: call.ended), recorder.root]
        self.position = {id(call): index for index, call in enumerate(self.calls)}
        # by id, oldest first; values are kept, or another object could get their id
        self.producers: dict[int, list[tuple[Source, object]]] = defaultdict(list)
        self.owners: dict[int, list[int]] = defaultdict(list)  # of whole outputs: positions
        self.children: dict[int, list[Call]] = defaultdict(list)
        for call in sorted(finished, key=lambda call: call.started):
            self.children[id(call.parent)].append(call)
        self.aliases: list[int] = []
        self.explained: list[Explained] = []
        self.read: dict[int, frozenset[Source]] = {}  # by the id of a component
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

    def node_of(self, call: Call) -> Node:
        """What a finished call gave, once ``output`` has worked out the graph."""
        return self._node(self.aliases[self.position[id(call)]], "")

    def _produce(self, source: Source, value: object) -> None:
        for leaf in leaves(value):
            if identifiable(leaf):
                self.producers[id(leaf)].append((source, leaf))

    def _producer(self, value: object, before: int) -> Source | None:
        """What returned ``value``: of those that ended before, the newest is the nearest."""
        for source, _ in reversed(self.producers.get(id(value), ()) if identifiable(value) else ()):
            if source[0] == _INPUTS or self.calls[source[0]].ended < before:
                return source
        return None

    def _owner(self, value: int, before: int) -> int | None:
        """The call whose whole output has that id."""
        earlier = (at for at in self.owners.get(value, ()) if self.calls[at].ended < before)
        return max(earlier, default=None)

    def _note_output(self, position: int, call: Call) -> None:
        if call.error is not None or self.aliases[position] != position:
            return
        if identifiable(call.output):
            self.owners[id(call.output)].append(position)
        for name, value in call.fields.items():
            self._produce((position, name), value)
        for piece in call.pieces or ():
            self._produce((position, ""), piece)

    def _passed_on(self, position: int, call: Call) -> int:
        """The call whose very output this frame passed on (its own position otherwise)."""
        if not call.is_frame or call.error is not None:
            return position
        if identifiable(call.output):
            owner = self._owner(id(call.output), call.ended)
            return position if owner is None else owner
        for inner in reversed(self.children[id(call)]):
            # a value that Python shares has no identity: the last equal one will have been it
            if inner.ended < call.ended and not inner.error and _equal(inner.output, call.output):
                return self.aliases[self.position[id(inner)]]
        return position

    def _explain(self, position: int, call: Call) -> Explained:
        """Where a component's arguments, or a frame's results, came from."""
        if call.is_frame:
            if self.aliases[position] != position:
                return {}
            if call is self.recorder.root and call.error is not None:
                return {"": self._unused(position, call)}  # what its code had when it failed
            if call.made_of is not None:
                return {"": self._sources(call.made_of, call.ended)}
            sources = {n: self._sources(value, call.ended) for n, value in call.fields.items()}
            if call is self.recorder.root and all(at < 0 for s in sources.values() for at, _ in s):
                return {"": self._unused(position, call)}  # numbers, say, which prove nothing
            return sources
        before = call.started if call.pieces is None else call.ended
        explained = {
            name: self._sources(value, before, call.component_around())
            for name, value in call.inputs.items()
        }
        if call.made_of is not None:
            made_of = self._sources(call.made_of, call.ended)
            explained[""] = {**explained.get("", {}), **made_of}
        elif self.children[id(call)]:
            inner = self._inner(position, call)
            explained[""] = {**explained.get("", {}), **inner}
        return explained

    def _inner(self, position: int, call: Call) -> dict[Source, Evidence]:
        """The calls inside a component (a function that asks models) that its output came from.

        Where that cannot be told from the values, those that no other call inside has used: their
        outputs went to the component's own code.
        """
        own = self._inside(position, call)
        found = {
            source: evidence
            for value in call.fields.values()
            for source, evidence in self._sources(value, call.ended).items()
            if source[0] in own
        }
        return found or self._unused(position, call)

    def _inside(self, position: int, call: Call) -> set[int]:
        return {self.position[id(c)] for c in self.calls[:position] if c.is_inside(call)}

    def _unused(self, position: int, call: Call) -> dict[Source, Evidence]:
        """The calls inside another whose outputs no other call inside has used."""
        own = self._inside(position, call)
        used = {
            source[0] for at in own for sources in self.explained[at].values() for source in sources
        }
        # one that was cancelled with the call may have ended after it
        ended = (self.position[id(c)] for c in self.children[id(call)] if c.ended < call.ended)
        returned = {self.aliases[at] for at in ended}
        return {(at, ""): Evidence.READ for at in sorted(returned - used) if at in own}

    def _sources(
        self, value: object, before: int, around: Call | None = None
    ) -> dict[Source, Evidence]:
        """What ``value`` was made from, of what had ended by ``before``.

        Args:
            value: anything.
            before: a moment.
            around: the component in whose code the value was made, if any.
        """
        if isinstance(value, Call):
            at = self._told(value, before)
            return {} if at is None else {(at, ""): Evidence.IDENTITY}
        owner = self._owner(id(value), before) if identifiable(value) else None
        if owner is not None:
            part = self._producer(value, before)  # who passed somebody's output on is nearer
            if part is None or part[0] <= owner:
                return {(owner, ""): Evidence.IDENTITY}
        found: dict[Source, Evidence] = {}
        unexplained: list[object] = []
        for leaf, source in self._traced(value, before):
            if source is not None:
                found[source] = Evidence.IDENTITY
            elif isinstance(leaf, str):
                unexplained.append(leaf)
        if unexplained:
            produced = self._produced(before, around)
            found |= {
                s: e for s, e in explain_text(unexplained, produced, self.known) if s not in found
            }
        return found

    def _told(self, call: Call, before: int) -> int | None:
        """The position of a call that a plugin named as a source, if it had ended by then."""
        at = self.position.get(id(call))
        return None if at is None or call.ended >= before else self.aliases[at]

    def _traced(
        self, value: object, before: int, depth: int = 0
    ) -> Iterator[tuple[object, Source | None]]:
        """``value`` and what is in it, with what returned it.

        What is in an object that is known itself came with it; containers may be added to.
        """
        if isinstance(value, Node):
            return
        if isinstance(value, Call):
            at = self._told(value, before)
            if at is not None:
                yield value, (at, "")
            return
        source = self._producer(value, before)
        yield value, source
        if depth < DEPTH and (source is None or isinstance(value, (dict, list, set))):
            for item in items_in(cast("object", value)):
                yield from self._traced(item, before, depth + 1)

    def _reads(self, around: Call) -> frozenset[Source]:
        """What the inputs of a component came from."""
        if id(around) not in self.read:
            found = set[Source]()
            for value in around.inputs.values():
                found.update(self._sources(value, around.started, around.component_around()))
            self.read[id(around)] = frozenset(found)
        return self.read[id(around)]

    def _produced(self, before: int, around: Call | None) -> list[Produced]:
        """What components had returned by then, newest first, and last the agent's own inputs.

        What a component makes in its code, it makes of what it was given and what was called there.
        That comes first, since other values may look alike.
        """
        read = frozenset[Source]() if around is None else self._reads(around)

        def was_read(index: int, name: str) -> bool | None:
            if around is None:
                return None
            given = (index, name) in read or (index, "") in read
            return given or self.calls[index].is_inside(around)

        earlier = [
            Produced((index, name), value, was_read(index, name))
            for index, call in enumerate(self.calls[:-1])
            if not call.is_frame and call.ended < before
            for name, value in call.results().items()
        ]
        inputs = [Produced((_INPUTS, name), value) for name, value in self.recorder.inputs.items()]
        earlier.reverse()
        return sorted(earlier, key=lambda one: one.was_read is False) + inputs

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
        for moment, reader, value, name in self.recorder.reads:
            position = self._owner(value, moment)  # if any: the address may be another object's
            if position is None or name not in self.calls[position].fields:
                continue
            if (position, name) in seen or (position, "") in seen:
                continue
            target = self._reached_by_read(reader, moment, self.calls[position].op)
            if target is not None and target > position:
                self.explained[target].setdefault("", {})[position, name] = Evidence.READ

    def _reached_by_read(self, reader: Call, moment: int, op: str) -> int | None:
        """The position of the next call of the code that read, or of the frame of that code.

        Calls of the same component (``op``) are passed over: in a loop, the next turn is about
        another item.
        A frame that passes on an output is no node: what was read there for the choice goes to
        the maker of that output, if it came later, and else to the code around the frame.
        """
        while True:
            for call in self.children[id(reader)]:
                maker = self.aliases[self.position[id(call)]]
                later = call.started > moment and self.calls[maker].started > moment
                if later and self.calls[maker].op != op:
                    return maker
            position = self.position.get(id(reader))
            if position is None or self.aliases[position] == position:
                return position
            if reader.parent is None:
                choice = {(self.aliases[position], ""): Evidence.IDENTITY}
                self.aliases[position] = position
                self.explained[position][""] = choice
                return position
            reader, moment = reader.parent, reader.ended

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
        edges += self._decided(call)
        if call.error is None:
            data = call.fields[""] if tuple(call.fields) == ("",) else dict(call.fields)
        else:
            data = f"({type(call.error).__name__}) {call.error}"
        self.nodes[position, ""] = Node(data, call.op, edges, description=call.description)

    def _decided(self, call: Call) -> Iterator[Edge]:
        """The edges to what decided that ``call``, or a frame around it, happens."""
        outer: Call | None = call
        while outer is not None and (outer is call or outer.is_frame):
            for cause in outer.causes:
                at = self.position.get(id(cause))
                if (
                    at is not None
                    and cause.ended < call.ended
                    and (self.aliases[at], "") in self.nodes
                ):
                    yield Edge(self._node(self.aliases[at], ""), "", Evidence.READ)
            outer = outer.parent

    def _edges(self, name: str, value: object, found: Mapping[Source, Evidence]) -> list[Edge]:
        """The edges for one argument: to its maker, or to a node for the value they went into."""
        if not found:
            made = value if isinstance(value, Node) else Node(value, "constant", name=name)
            return [Edge(made, name, Evidence.ARGUMENT)]
        edges = [Edge(self._node(*source), name, evidence) for source, evidence in found.items()]
        value = resolved(value)
        if not name or (len(edges) == 1 and edges[0].node.peek() is value):
            return edges
        return [Edge(Node(value, "compose", edges, name=name), name, Evidence.ARGUMENT)]

    def _node(self, position: int, name: str) -> Node:
        if position == _INPUTS:
            return self.nodes.setdefault(
                (position, name), Node(self.recorder.inputs[name], "input", name=name)
            )
        whole = self.nodes[position, ""]
        fields = self.calls[position].fields
        if not name:
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
        origin, seen = self.recorder.root, set[int]()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            # an exception that was handled elsewhere, before this one was raised, is not its origin
            origin = next(
                (c for c in self.calls if c.error is error and c.is_inside(origin)), origin
            )
            error = error.__cause__ or error.__context__
        return self.nodes[self.position[id(origin)], ""]


def _equal(one: object, other: object) -> bool:
    return one is not None and type(one) is type(other) and one == other
