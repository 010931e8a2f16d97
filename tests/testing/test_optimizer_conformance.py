"""All of our optimizers pass the suite, and each broken one fails with the name of its rule."""

import re

import pytest

import trace_bridge as tb
from trace_bridge.optimizers.auto import Auto
from trace_bridge.testing import OptimizerConformance, RuleBrokenError


class TestOptoPrime(OptimizerConformance):
    one_call_per_step = True

    def make(self, llm, seed=0):
        return tb.OptoPrime(llm=llm, seed=seed)


class TestMasked(TestOptoPrime):
    def make(self, llm, seed=0):
        return tb.OptoPrime(llm=llm, seed=seed, mask=True, memory=0)


class TestOPRO(OptimizerConformance):
    one_call_per_step = True

    def make(self, llm, seed=0):
        return tb.OPRO(llm=llm, seed=seed)


class TestGEPA(OptimizerConformance):  # asks nothing about runs that got the full score
    def make(self, llm, seed=0):
        try:
            return tb.GEPA(llm=llm, seed=seed)
        except ModuleNotFoundError as error:
            pytest.skip(str(error))

    def answer(self, prompt):
        return "```\nAnswer briefly, in metres.\n```"


class TestTextGrad(OptimizerConformance):
    def make(self, llm, seed=0):
        return tb.TextGrad(llm=llm, seed=seed)


class TestBootstrap(OptimizerConformance):
    def make(self, llm, seed=0):
        return tb.Bootstrap(demos=2, seed=seed)

    def parameters(self):
        demos = [{"question": str(n), "answer": str(n + 1)} for n in range(6)]
        return [tb.Parameter([], name, kind="demos", choices=demos) for name in ("qa", "check")]


class TestOptuna(OptimizerConformance):
    def make(self, llm, seed=0):
        return tb.Optuna(seed=seed)

    def parameters(self):
        return [
            tb.Parameter(0.5, "temperature", kind="number", bounds=(0, 1)),
            tb.Parameter("small", "model", kind="choice", choices=["small", "middle", "large"]),
        ]


class TestAuto(OptimizerConformance):
    names = ("optoprime", "bootstrap")

    def make(self, llm, seed=0):
        turns = [
            (tb.OptoPrime(llm=llm, seed=seed), frozenset({"tone", "unit"})),
            (tb.Bootstrap(demos=2, seed=seed), frozenset({"qa"})),
        ]
        return Auto(turns)

    def parameters(self):
        demos = [{"question": str(n), "answer": str(n + 1)} for n in range(6)]
        return [
            *OptimizerConformance.parameters(self),
            tb.Parameter([], "qa", kind="demos", choices=demos),
        ]


# ------------------------------------------------------------------ broken ones


class Sound(tb.Optimizer):
    """Asks for a new value of each offered parameter at once; the broken ones derive from it."""

    name = "sound"
    needs_llm = True

    async def propose(self, subgraphs, parameters, history, n=1):
        return [await self.one(subgraphs, parameters, history) for _ in range(n)]

    async def one(self, subgraphs, parameters, history):
        shown = "\n".join(f'<variable name="{p.name}">{p.peek()}</variable>' for p in parameters)
        reply = await self.ask([{"role": "user", "content": shown}])
        return tb.Proposal(tuple(self.changes(reply, parameters)), optimizer=self.name)

    async def ask(self, messages):
        return await tb.complete(self.llm, messages)

    def changes(self, reply, parameters):
        found = re.findall(r'<variable name="(\w+)">\n?(.*?)\n?</variable>', reply.text)
        for name, value in found if reply.finish_reason == "stop" else ():
            for parameter in parameters:
                if parameter.name == name:
                    yield self.judged(parameter, value)

    def judged(self, parameter, value):
        return tb.judge_change(parameter, value)


class Idle(Sound):
    async def propose(self, subgraphs, parameters, history, n=1):
        return []


class TakesAll(Sound):
    async def one(self, subgraphs, parameters, history):
        every = {p.name: p for graph in subgraphs for p in graph.parameters}
        return await super().one(subgraphs, list(every.values()) or parameters, history)


class Writes(Sound):
    async def one(self, subgraphs, parameters, history):
        proposal = await super().one(subgraphs, parameters, history)
        for parameter in parameters:
            if parameter.name in proposal.state:
                parameter.set(proposal.state[parameter.name])
        return proposal


class TakesFeedback(Sound):
    async def one(self, subgraphs, parameters, history):
        for parameter in parameters:
            parameter.feedback.clear()
        return await super().one(subgraphs, parameters, history)


class Remembers(Sound):
    steps = 0

    async def one(self, subgraphs, parameters, history):
        self.steps += 1
        proposal = await super().one(subgraphs, parameters, history)
        return tb.Proposal(proposal.changes, f"step {self.steps}", self.name)


class OneTooMany(Sound):
    async def propose(self, subgraphs, parameters, history, n=1):
        return await super().propose(subgraphs, parameters, history, n + 1)


class NeedsRuns(Sound):
    async def one(self, subgraphs, parameters, history):
        assert subgraphs[0].feedback
        return await super().one(subgraphs, parameters, history)


class NeedsScores(Sound):
    async def one(self, subgraphs, parameters, history):
        max(trial.score for trial in history)
        return await super().one(subgraphs, parameters, history)


class AcceptsAll(Sound):
    def judged(self, parameter, value):
        return tb.Change(parameter.name, parameter.peek(), value)


class RefusesSilently(Sound):
    def judged(self, parameter, value):
        change = tb.judge_change(parameter, value)
        return tb.Change(change.path, change.old, change.new, accepted=change.accepted)


class AdoptsWhatItGets(Sound):
    def changes(self, reply, parameters):
        text = reply.text.partition(">")[2].partition("<")[0].strip()
        yield tb.judge_change(parameters[0], text or reply.text)


class AdoptsCutReplies(Sound):
    def changes(self, reply, parameters):
        return super().changes(tb.Reply(reply.text), parameters)


class RaisesForBadReplies(Sound):
    def changes(self, reply, parameters):
        found = list(super().changes(reply, parameters))
        if not found:
            raise IndexError
        return found


class SwallowsFailures(Sound):
    async def ask(self, messages):
        try:
            return await super().ask(messages)
        except tb.ModelUnavailableError:
            return tb.Reply("")


class PastTheGate(Sound):
    async def ask(self, messages):
        try:
            return await self.llm.complete(messages)
        except ConnectionError as error:
            raise tb.ModelUnavailableError from error


class OneCallEach(Sound):
    async def one(self, subgraphs, parameters, history):
        for _ in subgraphs[1:]:
            await self.ask([{"role": "user", "content": "What is wrong here?"}])
        return await super().one(subgraphs, parameters, history)


class SettingsWithObjects(Sound):
    def settings(self):
        return {**super().settings(), "model": object()}


class SettingsById(Sound):
    def settings(self):
        return {**super().settings(), "id": id(self)}


class NoSeed(Sound):
    def settings(self):
        return {**super().settings(), "seed": 0}


class NoModel(Sound):
    def settings(self):
        return {**super().settings(), "model": "a model"}


class Unsigned(Sound):
    async def one(self, subgraphs, parameters, history):
        return tb.Proposal((await super().one(subgraphs, parameters, history)).changes)


class NoPlan(Sound):
    def plan(self, history):
        return tb.StepPlan(self.name, minibatch=0, proposals=1, gated=True)


RULES = {
    "it_proposes": "it proposes",
    "only_offered_parameters_change": "only offered parameters change",
    "values_are_not_written": "values are not written",
    "same_input_same_proposals": "same input, same proposals",
    "n_is_respected": "n is respected",
    "nothing_to_go_by_is_survived": "nothing to go by is survived",
    "refused_values_are_not_accepted": "refused values are not accepted",
    "bad_replies_change_nothing": "a bad reply changes nothing",
    "failing_model_is_told": "a failing model is told",
    "model_calls_pass_the_gate": "model calls pass the gate",
    "one_call_a_step": "one call a step",
    "settings_are_a_key": "settings are a key",
    "plans_and_proposals_are_signed": "plans and proposals are signed",
}

# an optimizer, the rule it breaks, and rules that cannot hold then either
BROKEN = {
    Idle: ("it_proposes", "failing_model_is_told", "one_call_a_step"),
    TakesAll: ("only_offered_parameters_change",),
    Writes: ("values_are_not_written",),
    TakesFeedback: ("values_are_not_written",),
    Remembers: ("same_input_same_proposals",),
    OneTooMany: ("n_is_respected", "one_call_a_step"),
    NeedsRuns: ("nothing_to_go_by_is_survived",),
    NeedsScores: ("nothing_to_go_by_is_survived",),
    AcceptsAll: ("refused_values_are_not_accepted",),
    RefusesSilently: ("refused_values_are_not_accepted",),
    AdoptsWhatItGets: ("bad_replies_change_nothing",),
    AdoptsCutReplies: ("bad_replies_change_nothing",),
    RaisesForBadReplies: ("bad_replies_change_nothing",),
    SwallowsFailures: ("failing_model_is_told",),
    PastTheGate: ("model_calls_pass_the_gate",),
    OneCallEach: ("one_call_a_step",),
    SettingsWithObjects: ("settings_are_a_key",),
    SettingsById: ("settings_are_a_key",),
    NoSeed: ("settings_are_a_key",),
    NoModel: ("settings_are_a_key",),
    Unsigned: ("plans_and_proposals_are_signed",),
    NoPlan: ("plans_and_proposals_are_signed",),
}


def suite_of(kind):
    class Suite(OptimizerConformance):
        one_call_per_step = True

        def make(self, llm, seed=0):
            return kind(llm=llm, seed=seed)

    return Suite()


def failures(kind):
    found = {}
    for test in RULES:
        try:
            getattr(suite_of(kind), f"test_{test}")()
        except RuleBrokenError as error:
            found[test] = str(error)
    return found


def test_the_sound_one_passes():
    assert failures(Sound) == {}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_optimizer_fails_with_the_name_of_its_rule_and_no_others(kind):
    broken, *also = BROKEN[kind]
    failed = failures(kind)
    assert failed[broken].startswith(f"{RULES[broken]}: ")
    assert set(failed) == {broken, *also}, failed


def test_every_rule_has_a_broken_optimizer():
    rules = {n.removeprefix("test_") for n in dir(OptimizerConformance) if n.startswith("test_")}
    assert {rule for rule, *_ in BROKEN.values()} == rules == set(RULES)
