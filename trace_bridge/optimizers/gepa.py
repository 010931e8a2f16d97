"""GEPA: reflection on runs, a Pareto front of candidates, and merges of them.

The method is Agrawal et al., "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement
Learning" (2025). The reflection prompt and how its answer is read, the choice from the Pareto front
and the merge are the functions of the package ``gepa`` (0.1); the loop around them is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import ClassVar, cast

from trace_bridge.graph import Node, Operator, Parameter, Subgraph, canonical
from trace_bridge.graph.program import Program
from trace_bridge.graph.shown import shown
from trace_bridge.llm.base import LLM, Message
from trace_bridge.optimizers.answer import ask, model_for
from trace_bridge.optimizers.base import (
    Change,
    Optimizer,
    Proposal,
    StepPlan,
    Trial,
    judge_change,
)
from trace_bridge.optimizers.credit import blamed
from trace_bridge.optimizers.reply import ReplyError, Suggestions, after_thinking, check_ended

_OLDEST = (0, 1)  # the first version that has all functions which are called here
_TEXTS = ("prompt", "description", "text")
_PERFECT = 1.0
_ABOVE_ZERO = 1e-9  # GEPA draws ancestors by score, for which these have to be positive
_INPUTS = 50  # of a step that are shown
_LABEL = 60  # characters of an input's name
_HEADINGS = 100  # characters of GEPA's headings for an example, and for what is left out
_FENCE = "```"
_LANGUAGE = re.compile(rf"{_FENCE}(\w*)")


class GEPA(Optimizer):
    """Lets a model reflect on runs of a candidate from the Pareto front, and merges candidates.

    It writes texts (prompts, descriptions), one in a step, with one call. What differs from the
    package's own ``optimize``:

    * The loop, the budget and the acceptance are those of ``trace_bridge.optimize``: a proposal
      may tie on the minibatch, whoever was evaluated on all validation rows is in the pool, and the
      run goes on from the front but returns only what a paired test found better.
    * The text that is rewritten is not the next in a round: only those on the path to an output
      with less than a full score are taken, the one that ``blamed`` ranks first; each proposal
      that was not accepted puts it further back.
    * A merge is tried whenever the newest candidate came into the pool, and has to hold its own on
      a minibatch of training examples instead of five validation rows.
    * An answer that was cut off or holds no block between fences is refused, not adopted whole;
      the model is told why, once.
      Descriptions and constraints are told below the package's prompt.

    Args:
        parameters: see ``Optimizer``; those that are no texts are left alone.
        llm: the model that reflects. By default that of TRACE_BRIDGE_MODEL.
        minibatch: how many runs it is shown.
        merge: whether candidates are merged.
        template: instead of the package's prompt; has ``<curr_param>`` and ``<side_info>``.
        limit: characters that a value of a run takes in the prompt.
        budget: characters of the prompt without the text that is rewritten.
        seed: see ``Optimizer``.

    Raises:
        ModuleNotFoundError: gepa is not installed, or an older one than 0.1.
        ValueError: ``template`` lacks a placeholder.
    """

    name: ClassVar[str] = "gepa"
    needs_llm: ClassVar[bool] = True

    def __init__(
        self, parameters: Iterable[Parameter | Operator[..., object]] = (), llm: LLM | None = None,
        *, minibatch: int = 3, merge: bool = True, template: str | None = None, limit: int = 2000,
        budget: int = 60_000, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, llm, seed=seed)
        _require_package()
        from gepa.strategies.instruction_proposal import InstructionProposalSignature

        InstructionProposalSignature.validate_prompt_template(template)
        self.minibatch = minibatch
        self.merge = merge
        self.template = template or InstructionProposalSignature.default_prompt_template
        self.limit = limit
        self.budget = budget

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """One proposal, which changes a candidate of the front or the better one of a merge."""
        merged = self._merged(history)
        start = merged.start if merged else self._chosen(history)
        return StepPlan(self.name, self.minibatch, proposals=1, gated=True, start=start)

    def settings(self) -> Mapping[str, object]:
        """See ``Optimizer``."""
        return {
            **super().settings(), "minibatch": self.minibatch, "merge": self.merge,
            "template": self.template, "limit": self.limit, "budget": self.budget,
        }  # fmt: skip

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """The merge that was planned; else new texts for up to ``n`` parameters.

        Raises:
            ValueError: if there is no model to ask.
            ModelUnavailableError, BudgetExhaustedError: see ``complete``.
        """
        merged = self._merged(history)
        merger = merged.proposal(parameters, history) if merged else None
        if merger is not None:
            return [merger]
        llm = model_for(self)
        ranked = _ranked(subgraphs, parameters, history)
        return [await self._reflected(llm, parameter, subgraphs) for parameter in ranked[:n]]

    # ------------------------------------------------------------------ reflection

    async def _reflected(
        self, llm: LLM, parameter: Parameter, subgraphs: Sequence[Subgraph]
    ) -> Proposal:
        """A new text for ``parameter``; what cannot be used is told to the model once."""
        from gepa.strategies.instruction_proposal import InstructionProposalSignature

        prompt = InstructionProposalSignature.prompt_renderer(
            {
                "current_instruction_doc": parameter.peek(),
                "dataset_with_feedback": self._records(parameter, subgraphs),
                "prompt_template": self.template,
            }
        )
        told = {"It is for:": parameter.description, "It has to be:": parameter.constraint}
        lines = [f"{title} {text}" for title, text in told.items() if text]
        text = "\n\n".join([cast("str", prompt), *lines])  # no records of ours hold images
        messages: list[Message] = [{"role": "user", "content": text}]
        read = partial(_read, parameter.name)
        program = Program([parameter])
        return await ask(llm, program, messages, self.name, read=read, told=[self.template])

    def _records(
        self, parameter: Parameter, subgraphs: Sequence[Subgraph]
    ) -> list[dict[str, object]]:
        """What the steps that read ``parameter`` were given, made of it, and what came of that."""
        room = self.budget // 2 // max(1, len(subgraphs))  # for headings; values take the rest
        steps = [_steps(graph, parameter, room) for graph in subgraphs]
        found = [
            (graph, node)
            for graph, (_, last) in zip(subgraphs, steps, strict=True)
            for node in last
        ]
        values = sum(len(_given(graph, node)) + 1 + len(graph.feedback) for graph, node in found)
        headings = sum(_headings(graph, node) for graph, node in found)
        limit = min(self.limit, (self.budget - headings) // max(1, values))
        records = [_record(graph, node, limit) for graph, node in found]
        if missing := sum(earlier for earlier, _ in steps):
            records.append({"Left out": f"{missing} earlier steps of the same runs"})
        return records

    # ------------------------------------------------------------------ the pool

    def _chosen(self, history: Sequence[Trial]) -> Mapping[str, object]:
        """A candidate of the front, drawn by how many rows it is best on."""
        from gepa.gepa_utils import select_program_candidate_from_pareto_front

        pool = _Pool.of(history)
        if not pool.front:
            return {}
        generator = self.random(history)
        at = select_program_candidate_from_pareto_front(pool.front, pool.scores, generator)
        return pool.trials[at].state

    def _merged(self, history: Sequence[Trial]) -> _Merged | None:
        """Two of the front as one, by their common ancestor, if one is due and not tried yet."""
        from gepa.gepa_utils import (
            find_dominator_programs,  # pyright: ignore[reportUnknownVariableType]
        )
        from gepa.proposer.merge import sample_and_attempt_merge_programs_by_common_predictors

        pool = _Pool.of(history)
        if not self.merge or len(pool.trials) < 3 or pool.trials[-1] is not history[-1]:
            return None
        names = list(pool.trials[0].state)
        # GEPA walks a set of the names. That of numbers has the same order in every process.
        programs = [
            {number: canonical(trial.state[name]) for number, name in enumerate(names)}
            for trial in pool.trials
        ]
        shift = _ABOVE_ZERO - min(0.0, *pool.scores)
        ends = cast("list[int]", find_dominator_programs(pool.front, pool.scores))
        generator = self.random(history)
        tried = {canonical(trial.state) for trial in history}
        done: tuple[list[tuple[int, int, int]], list[tuple[int, int, tuple[int, ...]]]] = ([], [])
        while True:
            found = sample_and_attempt_merge_programs_by_common_predictors(
                agg_scores=[score + shift for score in pool.scores],
                rng=generator,
                merge_candidates=ends,
                merges_performed=done,
                program_candidates=cast("list[dict[str, str]]", programs),
                parent_program_for_candidate=pool.parents(),
            )
            if found is None:
                return None
            program, one, other, ancestor = found
            values = {
                canonical(pool.trials[at].state[name]): pool.trials[at].state[name]
                for at in (one, other, ancestor)
                for name in names
            }
            chosen = cast("dict[int, str]", program)
            state = {name: values[chosen[number]] for number, name in enumerate(names)}
            if canonical(state) not in tried:
                better = max((one, other), key=lambda at: (pool.scores[at], -at))
                of = ", ".join(str(pool.trials[at].number) for at in (one, other))
                why = f"merge of trials {of} from trial {pool.trials[ancestor].number}"
                return _Merged(pool.trials[better].state, state, why)
            done[0].append((one, other, ancestor))


def _read(name: str, text: str, finish_reason: str) -> Suggestions:
    """What a reply in GEPA's form, a text between fences, suggests for the one variable."""
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    check_ended(finish_reason)
    text = after_thinking(text)
    if text.count(_FENCE) < 2 or text.count(_FENCE) % 2:
        msg = f"the reply holds no text between {_FENCE}"
        raise ReplyError(msg)
    if _several_blocks(text):
        msg = (
            f"the reply holds several texts between {_FENCE}: give one; a block inside it begins"
            f" with the name of its language, as in {_FENCE}text"
        )
        raise ReplyError(msg)
    found = InstructionProposalSignature.output_extractor(text)["new_instruction"]
    return Suggestions({name: found}, "reflection")


def _several_blocks(text: str) -> bool:
    """Whether a block ends before the last fence. The package takes all up to that as one."""
    languages = _LANGUAGE.findall(text)
    depth = 1
    for language in languages[1:-1]:
        depth += 1 if language else -1
        if not depth:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Pool:
    """The candidates that were evaluated on all validation rows, each once.

    Attributes:
        front: by row, the places in ``trials`` of those that are best on it.
    """

    trials: Sequence[Trial]
    scores: list[float]
    front: Mapping[int, set[int]]

    @classmethod
    def of(cls, history: Sequence[Trial]) -> _Pool:
        rows = max((len(trial.scores) for trial in history), default=0)
        whole = [trial for trial in history if rows and len(trial.scores) == rows]
        first = {canonical(trial.state): trial for trial in reversed(whole)}
        trials = [trial for trial in whole if first[canonical(trial.state)] is trial]
        front: dict[int, set[int]] = {}
        for row in trials[0].scores if trials else ():
            best = max(trial.scores.get(row, 0.0) for trial in trials)
            front[row] = {
                at for at, trial in enumerate(trials) if trial.scores.get(row, 0.0) == best
            }
        return cls(trials, [trial.score or 0.0 for trial in trials], front)

    def parents(self) -> list[list[int | None]]:
        """For each candidate the place of the one that it changed."""
        places = {canonical(trial.state): at for at, trial in enumerate(self.trials)}
        found: list[list[int | None]] = []
        for at, trial in enumerate(self.trials):
            old = {c.path: c.old for c in trial.proposal.changes if c.accepted}
            parent = places.get(canonical({**trial.state, **old}), at)
            found.append([parent if parent < at else None])
        return found


@dataclass(frozen=True, slots=True)
class _Merged:
    """A merge, and the better one of the two, which it is tried against."""

    start: Mapping[str, object]
    state: Mapping[str, object]
    why: str

    def proposal(
        self, parameters: Sequence[Parameter], history: Sequence[Trial]
    ) -> Proposal | None:
        """The merge of these parameters; None if that was tried, or another candidate is run."""
        named = {p.name: p for p in parameters if p.name in self.state}
        if any(canonical(p.peek()) != canonical(self.start[name]) for name, p in named.items()):
            return None
        changes: list[Change] = [
            judge_change(p, self.state[name])
            for name, p in named.items()
            if canonical(self.state[name]) != canonical(self.start[name])
        ]
        proposal = Proposal(tuple(changes), self.why, GEPA.name)
        made = canonical({**self.start, **proposal.state})
        return None if any(made == canonical(trial.state) for trial in history) else proposal


def _ranked(
    subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter], history: Sequence[Trial]
) -> list[Parameter]:
    """The texts on the way to outputs without a full score, the one to blame most first."""
    vain = [
        change.path
        for trial in history
        if trial.proposal.optimizer == GEPA.name and trial.fate != "accepted"
        for change in trial.proposal.changes
    ]
    lacking = [graph for graph in subgraphs if graph.score is None or graph.score < _PERFECT]
    blame = {
        found.parameter: found.total / (1 + vain.count(found.parameter.name))
        for found in blamed(subgraphs, parameters)
        if found.parameter.kind in _TEXTS
        and any(found.parameter in graph.values for graph in lacking)
    }
    return sorted(blame, key=lambda parameter: -blame[parameter])


def _steps(graph: Subgraph, parameter: Parameter, room: int) -> tuple[int, list[Node]]:
    """The last steps that read ``parameter``, as many as there is room for, and how many before."""
    readers = [
        node
        for node in graph.nodes
        if any(parent is parameter for parent in node.parents)  # == would be an operator
    ]
    taken = list(accumulate(_headings(graph, node) for node in reversed(readers)))
    kept = max(1, sum(end <= room for end in taken))
    return max(0, len(readers) - kept), readers[-kept:]


def _headings(graph: Subgraph, node: Node) -> int:
    """The characters that GEPA's form takes around the values of a step, at the most."""
    return _HEADINGS + sum(len(name) + len("### \n\n") for name, _ in _given(graph, node))


def _given(graph: Subgraph, node: Node) -> list[tuple[str, Node]]:
    """The inputs of a step that are shown, by their labels or names."""
    parents, labels = graph.inputs(node)
    found = [
        ((label or parent.name)[:_LABEL], parent)
        for parent, label in zip(parents, labels, strict=True)
        if not parent.trainable
    ]
    return found[:_INPUTS]


def _record(graph: Subgraph, node: Node, limit: int) -> dict[str, object]:
    """An example in GEPA's form."""
    given = {name: shown(parent.peek(), limit) for name, parent in _given(graph, node)}
    missing = sum(not parent.trainable for parent in graph.inputs(node)[0]) - _INPUTS
    if missing > 0:
        given["left out"] = f"{missing} more inputs"
    feedback = "\n".join(shown(str(said), limit) for _, said in graph.feedback)
    output = shown(node.peek(), limit)
    return {"Inputs": given, "Generated Outputs": output, "Feedback": feedback}


def _require_package() -> None:
    from importlib.metadata import PackageNotFoundError, version

    remedy = "pip install 'trace-bridge[gepa]'"
    try:
        found = version("gepa")
    except PackageNotFoundError as error:
        msg = f"the gepa optimizer needs the package gepa: {remedy}"
        raise ModuleNotFoundError(msg, name="gepa") from error
    if tuple(int(part) for part in found.split(".")[:2]) < _OLDEST:
        msg = f"the gepa optimizer needs gepa 0.1 or newer, and {found} is installed: {remedy}"
        raise ModuleNotFoundError(msg, name="gepa")
