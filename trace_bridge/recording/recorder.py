"""The recorder: a framework's start and end events become nodes.

While the agent runs, events are only noted (what was passed, returned and read, by reference).
Edges are worked out when the run is over (``trace_bridge.recording.linker``), because a read can
only be judged once it is known where the value went.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Self, cast

from trace_bridge.graph import Parameter

_NO_FIELDS: Mapping[str, object] = {}
_sequence = itertools.count()  # next() is atomic: one order for the events of all threads


class Call:
    """One call of a component, as it was seen; what is called while it is entered is inside it.

    ``component`` calls (a model call, a tool) become nodes. A call that only contains others is
    a *frame*: it becomes a node only if it made something new out of what they returned.

    Attributes:
        causes: calls whose outcome decided that this one happens (a router's, say).
        pieces: what a stream gave one by one; their identity proves as much as the output's. None
            for what is no stream.
    """

    __slots__ = (
        "causes", "description", "ended", "error", "fields", "inputs", "made_of", "op", "output",
        "parameters", "parent", "pieces", "recorder", "started", "token",
    )  # fmt: skip

    def __init__(
        self, recorder: Log, parent: Call | None, op: str, inputs: Mapping[str, object],
        parameters: Mapping[str, Parameter] | None, description: str,
    ) -> None:  # fmt: skip
        self.recorder = recorder
        self.parent = parent
        self.op = op
        self.inputs = inputs
        self.parameters = parameters
        self.description = description
        self.output: object = None
        self.fields = _NO_FIELDS
        self.made_of: object = None
        self.causes: Sequence[Call] = ()
        self.pieces: list[object] | None = None
        self.error: BaseException | None = None
        self.ended = -1
        self.started = next(_sequence)

    @property
    def is_frame(self) -> bool:
        """Whether this call only contains others."""
        return self.parameters is None

    def is_inside(self, outer: Call) -> bool:
        """Whether this call is ``outer``, or was made in the course of it."""
        call: Call | None = self
        while call is not None and call is not outer:
            call = call.parent
        return call is outer

    def component_around(self) -> Call | None:
        """The innermost component in whose code this call was made."""
        outer = self.parent
        while outer is not None and outer.is_frame:
            outer = outer.parent
        return outer

    def returns(
        self, output: object, fields: Mapping[str, object] | None = None, made_of: object = None
    ) -> None:
        """Note the result.

        Args:
            output: the result.
            fields: its parts by name, when it is a record of several values; a single part without
                a name is what to show of it.
            made_of: values (or calls) that were seen inside this call and that the result was
                made of, where that is known better than a look at the result could tell.
        """
        self.output = output
        self.made_of = made_of
        self.fields = {"": output} if fields is None else dict(fields)

    def results(self) -> Mapping[str, object]:
        """What it gave to the code around it: its fields, or what its exception said."""
        return self.fields if self.error is None else {"": str(self.error)}

    def because(self, *causes: Call) -> None:
        """Note the calls whose outcome decided that this one happens."""
        self.causes = (*self.causes, *causes)

    def yields(self, piece: object) -> None:
        """Note a piece of a streamed result; ``returns`` tells the whole when it is there.

        The inputs of such a call may arrive while it runs: they are looked at when it has ended.
        """
        self.pieces = self.pieces or []
        self.pieces.append(piece)

    def streams(self) -> None:
        """Note that it is a stream, which may fail before it gives a piece."""
        self.pieces = self.pieces or []

    def component(
        self, op: str, inputs: Mapping[str, object], parameters: Mapping[str, Parameter],
        description: str = "",
    ) -> Call:  # fmt: skip
        """Record a call, inside this one, of something that makes values.

        It is to be entered, or, where it ends in another context (a generator's), told its ``end``.

        Args:
            op: the component's name, as its path has it.
            inputs: what was passed, by argument name; kept by reference. A call, or a list with
                calls in it, stands for what that call has returned; a node for itself.
            parameters: what the component reads of its own, by slot name.
            description: what the component does, for a model to read.
        """
        call = Call(self.recorder, self, op, inputs, parameters, description)
        self.recorder.calls.append(call)
        return call

    def frame(self, op: str, inputs: Mapping[str, object], description: str = "") -> Call:
        """Record a call, inside this one, of something that only calls others."""
        call = Call(self.recorder, self, op, inputs, None, description)
        self.recorder.calls.append(call)
        return call

    def end(self, error: BaseException | None = None) -> None:
        """It has ended, perhaps by an exception."""
        self.error = error
        self.ended = next(_sequence)

    def __enter__(self) -> Self:
        self.token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.error = error
        self.ended = next(_sequence)
        _current.reset(self.token)
        del self.token  # it knows the context, in which a call may be current that has it

    def entered(self) -> AbstractContextManager[None]:
        """Record below this call: in a thread that did not inherit the context, or step by step."""
        return _Entered(self)


class _Entered(AbstractContextManager[None]):
    """No generator, which costs thrice as much: streams are entered for each of their steps."""

    __slots__ = ("call", "token")

    def __init__(self, call: Call) -> None:
        self.call = call

    def __enter__(self) -> None:
        self.token = _current.set(self.call)

    def __exit__(self, *_: object) -> None:
        _current.reset(self.token)


_current: ContextVar[Call | None] = ContextVar("current_call", default=None)

# The innermost call that is being recorded in this context, or None outside a run of ours. No
# function of our own: seams ask it at every call, also where nothing is recorded.
current_call: Callable[[], Call | None] = _current.get


def note_read(value: object, name: str) -> None:
    """Note that the running code read the part ``name`` of ``value``, a component's output."""
    call = _current.get()
    if call is not None:
        call.recorder.reads.append((next(_sequence), call, id(value), name))


class Log:
    """Where calls note what happens inside them.

    Attributes:
        repeat: above 0 for a repeated run, which wants fresh samples and no cached ones.
    """

    def __init__(self, repeat: int) -> None:
        self.repeat = repeat
        self.calls: list[Call] = []
        self.reads: list[tuple[int, Call, int, str]] = []


class Recorder(Log):
    """Collects the calls of one run of an agent.

    Args:
        inputs: what the agent was given, by name.
        repeat: above 0 for a repeated run, which wants fresh samples and no cached ones.
    """

    def __init__(self, inputs: Mapping[str, object] | None = None, repeat: int = 0) -> None:
        super().__init__(repeat)
        self.inputs = dict(inputs or {})
        self.root: Call = _Root(self, None, "agent", self.inputs, None, "")

    def __del__(self) -> None:
        # an outer call may have been made of what its inner ones gave, which know it as their outer
        for call in self.calls:
            call.made_of = None

    def recording(self) -> Call:
        """The outermost frame: what this context (and what inherits it) does in it is recorded."""
        return self.root

    def used(self) -> Sequence[Parameter]:
        """The parameters that recorded calls read, each once."""
        found: dict[Parameter, None] = {}
        for call in self.calls:
            found.update(dict.fromkeys((call.parameters or {}).values()))
        return list(found)


class _Root(Call):
    """The outermost frame. When it is over, its calls let go of the recorder.

    Else only the garbage collector could free a run, at a cost like that of recording it. What
    somebody still does then (in a thread that nobody waited for) has no part in the output.
    """

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        super().__exit__(kind, error, trace)
        late = Log(self.recorder.repeat)
        for call in self.recorder.calls:
            call.recorder = late
        self.recorder = late


def resolved(value: object) -> object:
    """A value with what calls have returned in their place."""
    if isinstance(value, Call):
        return value.results().get("")
    if isinstance(value, list):
        items = cast("list[object]", value)
        found = any(isinstance(item, Call) for item in items)
        return [resolved(item) for item in items] if found else items
    return value
