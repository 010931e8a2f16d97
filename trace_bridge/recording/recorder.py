"""The recorder: a framework's start and end events become nodes.

While the agent runs, events are only noted (what was passed, returned and read, by reference).
Edges are worked out when the run is over (``trace_bridge.recording.linker``), because a read can
only be judged once it is known where the value went.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType

from trace_bridge.graph import Parameter

_sequence = itertools.count()  # next() is atomic: one order for the events of all threads


class Call:
    """One call of a component, as it was seen.

    ``component`` calls (a model call, a tool) become nodes. A call that only contains others is
    a *frame*: it becomes a node only if it made something new out of what they returned.

    Attributes:
        causes: calls whose outcome decided that this one happens (a router's, say).
        pieces: what a stream gave one by one; their identity proves as much as the output's.
    """

    __slots__ = (
        "causes", "description", "ended", "error", "fields", "inputs", "op", "output",
        "parameters", "parent", "pieces", "recorder", "started",
    )  # fmt: skip

    def __init__(
        self, recorder: Recorder, parent: Call | None, op: str, inputs: Mapping[str, object],
        parameters: Mapping[str, Parameter] | None, description: str,
    ) -> None:  # fmt: skip
        self.recorder = recorder
        self.parent = parent
        self.op = op
        self.inputs = inputs
        self.parameters = parameters
        self.description = description
        self.output: object = None
        self.fields: Mapping[str, object] = {}
        self.causes: Sequence[Call] = ()
        self.pieces: list[object] = []
        self.error: BaseException | None = None
        self.ended = -1
        self.started = next(_sequence)

    @property
    def is_frame(self) -> bool:
        """Whether this call only contains others."""
        return self.parameters is None

    def returns(self, output: object, fields: Mapping[str, object] | None = None) -> None:
        """Note the result; ``fields`` names its parts, when it is a record of several values."""
        self.output = output
        self.fields = {"": output} if fields is None else dict(fields)

    def because(self, *causes: Call) -> None:
        """Note the calls whose outcome decided that this one happens."""
        self.causes = (*self.causes, *causes)

    def yields(self, piece: object) -> None:
        """Note a piece of a streamed result; ``returns`` tells the whole when it is there.

        The inputs of such a call may arrive while it runs: they are looked at when it has ended.
        """
        self.pieces.append(piece)

    def component(
        self, op: str, inputs: Mapping[str, object], parameters: Mapping[str, Parameter],
        description: str = "",
    ) -> AbstractContextManager[Call]:  # fmt: skip
        """Record a call, inside this one, of something that makes values; yields the call.

        Args:
            op: the component's name, as its path has it.
            inputs: what was passed, by argument name; kept by reference.
            parameters: what the component reads of its own, by slot name.
            description: what the component does, for a model to read.
        """
        return _Inside(Call(self.recorder, self, op, inputs, parameters, description))

    def frame(
        self, op: str, inputs: Mapping[str, object], description: str = ""
    ) -> AbstractContextManager[Call]:
        """Record a call, inside this one, of something that only calls others; yields the call."""
        return _Inside(Call(self.recorder, self, op, inputs, None, description))

    def begin(
        self, op: str, inputs: Mapping[str, object], parameters: Mapping[str, Parameter],
        description: str = "",
    ) -> Call:  # fmt: skip
        """As ``component``, for one that ends in another context (a generator's): see ``end``."""
        call = Call(self.recorder, self, op, inputs, parameters, description)
        self.recorder.calls.append(call)
        return call

    def end(self, error: BaseException | None = None) -> None:
        """What has begun has ended, perhaps by an exception."""
        self.error = error
        self.ended = next(_sequence)

    @contextmanager
    def entered(self) -> Generator[None]:
        """Record below this call in a thread that did not inherit the context."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class _Inside(AbstractContextManager["Call"]):
    """Records a call while it is entered; a class, since a generator takes three times as long."""

    __slots__ = ("call", "token")

    def __init__(self, call: Call) -> None:
        self.call = call

    def __enter__(self) -> Call:
        self.call.recorder.calls.append(self.call)
        self.token = _current.set(self.call)
        return self.call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.call.end(error)
        _current.reset(self.token)


_current: ContextVar[Call | None] = ContextVar("current_call", default=None)


def current_call() -> Call | None:
    """The innermost call that is being recorded in this context, or None outside a run of ours."""
    return _current.get()


def note_read(value: object, name: str) -> None:
    """Note that the running code read the part ``name`` of ``value``, a component's output."""
    call = _current.get()
    if call is not None:
        call.recorder.reads.append((next(_sequence), call, id(value), name))


class Recorder:
    """Collects the calls of one run of an agent.

    Args:
        inputs: what the agent was given, by name.
        repeat: above 0 for a repeated run, which wants fresh samples and no cached ones.
    """

    def __init__(self, inputs: Mapping[str, object] | None = None, repeat: int = 0) -> None:
        self.inputs = dict(inputs or {})
        self.repeat = repeat
        self.calls: list[Call] = []
        self.reads: list[tuple[int, Call, int, str]] = []
        self.root = Call(self, None, "agent", self.inputs, None, "")

    @contextmanager
    def recording(self) -> Generator[Call]:
        """Record what this context (and what inherits it) does; yields the outermost frame."""
        token = _current.set(self.root)
        try:
            yield self.root
        except BaseException as error:
            self.root.error = error
            raise
        finally:
            self.root.ended = next(_sequence)
            _current.reset(token)

    def used(self) -> Sequence[Parameter]:
        """The parameters that recorded calls read, each once."""
        found: dict[Parameter, None] = {}
        for call in self.calls:
            found.update(dict.fromkeys((call.parameters or {}).values()))
        return list(found)
