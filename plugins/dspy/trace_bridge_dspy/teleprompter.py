"""trace_bridge as one of DSPy's own optimizers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

import trace_bridge


class TraceBridge(Teleprompter):
    """``TraceBridge(metric=...).compile(program, trainset=...)``: a better copy of the program.

    Args:
        metric: a DSPy metric, plain or GEPA style; or a list of them.
        optimizer: a name, class or instance of a trace_bridge optimizer.
        llm: the model that proposes: a ``dspy.LM``, a LiteLLM name or a function; by default
            TRACE_BRIDGE_MODEL, then the program's own model.
        budget: a ``trace_bridge.Budget``.
        engine: a ``trace_bridge.Engine``.
        trainable: globs over the paths of parameters; instructions and demos by default.
    """

    def __init__(
        self,
        metric: Callable[..., Any] | Sequence[Callable[..., Any]],
        optimizer: Any = "auto",
        llm: object = None,
        budget: trace_bridge.Budget | None = None,
        engine: trace_bridge.Engine | None = None,
        trainable: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.metric = metric
        self.optimizer = optimizer
        self.llm = llm
        self.budget = budget
        self.engine = engine
        self.trainable = trainable

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[Any],
        teacher: dspy.Module | None = None,
        valset: Sequence[Any] | None = None,
        testset: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> dspy.Module:
        """Optimize a copy of ``student``, which stays as it is.

        Args:
            student: the program.
            trainset: examples with ``with_inputs``.
            teacher: not used; there for DSPy's interface.
            valset: chooses between candidates; drawn from ``trainset`` when absent.
            testset: decides the verdict; drawn from ``trainset`` when absent.
            kwargs: further arguments of ``trace_bridge.optimize``.

        Returns:
            The new program; its ``detailed_results`` is the ``trace_bridge.Run``.
        """
        if teacher is not None:
            warnings.warn("TraceBridge learns without a teacher: it is not used", stacklevel=2)
        run = trace_bridge.optimize(
            student, trainset, self.metric, valset=valset, testset=testset,
            optimizer=self.optimizer, llm=self.llm, budget=self.budget, engine=self.engine,
            trainable=self.trainable, **kwargs,
        )  # fmt: skip
        program: Any = run.export()
        # GEPA does the same; `_compiled` stays unset, or a parent program would freeze and not
        # save this one.
        program.detailed_results = run
        return program
