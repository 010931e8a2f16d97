"""OPRO: a model reads which values scored how, and proposes better ones.

The method is Yang et al., "Large Language Models as Optimizers" (2023): a prompt with the best
values so far in ascending order of their scores and some examples of the task, and several
proposals a step. It looks at no graph. The wording and the reply format are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from trace_bridge.graph import Operator, Parameter, Subgraph, canonical
from trace_bridge.graph.kinds import kind_named
from trace_bridge.graph.program import Program, fitted
from trace_bridge.graph.shown import shortened, shown
from trace_bridge.llm.base import LLM, Message
from trace_bridge.optimizers.answer import FORM, ask, model_for
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial

_EXAMPLE = 4  # values of full length take as much as an example may

_SYSTEM = f"""\
You look for values of variables that score as high as possible. You are shown values that were \
tried with the scores that they got, the worst first and the best last, and some examples of what \
they are used for. See what the better ones have in common, and propose values that are different \
from all that were tried and will score higher. Keep whatever a constraint asks for, and \
placeholders in braces.

{FORM}"""


class OPRO(Optimizer):
    """Asks a model for values that score higher than those that it is shown.

    A proposal costs one call. Scores are what it learns from: feedback in words only reaches it
    with the examples.

    Args:
        parameters: see ``Optimizer``; demonstrations are left alone.
        llm: the model that proposes. By default that of TRACE_BRIDGE_MODEL.
        memory: how many of the best candidates the model is shown.
        exemplars: how many examples of the minibatch it is shown.
        proposals: how many candidates a step proposes.
        limit: characters that a value, or what was said of it, takes in an example (which takes
            four times as many at most), or a value that was tried in the list.
        budget: characters for the list, of which the worst are left out first.
        seed: see ``Optimizer``.
    """

    name: ClassVar[str] = "opro"
    needs_llm: ClassVar[bool] = True

    def __init__(
        self, parameters: Iterable[Parameter | Operator[..., object]] = (), llm: LLM | None = None,
        *, memory: int = 20, exemplars: int = 3, proposals: int = 4, limit: int = 2000,
        budget: int = 40_000, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, llm, seed=seed)
        self.memory = memory
        self.exemplars = exemplars
        self.proposals = proposals
        self.limit = limit
        self.budget = budget

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """Some proposals, straight to the validation rows, whose scores are what is shown."""
        return StepPlan(self.name, self.exemplars, self.proposals, gated=False)

    def settings(self) -> Mapping[str, object]:
        """See ``Optimizer``."""
        return {
            **super().settings(), "memory": self.memory, "exemplars": self.exemplars,
            "proposals": self.proposals, "limit": self.limit, "budget": self.budget,
            "prompt": _SYSTEM,
        }  # fmt: skip

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Ask ``n`` times; the model is told what it has proposed in this step already.

        Raises:
            ValueError: if there is no model to ask.
            ModelUnavailableError, BudgetExhaustedError: see ``complete``.
        """
        llm = model_for(self)
        asked = [parameter for parameter in parameters if parameter.kind != "demos"]
        if not asked:
            return []
        program = Program(asked, self.limit)
        examples = "\n".join(_example(graph, self.limit) for graph in subgraphs[: self.exemplars])
        proposals: list[Proposal] = []
        for _ in range(n):
            sections = {
                "variables": program.variables(),
                "tried, the best last": self._tried(program, history),
                "proposed already, without a score so far": "\n".join(
                    self._listed(program, proposal.state)
                    for proposal in proposals
                    if proposal.state
                ),
                "examples": examples,
            }
            text = "\n\n".join(f"# {name}\n{body}" for name, body in sections.items() if body)
            messages: list[Message] = [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": text},
            ]
            proposals.append(await ask(llm, program, messages, self.name))
        return proposals

    def _tried(self, program: Program, history: Sequence[Trial]) -> str:
        """The best of what was tried, each once, in ascending order and within the budget."""
        latest = {
            canonical({p.name: trial.state.get(p.name) for p in program.parameters}): trial
            for trial in history
            if trial.score is not None
        }
        ranked = sorted(latest.values(), key=lambda trial: (trial.score or 0, trial.number))
        kept: list[str] = []
        room = self.budget
        for trial in reversed(ranked[-self.memory :] if self.memory else []):
            line = f"score {trial.score:.3g}:\n{self._listed(program, trial.state)}"
            room -= len(line) + 1
            if room < 0 and kept:
                break
            kept.append(line)
        return "\n".join(reversed(kept))

    def _listed(self, program: Program, state: Mapping[str, object]) -> str:
        """The values of a candidate, by name."""
        values = {
            program.name_of(p): kind_named(p.kind).show(state[p.name])
            for p in program.parameters
            if p.name in state
        }
        return "\n".join(
            f'<value of="{name}">\n{shortened(value, self.limit)}\n</value>'
            for name, value in values.items()
        )


def _example(graph: Subgraph, limit: int) -> str:
    """What went in and what came out, with what was said of it; nothing of what lay between."""
    given = [
        node
        for node in graph.nodes
        if not (node.trainable or node.parents or node.op == "constant" == node.name)
    ]
    lines = [f"{node.name}: {shown(node.peek(), limit)}" for node in given]
    lines += [
        f"-> {shown(node.peek(), limit)}\n   {shown(str(said), limit)}"
        for node, said in graph.feedback
    ]
    return f"<example>\n{fitted(lines, _EXAMPLE * limit)}\n</example>"
