"""The suite passes a sound plugin, and fails each broken one with the name of its rule."""

import contextlib
import copy
import dataclasses
import itertools

import pytest
import toy_framework
import toy_plugin

import trace_bridge as tb
from trace_bridge.graph.context import overlay
from trace_bridge.testing import PluginConformance, RuleBrokenError


class ToySuite(PluginConformance):
    framework_modules = ("toy_framework",)
    plugin = toy_plugin.Plugin()

    def make_agent(self):
        return toy_framework.Agent()

    def examples(self):
        return [{"text": "Good morning"}, {"text": "Good night"}]

    def call(self, agent, example):
        return agent(example["text"])

    def model_calls(self, agent):
        return agent.shorten.model.calls

    def snapshot(self, agent):
        steps = [sorted(vars(step).items()) for step in (agent.shorten, agent.translate)]
        return [
            list(agent.log),
            [(name, held) for step in steps for name, held in step if name != "model"],
        ]


class TestToyPlugin(ToySuite):
    """The sound plugin passes every rule."""


class UnstableNames(toy_plugin.ToyModule):
    numbers = itertools.count()

    def slot(self, name):
        sound = super().slot(name)
        return tb.Slot(
            f"{name}{next(self.numbers)}:prompt", sound.owner, "prompt", "prompt", sound.decode,
            sound.encode,
        )  # fmt: skip


class RepeatedNames(toy_plugin.ToyModule):
    def slots(self):
        return [*super().slots(), self.slot("shorten")]


class NoJSON(toy_plugin.ToyModule):
    def state_dict(self):
        return {path: value.encode() for path, value in super().state_dict().items()}


class NeverRestores(toy_plugin.ToyModule):
    @contextlib.contextmanager
    def using(self, state):
        self.load_state_dict(state)
        yield


class SharesTheAgent(toy_plugin.ToyModule):
    """Writes candidates into the user's objects, and restores the first values after."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Once: read by each run, it would be another candidate's in some runs and not in others.
        self.before = [getattr(self.agent, name).prompt for name in toy_plugin.STEPS]

    def copied(self, state):
        for name in toy_plugin.STEPS:
            getattr(self.agent, name).prompt = state[f"{name}:prompt"]
        return copy.copy(self.agent)

    def run(self, example):
        try:
            return super().run(example)
        finally:
            for name, prompt in zip(toy_plugin.STEPS, self.before, strict=True):
                getattr(self.agent, name).prompt = prompt


class IgnoresValues(toy_plugin.ToyModule):
    def run(self, example):
        with self.using({slot.path: slot.get() for slot in self.slots()}):
            return super().run(example)


class WritesTheAgent(toy_plugin.ToyModule):
    def run(self, example):
        self.agent.log.append(example)
        return super().run(example)


class WritesWhatItFailsWith(toy_plugin.ToyModule):
    def run(self, example):
        try:
            return super().run(example)
        except Exception as error:
            self.agent.shorten.error = error
            raise


class OtherForm(toy_plugin.ToyModule):
    def slots(self):
        return [dataclasses.replace(s, path=s.path.replace(":", ".")) for s in super().slots()]


class ReplacesCandidates(toy_plugin.ToyModule):
    @contextlib.contextmanager
    def using(self, state):
        token = overlay.set(self.resolve(state))
        yield
        overlay.reset(token)


class CountsRuns(toy_plugin.ToyModule):
    runs = 0

    def run(self, example):
        self.runs += 1
        return super().run(example)

    def fingerprint(self):
        return {**super().fingerprint(), "runs": self.runs}


class KeyedByIdentity(toy_plugin.ToyModule):
    def fingerprint(self):
        return {**super().fingerprint(), "agent": id(self)}


class OneKeyForAll(toy_plugin.ToyModule):
    def encode(self, example):
        return sorted(example)


class TakesAnyPath(toy_plugin.ToyModule):
    def resolve(self, state):
        known = dict(self.named_parameters())
        return {known[path]: value for path, value in state.items() if path in known}


class AppliesHalf(toy_plugin.ToyModule):
    def apply(self, state):
        for name in toy_plugin.STEPS:
            getattr(self.agent, name).prompt = state.get(f"{name}:prompt", "")
        super().apply(state)


class Detached(toy_plugin.ToyModule):
    def attached(self):
        return contextlib.nullcontext()


class ExportsTheOriginal(toy_plugin.ToyModule):
    def export(self, state, format=""):  # noqa: A002
        self.resolve(state)
        return self.agent


class ExportsWholeStates(toy_plugin.ToyModule):
    def export(self, state, format=""):  # noqa: A002
        whole = dict.fromkeys(self.state_dict(), "lost")
        return super().export({**whole, **state}, format)


class AppliesWholeStates(toy_plugin.ToyModule):
    def apply(self, state):
        super().apply({**dict.fromkeys(self.state_dict(), "lost"), **state})


class AppliesToTheAgentAlone(toy_plugin.ToyModule):
    def load_state_dict(self, state):
        """Forgets."""


class TakesAnyFormat(toy_plugin.ToyModule):
    def export(self, state, format=""):  # noqa: A002
        return super().export(state)


def deaf_step(original):
    def __call__(self, text):  # noqa: N807
        call = tb.current_call()
        if call is None:
            return original(self, text)
        with call.component("step", {"text": text}, {}) as made:
            made.returns(original(self, text))
            return made.output

    return __call__


def writing_step(original):
    seam = toy_plugin.step_seam(original)

    def __call__(self, text):  # noqa: N807
        _, parameters, users = toy_plugin.active.get().get(id(self), (None, None, False))
        if users:
            self.prompt = parameters["prompt"].peek()
        return seam(self, text)

    return __call__


def loud_step(original):
    seam = toy_plugin.step_seam(original)
    return lambda self, text: seam(self, text) + ("" if tb.current_call() else "!")


def announcing(after=0, before=0):
    """A seam that announces a model call some times before it, and some times after."""

    def seam(original):
        def complete(self, prompt):
            for _ in range(before):
                announce()
            answer = original(self, prompt)
            for _ in range(after):
                announce()
            return answer

        return complete

    return seam


def announce():
    with tb.model_call("toy"):
        pass


def forgetful_model(original):
    seam = toy_plugin.model_seam(original)
    return lambda self, prompt: (original if "<" in prompt else seam)(self, prompt)


def swallowing_model(original):
    seam = toy_plugin.model_seam(original)

    def complete(self, prompt):
        try:
            return seam(self, prompt)
        except tb.BudgetExhaustedError:
            return ""

    return complete


class Greedy(toy_plugin.Plugin):
    @tb.hookimpl
    def wrap(self, agent):
        return self.module(agent)


class TakesClasses(toy_plugin.Plugin):
    @tb.hookimpl
    def wrap(self, agent):
        return self.module(agent) if callable(agent) and is_toy(agent) else None


def is_toy(agent):
    return "toy_framework" in (agent.__module__, type(agent).__module__)


class RaisesForStrangers(toy_plugin.Plugin):
    @tb.hookimpl
    def wrap(self, agent):
        return self.module(agent) if agent.shorten else None


class Sticky(toy_plugin.Plugin):
    def remove(self):
        pass


class RemovesAtTheFirstExit(toy_plugin.Plugin):
    @contextlib.contextmanager
    def installed(self):
        with super().installed():
            yield
        self.remove()


class OnePatchPerUser(toy_plugin.Plugin):
    """Restores what it found, which may be another user's seam."""

    @contextlib.contextmanager
    def installed(self):
        found = [(owner, name, vars(owner)[name]) for owner, name, _ in self.seams]
        for owner, name, make in self.seams:
            setattr(owner, name, make(vars(owner)[name]))
        yield
        for owner, name, original in found:
            setattr(owner, name, original)


class NoFinally(toy_plugin.Plugin):
    def __init__(self):
        super().__init__()
        self.outer = []  # kept: the garbage collector would end them

    @contextlib.contextmanager
    def installed(self):
        self.outer.append(super().installed())
        self.outer[-1].__enter__()
        yield
        self.outer.pop().__exit__(None, None, None)


def using(module):
    """A plugin with another Module."""
    return type(module.__name__, (toy_plugin.Plugin,), {"module": module})


def seamed(*seams):
    """A plugin with other seams."""
    return type("Seamed", (toy_plugin.Plugin,), {"seams": seams})


STEP, MODEL = toy_plugin.Plugin.seams


@contextlib.contextmanager
def unpatched():
    """What a broken plugin leaves patched is put back."""
    saved = [(owner, name, vars(owner)[name]) for owner, name, _ in toy_plugin.Plugin.seams]
    try:
        yield
    finally:
        for owner, name, original in saved:
            setattr(owner, name, original)


def model_seamed(seam):
    """A plugin with another seam on the model."""
    return seamed(STEP, (*MODEL[:2], seam))


RULES = {
    "names_are_stable_and_unique": "names are stable and unique",
    "state_round_trips": "state round-trips",
    "results_are_keyed": "results are keyed",
    "using_restores": "using restores",
    "unknown_paths_are_refused": "unknown paths are refused",
    "candidates_do_not_meet": "candidates do not meet",
    "graph_reaches_used_parameters": "the graph reaches used parameters",
    "changes_reach_the_run": "changes reach the run",
    "own_calls_are_recorded": "own calls are recorded",
    "strangers_are_declined": "strangers are declined",
    "nothing_stays_patched": "nothing stays patched",
    "agent_behaves_the_same_outside": "the agent behaves the same outside",
    "instance_is_unchanged": "the user's instance is unchanged",
    "export_apply_restore": "export, apply and restore",
    "model_calls_pass_the_gate": "model calls pass the gate",
}

# a plugin, the rule it breaks, and rules that cannot hold then either (``...``: most of them)
BROKEN = {
    "unstable names": (using(UnstableNames), "names_are_stable_and_unique", ...),
    "repeated names": (using(RepeatedNames), "names_are_stable_and_unique"),
    "other form": (using(OtherForm), "names_are_stable_and_unique", ...),
    "no JSON": (using(NoJSON), "state_round_trips", ...),
    "counts runs": (using(CountsRuns), "results_are_keyed"),
    "keyed by identity": (using(KeyedByIdentity), "results_are_keyed"),
    "one key for all": (using(OneKeyForAll), "results_are_keyed"),
    "never restores": (using(NeverRestores), "using_restores", "changes_reach_the_run"),
    "replaces candidates": (using(ReplacesCandidates), "using_restores"),
    "takes any path": (using(TakesAnyPath), "unknown_paths_are_refused"),
    "applies half": (using(AppliesHalf), "unknown_paths_are_refused", "export_apply_restore"),
    "shares the agent": (
        using(SharesTheAgent),
        "candidates_do_not_meet",
        "export_apply_restore",
    ),
    "deaf step": (
        seamed((*STEP[:2], deaf_step), MODEL),
        "graph_reaches_used_parameters",
        "own_calls_are_recorded",
    ),
    "ignores values": (
        using(IgnoresValues),
        "changes_reach_the_run",
        "candidates_do_not_meet",
        "own_calls_are_recorded",
        "export_apply_restore",
    ),
    "detached": (using(Detached), "own_calls_are_recorded"),
    "writes when attached": (seamed((*STEP[:2], writing_step), MODEL), "own_calls_are_recorded"),
    "greedy": (Greedy, "strangers_are_declined"),
    "takes classes": (TakesClasses, "strangers_are_declined"),
    "raises for strangers": (RaisesForStrangers, "strangers_are_declined"),
    "sticky": (Sticky, "nothing_stays_patched"),
    "removes at the first exit": (RemovesAtTheFirstExit, "nothing_stays_patched"),
    "one patch per user": (OnePatchPerUser, "nothing_stays_patched"),
    "no finally": (NoFinally, "nothing_stays_patched"),
    "loud step": (
        seamed((*STEP[:2], loud_step), MODEL),
        "agent_behaves_the_same_outside",
        "own_calls_are_recorded",
    ),
    "writes the agent": (using(WritesTheAgent), "instance_is_unchanged"),
    "writes failures": (using(WritesWhatItFailsWith), "instance_is_unchanged"),
    "exports the original": (using(ExportsTheOriginal), "export_apply_restore"),
    "exports whole states": (using(ExportsWholeStates), "export_apply_restore"),
    "applies whole states": (using(AppliesWholeStates), "export_apply_restore"),
    "applies to the agent alone": (
        using(AppliesToTheAgentAlone),
        "export_apply_restore",
        "unknown_paths_are_refused",
    ),
    "takes any format": (using(TakesAnyFormat), "export_apply_restore"),
    "no gate": (seamed(STEP), "model_calls_pass_the_gate"),
    "announces late": (model_seamed(announcing(after=1)), "model_calls_pass_the_gate"),
    "announces twice": (model_seamed(announcing(before=2)), "model_calls_pass_the_gate"),
    "forgets the second": (model_seamed(forgetful_model), "model_calls_pass_the_gate"),
    "swallows refusals": (model_seamed(swallowing_model), "model_calls_pass_the_gate"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_fails_with_the_name_of_its_rule_and_no_others(name):
    plugin, rule, *also = BROKEN[name]
    suite = ToySuite()
    failed = {}
    for test in RULES:
        suite.plugin = plugin()
        try:
            with unpatched():
                getattr(suite, f"test_{test}")()
        except (RuleBrokenError, NotImplementedError) as error:
            failed[test] = str(error)
    assert failed[rule].startswith(f"{RULES[rule]}: ")
    assert also == [...] or set(failed) == {rule, *also}, failed


def test_every_rule_has_a_broken_plugin():
    rules = {n.removeprefix("test_") for n in dir(PluginConformance) if n.startswith("test_")}
    assert {rule for _, rule, *_ in BROKEN.values()} == rules == set(RULES)


@pytest.mark.parametrize("name", ["sticky", "writes the agent"])
def test_the_defaults_see_it_too(name):
    """Without framework_modules and snapshot, the agent's own objects and classes are looked at."""

    class Defaults(ToySuite):
        framework_modules = ()
        plugin = BROKEN[name][0]()

        def snapshot(self, agent):
            agent.shorten.model.calls = 0  # the fake model's own
            return PluginConformance.snapshot(self, agent)

    rule = BROKEN[name][1]
    with unpatched(), pytest.raises(RuleBrokenError, match=RULES[rule]):
        getattr(Defaults(), f"test_{rule}")()


def test_what_the_suite_is_not_told_is_not_the_plugins_fault():
    class Unfinished(ToySuite):
        def changed(self, path, value, number):
            return super().changed(path, 3, number)

    with pytest.raises(NotImplementedError, match=r"define changed\(\).*shorten:prompt: 3"):
        Unfinished().test_using_restores()
