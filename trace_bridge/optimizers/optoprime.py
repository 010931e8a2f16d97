"""OptoPrime: one model call per step reads the subgraphs as a program and rewrites parameters.

After Cheng, Nie and Swaminathan, "Trace is the Next AutoDiff" (2024), section 4; the wording and
the reply format are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from trace_bridge.graph import Operator, Parameter, Subgraph
from trace_bridge.llm.base import LLM, Message
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial, reached

if TYPE_CHECKING:
    from trace_bridge.graph.program import Program

_TASK = """\
You improve a program by changing its variables. You are shown the variables, runs of the program \
as steps with their values, and the feedback that the outputs got. Find out which variable is to \
blame for bad feedback, and give it a value that will do better on new inputs too: general rules, \
not answers to the shown cases. Keep whatever a constraint asks for, and placeholders in braces.

"""
_RANKED = "\n\nThe variable that the runs make most suspect is shown first."


class OptoPrime(Optimizer):
    """Asks a model for better values.

    Args:
        parameters: see ``Optimizer``.
        llm: the model that proposes; a strong one. By default that of TRACE_BRIDGE_MODEL.
        memory: how many of the best earlier candidates the model is shown, and as many of the
            latest that failed on a minibatch, with scores and what was said of them.
        minibatch: how many runs it is shown.
        mask: whether operations and inputs are hidden, so that it sees variables, outputs and
            feedback only: the seeds' ablation *Masked*.
        limit: characters that a single value of a run may take in the prompt.
        budget: characters of the whole prompt, which all runs of the minibatch share; 60,000 are
            about 15,000 tokens. See ``Program.text`` for what is cut, and for what never is.
        seed: see ``Optimizer``.
    """

    name: ClassVar[str] = "optoprime"
    needs_llm: ClassVar[bool] = True

    def __init__(
        self, parameters: Iterable[Parameter | Operator[..., object]] = (), llm: LLM | None = None,
        *, memory: int = 3, minibatch: int = 6, limit: int = 2000, budget: int = 60_000,
        mask: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, llm, seed=seed)
        self.memory = memory
        self.minibatch = minibatch
        self.limit = limit
        self.budget = budget
        self.mask = mask

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """One proposal a step, in answer to the minibatch."""
        return StepPlan(self.name, self.minibatch, proposals=1, gated=True)

    def settings(self) -> Mapping[str, object]:
        """See ``Optimizer``."""
        return {
            **super().settings(), "memory": self.memory, "minibatch": self.minibatch,
            "limit": self.limit, "budget": self.budget, "mask": self.mask,
            "prompt": self._system(),
        }  # fmt: skip

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Ask for new values of the parameters that the feedback reached, ``n`` times.

        The model is shown first those that ``blamed`` ranks first, unless ``mask`` hides the graph.

        Raises:
            ValueError: if there is no model to ask.
            ModelUnavailableError, BudgetExhaustedError: see ``complete``.
        """
        # loaded with the first step: a program that only runs a tuned agent needs none of it
        from trace_bridge.graph.program import Program
        from trace_bridge.optimizers.answer import ask, model_for
        from trace_bridge.optimizers.credit import blamed

        llm = model_for(self)
        found = reached(subgraphs, parameters)
        if len(found) > 1 and not self.mask:
            found = [blame.parameter for blame in blamed(subgraphs, found)]
        found = [parameter for parameter in found if parameter.kind != "demos"]
        if not found:
            return []
        program = Program(found, self.limit)
        if self.mask:
            subgraphs = [graph.masked() for graph in subgraphs]
        messages = self._messages(program, subgraphs, history)
        return [await ask(llm, program, messages, self.name) for _ in range(n)]

    def _system(self) -> str:
        from trace_bridge.optimizers.answer import FORM

        return _TASK + FORM + ("" if self.mask else _RANKED)

    def _messages(
        self, program: Program, subgraphs: Sequence[Subgraph], history: Sequence[Trial]
    ) -> list[Message]:
        from trace_bridge.optimizers.prompt import prompt

        scored = [trial for trial in history if trial.score is not None]
        best = sorted(scored, key=lambda trial: trial.score or 0)[-self.memory :]
        # what was too bad to be scored, or else it would be proposed again
        bad = [trial for trial in history if trial.score is None and trial.feedback]
        shown = [*bad[-self.memory :], *best] if self.memory else []
        system = self._system()
        text = prompt(program, subgraphs, shown, self.budget - len(system))
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]
