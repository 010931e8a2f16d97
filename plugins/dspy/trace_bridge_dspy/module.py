"""A DSPy program as a Module: what it could learn, how it runs, what comes out."""

from __future__ import annotations

import json
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import dspy

from trace_bridge import AgentModule, Recorder, Slot, StandIn, current_call
from trace_bridge_dspy import examples, versions
from trace_bridge_dspy.copies import LightCopy
from trace_bridge_dspy.fingerprint import fingerprint
from trace_bridge_dspy.layout import Layout
from trace_bridge_dspy.running import Attached, Run, write
from trace_bridge_dspy.slots import rebake, signature_of

_FORMATS = ("program", "state")
_SETS_LM = {"context", "configure", "lm", "set_lm", "LM"}


class DSPyModule(AgentModule[dspy.Module]):
    """A Module over a ``dspy.Module``; works with DSPy 3.0 to 3.4.

    Each run executes a light copy of the program that holds the current values. What a copy cannot
    reach (predictors in globals and closures) gets them through the seams.
    """

    framework = "dspy"
    methods = ("__call__", "acall")

    def __init__(self, agent: dspy.Module) -> None:
        versions.require()
        super().__init__(agent)
        self.layout = Layout(agent)
        self.layout.connect(dict(self.named_parameters()))

    def slots(self) -> Sequence[Slot]:
        """Instructions, demonstrations, descriptions of fields and tools."""
        return self.layout.slots

    def problem(self) -> str:
        """Whether no language model is there (and the program sets none itself)."""
        if self.models() or not self.layout.predictors() or self.layout.walk.mentions(_SETS_LM):
            return ""
        return "no language model is configured: dspy.configure(lm=dspy.LM(...))"

    def nothing_to_train(self) -> str:
        """Why there is no slot."""
        return examples.explain_empty(self.layout.walk)

    def run(self, example: Any) -> object | Awaitable[object]:
        """Execute a copy with the current values; a coroutine for programs written for acall."""
        run, inputs = Run(self.layout, self.agent), self.inputs(example)
        if examples.runs_async(self.agent):
            return self._arun(run, inputs)
        with self._entered(run, inputs):
            return run.program(**inputs)

    async def _arun(self, run: Run, inputs: Mapping[str, object]) -> object:
        with self._entered(run, inputs):
            return await run.program.acall(**inputs)

    def _entered(self, run: Run, inputs: Mapping[str, object]) -> ExitStack:
        stack = ExitStack()
        if current_call() is None:  # seams work while something is recorded
            stack.enter_context(Recorder(inputs).recording())
        stack.enter_context(run.entered())
        return stack

    def attached(self) -> AbstractContextManager[object]:
        """A context in which the program itself reads this module's parameters."""
        return Attached(self.layout).entered()

    def parts(self) -> Iterable[tuple[tuple[str, ...], object]]:
        """Modules, predictors and tools."""
        found = [item.value for item in self.layout.walk.found]
        return [(self.layout.sites[id(value)].owners, value) for value in found]

    @contextmanager
    def standing_in(self, *, live: bool) -> Generator[StandIn]:
        """A light copy that keeps what it notes for itself from call to call, or the program."""
        if live:
            yield StandIn(Attached(self.layout).called)
            return
        run = Run(self.layout, self.agent)
        try:
            yield StandIn(run.called)
        finally:
            run.end()

    def inputs(self, example: Any) -> Mapping[str, object]:
        """What of an example the program is called with."""
        return examples.inputs_of(self.agent, example)

    def encode(self, example: Any) -> Any:
        """The example as JSON."""
        return examples.encode(example)

    def fields(self, output: object) -> Mapping[str, object] | None:
        """The fields of a Prediction."""
        return examples.fields_of(output)

    def labelled(self, example: Any) -> Mapping[str, Any]:
        """Demonstrations for predictors all of whose outputs the example labels."""
        found: dict[str, Any] = {}
        for slot in self.layout.slots:
            if slot.kind == "demos":
                predictor = cast("dspy.Predict", slot.owner)
                demo = examples.demonstration(signature_of(predictor), example)
                if demo is not None:
                    found[slot.path] = demo
        return found

    def models(self) -> Sequence[object]:
        """The language models that the predictors would use now."""
        default = dspy.settings.lm
        used = [getattr(p, "lm", None) or default for p in self.layout.predictors()] or [default]
        return list({id(lm): lm for lm in used if lm is not None}.values())

    def fingerprint(self) -> Mapping[str, object]:
        """Code, structure, adapter, models and versions."""
        return {
            "framework": self.framework,
            **fingerprint(self.layout, self.models()),
        }

    def apply(self, state: Mapping[str, object]) -> None:
        """Write ``state`` into the user's program, and make it this module's values."""
        self.resolve(state)
        self._write(state, _itself)
        self.load_state_dict(state)

    def export(self, state: Mapping[str, object], format: str = "") -> object:  # noqa: A002
        """A new program with ``state``; with ``format="state"`` its ``dump_state()``.

        Language models, indexes and other handles are shared with the user's program.

        Raises:
            ValueError: for another format.
        """
        if format and format not in _FORMATS:
            msg = f"unknown format {format!r}; a DSPy program exports as: {', '.join(_FORMATS)}"
            raise ValueError(msg)
        self.resolve(state)
        copy = LightCopy()
        program: dspy.Module = copy.copy(self.agent)
        lost = self._write(state, copy.find)
        if lost:
            warnings.warn(
                f"{', '.join(lost)}: reached through globals, so a copy cannot hold the new value;"
                " apply() writes it",
                stacklevel=2,
            )
        return program.dump_state() if format == "state" else program

    def native(self, state: Mapping[str, object]) -> Mapping[str, Any]:
        """What ``program.save("x.json")`` writes; ``program.load`` ignores other keys in it."""
        program = cast("dspy.Module", self.export(state))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "program.json"
            program.save(str(path))
            return json.loads(path.read_text(encoding="utf-8"))

    def _write(self, state: Mapping[str, object], where: Callable[[object], Any]) -> list[str]:
        """Write into ``where(original)``; gives the paths of changes that had no place.

        Predictors come first, since a tool's new text takes the place of its original text.
        """

        def value(slot: Slot) -> object:
            return state[slot.path] if slot.path in state else slot.get()

        lost: list[str] = []
        found = [item.value for item in self.layout.walk.found]
        for original in sorted(found, key=lambda item: isinstance(item, dspy.Tool)):
            site, target = self.layout.sites[id(original)], where(original)
            if target is None:
                lost += [slot.path for slot in site.slots if value(slot) != slot.get()]
                continue
            write(target, site, value)
            if site.tools:
                rebake(target, site.tools, value)
        return lost


def _itself(original: object) -> object:
    return original
