"""The drop-in callback: record a chain's own runs, and run them with tuned values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.runnables.configurable import DynamicRunnable

from trace_bridge import Node, Parameter, Recorder, UnsafeCodeError, code_runner, link
from trace_bridge import load as load_tuned
from trace_bridge_langchain import examples
from trace_bridge_langchain.entries import entry_seams
from trace_bridge_langchain.module import LangChainModule
from trace_bridge_langchain.running import Attached, Recorded
from trace_bridge_langchain.seams import instrumented

_log = logging.getLogger("trace_bridge")
_KEPT = 32  # outputs that are kept for whoever gives feedback later; what they hold takes memory


class TraceCallback(BaseCallbackHandler):
    """Pass it in ``config={"callbacks": [...]}`` of an unchanged chain or graph.

    Runs of the chain (with this callback) are recorded, and use the values that an optimizer's
    ``step`` has set, or those of a file that ``Run.save`` wrote. The chain itself is not written.

    Args:
        chain: the runnable that will be called.
        load: a file with tuned values.
        raise_error: let errors of trace_bridge's own end the run. Otherwise each is logged once,
            and the chain goes on with its own values.
        unsafe: see ``LangChainModule``.

    Raises:
        TypeError: ``chain`` is no runnable.
    """

    def __init__(
        self, chain: Runnable[Any, Any], load: str | Path | None = None, *,
        raise_error: bool = False, unsafe: bool = False,
    ) -> None:  # fmt: skip
        if not isinstance(cast("object", chain), Runnable):
            kind = type(chain).__qualname__
            msg = f"TraceCallback takes the Runnable that will be called, and this is a {kind}"
            raise TypeError(msg)
        self.module = LangChainModule(chain, unsafe=unsafe)
        self.raise_error = raise_error
        self._runs: list[Recorder | Node] = []
        self._logged: set[str] = set()
        self._stack = ExitStack()
        if load is not None:
            _load(load, self.module)
        self._stack.enter_context(instrumented())
        self._stack.enter_context(entry_seams(type(chain), _callback))

    @property
    def outputs(self) -> list[Node]:
        """What the latest runs returned (or how they failed), as nodes to give feedback to."""
        # edges are worked out when somebody wants them, and not while the chain runs
        self._runs = [run if isinstance(run, Node) else link(run) for run in self._runs]
        return [run for run in self._runs if isinstance(run, Node)]

    @property
    def output(self) -> Node:
        """What the chain returned last.

        Raises:
            RuntimeError: no run has ended yet.
        """
        if not self._runs:
            msg = "nothing is recorded yet: invoke the chain with this callback in its config first"
            raise RuntimeError(msg)
        if not isinstance(self._runs[-1], Node):
            self._runs[-1] = link(self._runs[-1])
        return self._runs[-1]

    def parameters(self) -> list[Parameter]:
        """The parameters that are trained by default, as an optimizer takes them."""
        known = dict(self.module.named_parameters())
        return [known[path] for path in self.module.default_paths()]

    def close(self) -> None:
        """Take the seams away; the callback does nothing any more."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __copy__(self) -> Self:
        return self  # LangChain copies handlers with their managers

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def knows(self, runnable: object) -> bool:
        """Whether ``runnable`` is the chain, or a part of it, or one of them configured."""
        known = id(runnable) in self.module.layout.walk.found
        return known or (isinstance(runnable, DynamicRunnable) and self.knows(runnable.default))

    def without(self, config: object) -> object:
        """``config`` without this handler: the run is marked otherwise from here on."""
        if not isinstance(config, Mapping):
            return config
        held: Any = config.get("callbacks")
        if not isinstance(held, list):
            return config
        left = [handler for handler in held if handler is not self]
        return {**config, "callbacks": left or None}

    def run(self, given: object) -> Recorded:
        """One run of the chain, which is recorded when it is over."""
        where = Attached(self.module.layout, self.module.state_dict)
        try:
            # what cannot be copied, or not be run, shows now
            if where.copy is not self.module.layout.unchanged:
                self._check_leave()
        except Exception as error:
            if self.raise_error:
                raise
            if repr(error) not in self._logged:
                self._logged.add(repr(error))
                _log.exception("trace_bridge could not set these values; the chain keeps its own")
            where = Attached(self.module.layout, dict)
        return Recorded(where, Recorder(examples.by_name(given)), self._keep)

    def _check_leave(self) -> None:
        layout = self.module.layout
        changed = layout.changed_code(self.module.state_dict())
        if changed and not layout.unsafe and code_runner.get() is None:
            msg = (
                f"{', '.join(changed)}: the source has changed, and no code runner is configured to"
                " run it: pass TraceCallback(chain, unsafe=True) to run it in this process"
            )
            raise UnsafeCodeError(msg)

    def _keep(self, recorder: Recorder) -> None:
        self._runs.append(recorder)
        del self._runs[:-_KEPT]


# It wants no events: what it needs, the seams note, and LangChain need not prepare any for it.
for _event in ("agent", "chain", "chat_model", "custom_event", "llm", "retriever", "retry"):
    setattr(TraceCallback, f"ignore_{_event}", True)


def _load(file: str | Path, module: LangChainModule) -> None:
    tuned = load_tuned(file)
    tuned.check(module, tuned.state)
    module.load_state_dict({**module.state_dict(), **tuned.state})


# ---------------------------------------------------------------------------- entry


def _callback(self: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TraceCallback | None:
    """The callback in the config of a call, of the runnable, or of the call around it."""
    given = kwargs.get("config") or next((a for a in args[1:] if isinstance(a, (dict, list))), None)
    for config in given if isinstance(given, list) else (given,):
        if config and (found := _handler(self, config)) is not None:
            return found
    # LangChain's own way to pass a config on to calls inside functions
    for config in (getattr(self, "config", None), var_child_runnable_config.get()):
        if isinstance(config, Mapping) and (found := _handler(self, config)) is not None:
            return found
    return None


def _handler(runnable: Any, config: Mapping[str, Any]) -> TraceCallback | None:
    callbacks: Any = config.get("callbacks")
    handlers = callbacks if isinstance(callbacks, list) else getattr(callbacks, "handlers", ())
    for handler in handlers:
        if isinstance(handler, TraceCallback) and handler.knows(runnable):
            return handler
    return None
