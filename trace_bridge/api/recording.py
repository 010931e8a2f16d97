"""``record``: run any agent yourself and get its graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from trace_bridge import plugins
from trace_bridge.api.native import NativeModule
from trace_bridge.api.wrapping import module_of
from trace_bridge.graph import Node, Parameter
from trace_bridge.recording import Recorder
from trace_bridge.recording.agent import AgentModule
from trace_bridge.recording.linker import link_steps


class Recording:
    """What a recorded block did."""

    def __init__(self, module: AgentModule[Any]) -> None:
        self._module = module
        self._output: Node | None = None
        self._steps: list[Node] = []

    @property
    def output(self) -> Node:
        """What the agent returned last (or how it failed), as a node to give feedback to.

        Raises:
            RuntimeError: inside the block, or if the agent was not called in it.
        """
        if self._output is None:
            msg = (
                "nothing is recorded yet: call the agent inside the block, and read output after it"
            )
            raise RuntimeError(msg)
        return self._output

    @property
    def steps(self) -> list[Node]:
        """What each call of the agent in the block returned, in order, in one graph.

        One step alone is ``steps[2].backward("too slow", since=steps[1])``. Empty inside the block.
        """
        return self._steps

    def parameters(self) -> list[Parameter]:
        """The parameters that are trained by default, as an optimizer takes them."""
        known = dict(self._module.named_parameters())
        return [known[path] for path in self._module.default_paths()]

    def finish(self, recorder: Recorder) -> None:
        """Work out the graph of what was recorded."""
        outermost = [
            call for call in recorder.calls if call.parent is recorder.root and call.ended >= 0
        ]
        outermost.sort(key=lambda call: call.ended)
        if outermost and recorder.root.error is None:
            last = outermost[-1]
            recorder.root.returns(last.output, last.fields)
        if outermost or recorder.root.error is not None:
            self._output, self._steps = link_steps(recorder, outermost)


@contextmanager
def record(agent: object) -> Generator[Recording]:
    """Record what ``agent`` does when it is called in the block, with the current values.

    Values that ``optimizer.step()`` has set hold for later blocks over the same agent; the
    agent itself is never written.

    Raises:
        TypeError: no plugin knows the agent, the one that does has no ``attached``, or the agent
            needs none because it makes nodes by itself.
    """
    manager = plugins.installed()
    module = _module(agent)
    if isinstance(module, NativeModule):
        msg = "a native agent records itself: give feedback to the node that it returns"
        raise TypeError(msg)
    if type(module.outer).attached is AgentModule[Any].attached:
        msg = (
            f"the plugin for {module.framework or type(agent).__qualname__} cannot record an"
            f" agent's own calls: {type(module.outer).__qualname__} has no attached(); use optimize"
        )
        raise TypeError(msg)
    recording = Recording(module)
    recorder = Recorder()
    try:
        with plugins.instrumented(manager), module.attached(), recorder.recording():
            yield recording
    finally:
        recording.finish(recorder)


# The base values that ``step`` changes belong to the agent's Module, so it has to be found again.
# A Module holds its agent: only the latest are kept, so that agents are not kept for ever.
_KEPT = 32
_modules: OrderedDict[int, AgentModule[Any]] = OrderedDict()


def _module(agent: object) -> AgentModule[Any]:
    found = _modules.pop(id(agent), None)
    # if no value was set, the agent's own present values are to be used
    if found is None or not _stepped(found):
        found = module_of(agent, plugins.installed())
    _modules[id(agent)] = found
    while len(_modules) > _KEPT:
        _modules.popitem(last=False)
    return found


def _stepped(module: AgentModule[Any]) -> bool:
    parameters = dict(module.named_parameters())
    return any(slot.get() != parameters[slot.path].base for slot in module.slots())
