"""The conformance suite for optimizers: what ``optimize`` relies on, one test per rule.

An optimizer's tests subclass ``OptimizerConformance`` and say how to make one; pytest (which this
module does not need) then runs every rule. Each failure starts with the rule's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from trace_bridge.graph import Parameter, Subgraph, bundle, canonical, node
from trace_bridge.llm.base import LLM, Message, ModelUnavailableError, Reply, Usage, gate
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial, run_sync
from trace_bridge.testing.harness import Meter, RuleBrokenError, require, rule

_SHOWN = re.compile(r'<(?:variable|input) name="([^"]+)"')
_RUNS = 3
BAD_REPLIES: Sequence[Reply] = (
    Reply(""),
    Reply("I am sorry, but I cannot help with that."),
    Reply("TERMINATE"),
    Reply('<variable name="tone">\nAnswer in a very'),
    Reply("<think>The tone is wrong, so the answer"),
    Reply('{"tone": "Answer in'),
    Reply('<variable name="nobody">new</variable>'),
)


class Answering:
    """The suite's model: answers by a function of the whole prompt, and counts its calls."""

    def __init__(self, answer: Callable[[str], Reply], model: str = "scripted") -> None:
        self.model = model
        self.calls = 0
        self._answer = answer

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Answer what was asked last, however long the conversation."""
        self.calls += 1
        return self._answer("\n".join(m["content"] for m in messages if m["role"] == "user"))


class OptimizerConformance:
    """The rules. Subclasses define ``make``; and the rest where theirs differs."""

    one_call_per_step: bool = False
    """Whether it claims one model call for a step, however many runs and parameters there are."""

    names: Sequence[str] = ()
    """The names that its proposals go by, if they are not its own: those of a portfolio."""

    def make(self, llm: LLM, seed: int = 0) -> Optimizer:
        """An optimizer, equal each time; ``llm`` is for those that ask a model."""
        raise NotImplementedError

    def parameters(self) -> list[Parameter]:
        """At least two parameters of the kinds that it optimizes; equal each time."""
        return [Parameter("Answer politely.", "tone"), Parameter("Answer in feet.", "unit")]

    def answer(self, prompt: str) -> str:
        """A good reply: new values for all that the prompt shows."""
        names = dict.fromkeys(_SHOWN.findall(prompt))
        values = [f'<variable name="{n}">\nAnswer briefly, in metres.\n</variable>' for n in names]
        return "\n".join(values)

    # the rules

    @rule("it proposes")
    def test_it_proposes(self) -> None:
        """Bad feedback and a good reply lead to a change; else the other rules would be empty."""
        why = "it changes nothing. Let answer() and parameters() suit it, or mend it"
        require(any(p.state for p in self._proposals()), why)

    @rule("only offered parameters change")
    def test_only_offered_parameters_change(self) -> None:
        """A parameter that took part in the runs, but is not offered, is left alone."""
        for number in range(len(self.parameters())):
            offered = self.parameters()[number]
            parameters = [
                offered if p.name == offered.name else p for p in self.parameters()
            ]  # fmt: skip
            for proposal in self._proposals(parameters, offered=[offered]):
                others = set(proposal.state) - {offered.name}
                require(not others, f"{sorted(others)} are changed, offered was {offered.name}")

    @rule("values are not written")
    def test_values_are_not_written(self) -> None:
        """A proposal changes nothing before it is tried: neither values nor what it was given."""
        parameters = self.parameters()
        graphs, history = self._graphs(parameters), self._history(parameters)
        before = canonical([[p.base for p in parameters], history])
        self._ask(self._optimizer(), graphs, parameters, history)
        after = canonical([[p.base for p in parameters], history])
        require(after == before, "propose() writes to parameters or history. Return proposals")
        pending = [p.name for p in parameters if len(p.feedback) != _RUNS]
        require(not pending, f"propose() takes the pending feedback of {pending}")

    @rule("same input, same proposals")
    def test_same_input_same_proposals(self) -> None:
        """Equal optimizers propose the same, and none remembers: so a run can resume."""
        one, other = self._optimizer(), self._optimizer()
        first = canonical(self._proposals(optimizer=one))
        why = "equal optimizers propose different things. Draw from self.random(history)"
        require(canonical(self._proposals(optimizer=other)) == first, why)
        why = "it proposes something else the second time. Keep no state, read the history"
        require(canonical(self._proposals(optimizer=one)) == first, why)

    @rule("n is respected")
    def test_n_is_respected(self) -> None:
        """There are at most ``n`` proposals."""
        for n in (1, 2, 4):
            found = len(self._proposals(n=n))
            require(found <= n, f"{found} proposals instead of {n}")

    @rule("nothing to go by is survived")
    def test_nothing_to_go_by_is_survived(self) -> None:
        """Without runs, without history, and with scores that are missing, it raises nothing."""
        parameters = self.parameters()
        graphs = self._graphs(parameters)
        unscored = [Trial(0, {p.name: p.base for p in parameters}, {}, "original")]
        for given, history in (([], []), (graphs, []), ([], unscored), (graphs, unscored)):
            found = self._ask(self._optimizer(), given, parameters, history)
            require(isinstance(found, list), f"propose() gives {found!r}, no list")

    @rule("refused values are not accepted")
    def test_refused_values_are_not_accepted(self) -> None:
        """A value that its parameter refuses is no part of the state, and says why."""
        parameters = [_strict(p) for p in self.parameters()]
        for proposal in self._proposals(parameters):
            bad = sorted(proposal.state)
            require(not bad, f"{bad} get values that they refuse. Use judge_change")
            silent = [c.path for c in proposal.changes if not c.reason]
            require(not silent, f"no reason is given for the refusal of {silent}")

    @rule("a bad reply changes nothing")
    def test_bad_replies_change_nothing(self) -> None:
        """Refusals, cut-off and garbled replies leave every value as it is, without an error."""
        whole = self.answer
        replies: list[Callable[[str], Reply]] = [
            lambda _, reply=reply: reply for reply in BAD_REPLIES
        ]
        replies.append(lambda prompt: Reply(whole(prompt), finish_reason="length"))
        if not self._optimizer().needs_llm:
            return
        for reply in replies:
            shown = reply("")
            for proposal in self._proposals(optimizer=self.make(Answering(reply))):
                why = f"the reply {shown.text!r} ({shown.finish_reason}) leads to {proposal.state}"
                require(not proposal.state, why)

    @rule("a failing model is told")
    def test_failing_model_is_told(self) -> None:
        """A provider's failure leaves ``propose`` as ModelUnavailableError; a run then retries."""

        def fail(_: str) -> Reply:
            raise ConnectionError

        if not self._optimizer().needs_llm:
            return
        try:
            self._proposals(optimizer=self.make(Answering(fail)))
        except ModelUnavailableError:
            return
        msg = "a model that fails goes unnoticed. Ask by complete(), and let its errors pass"
        raise RuleBrokenError(msg)

    @rule("model calls pass the gate")
    def test_model_calls_pass_the_gate(self) -> None:
        """Every call is announced, so that a budget can refuse it."""
        made, announced = self._calls(_RUNS)
        require(made == announced, f"{made} calls, {announced} announced. Ask by complete()")

    @rule("one call a step")
    def test_one_call_a_step(self) -> None:
        """If it claims so: one model call for a proposal, for one run and for many."""
        if self.one_call_per_step:
            counts = [self._calls(runs)[0] for runs in (1, 3, 8)]
            require(counts == [1, 1, 1], f"{counts} calls for 1, 3 and 8 runs")

    @rule("settings are a key")
    def test_settings_are_a_key(self) -> None:
        """``settings`` is JSON, equal for equal optimizers, and tells seeds and models apart."""
        settings = self._optimizer().settings()
        try:
            json.dumps(dict(settings))
        except TypeError as error:
            msg = f"settings() is not JSON: {error}"
            raise RuleBrokenError(msg) from error
        require(self._optimizer().settings() == settings, "equal optimizers have other settings()")
        why = "settings() is the same for another seed. Begin with super().settings()"
        require(self.make(self._model(), 1).settings() != settings, why)
        if self._optimizer().needs_llm:
            other = self.make(Answering(self._reply, "another")).settings()
            require(other != settings, "settings() is the same for another model")

    @rule("plans and proposals are signed")
    def test_plans_and_proposals_are_signed(self) -> None:
        """A plan can be followed, and proposals bear the name of the optimizer."""
        optimizer = self._optimizer()
        for history in ([], self._history(self.parameters())):
            plan = optimizer.plan(history)
            sound = isinstance(plan, StepPlan) and plan.minibatch > 0 and plan.proposals > 0
            require(sound, f"plan() gives {plan!r}")
            require(plan == optimizer.plan(history), "plan() differs the second time")
        names = set(self.names or [optimizer.name])
        wrong = {proposal.optimizer for proposal in self._proposals()} - names
        require(not wrong, f"proposals are signed {sorted(wrong)}, its name is {optimizer.name}")

    # how they are checked

    def _reply(self, prompt: str) -> Reply:
        return Reply(self.answer(prompt), Usage(calls=1))

    def _model(self) -> Answering:
        return Answering(self._reply)

    def _optimizer(self) -> Optimizer:
        return self.make(self._model())

    def _graphs(self, parameters: Sequence[Parameter], runs: int = _RUNS) -> list[Subgraph]:
        """Runs that used all parameters and did worse and worse."""
        found: list[Subgraph] = []
        for number in range(runs):
            output = _answered(node(f"How tall is tower {number}?", name="question"), *parameters)
            found.append(output.backward((1 - number / max(1, runs - 1), f"said of {number}")))
        return found

    def _history(self, parameters: Sequence[Parameter]) -> list[Trial]:
        state = {parameter.name: parameter.base for parameter in parameters}
        return [Trial(0, state, {0: 0.0, 1: 0.5}, "original")]

    def _ask(
        self, optimizer: Optimizer, graphs: Sequence[Subgraph], offered: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        return run_sync(optimizer.propose(graphs, offered, history, n))

    def _proposals(
        self, parameters: Sequence[Parameter] | None = None, *, n: int = 2,
        optimizer: Optimizer | None = None, offered: Sequence[Parameter] | None = None,
    ) -> list[Proposal]:  # fmt: skip
        known = self.parameters() if parameters is None else parameters
        return self._ask(
            optimizer or self._optimizer(), self._graphs(known), offered or known,
            self._history(known), n,
        )  # fmt: skip

    def _calls(self, runs: int) -> tuple[int, int]:
        """The calls that one proposal takes, and how many of them the gate has seen."""
        parameters, model, meter = self.parameters(), self._model(), Meter()
        token = gate.set(meter)
        try:
            graphs, history = self._graphs(parameters, runs), self._history(parameters)
            self._ask(self.make(model), graphs, parameters, history)
        finally:
            gate.reset(token)
        return model.calls, meter.asked


def _strict(p: Parameter) -> Parameter:
    """A parameter like ``p`` that refuses everything but what it has."""
    return Parameter(
        p.base, p.name, kind=p.kind, choices=p.choices, bounds=p.bounds,
        check=lambda _: "must stay as it is",
    )  # fmt: skip


@bundle
def _answered(question: object, *given: object) -> str:
    """Answer the question as the parameters say."""
    return f"{question} {len(given)}"
