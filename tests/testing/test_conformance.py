"""The suite passes a sound plugin, and fails each broken one with the name of its rule."""

import contextlib
import itertools

import pytest
import toy_framework
import toy_plugin

import trace_bridge as tb
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

    def snapshot(self, agent):
        return [agent.shorten.prompt, agent.translate.prompt, list(agent.log)]


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
    """Writes candidates into the user's object, and restores it after."""

    def copied(self, state):
        for name in toy_plugin.STEPS:
            getattr(self.agent, name).prompt = state[f"{name}:prompt"]
        return self.agent

    def run(self, example):
        before = [getattr(self.agent, name).prompt for name in toy_plugin.STEPS]
        try:
            return super().run(example)
        finally:
            for name, prompt in zip(toy_plugin.STEPS, before, strict=True):
                getattr(self.agent, name).prompt = prompt


class IgnoresValues(toy_plugin.ToyModule):
    def run(self, example):
        with self.using({slot.path: slot.get() for slot in self.slots()}):
            return super().run(example)


class WritesTheAgent(toy_plugin.ToyModule):
    def run(self, example):
        self.agent.log.append(example)
        return super().run(example)


class ExportsTheOriginal(toy_plugin.ToyModule):
    def export(self, state, format=""):  # noqa: A002
        return self.agent


def deaf_step(original):
    def __call__(self, text):  # noqa: N807
        call = tb.current_call()
        if call is None:
            return original(self, text)
        with call.component("step", {"text": text}, {}) as made:
            made.returns(original(self, text))
            return made.output

    return __call__


def loud_step(original):
    seam = toy_plugin.step_seam(original)
    return lambda self, text: seam(self, text) + ("" if tb.current_call() else "!")


class Greedy(toy_plugin.Plugin):
    @tb.hookimpl
    def wrap(self, agent):
        return self.module(agent)


class Sticky(toy_plugin.Plugin):
    def remove(self):
        pass


def using(module):
    """A plugin with another Module."""
    return type(module.__name__, (toy_plugin.Plugin,), {"module": module})


def seamed(*seams):
    """A plugin with other seams."""
    return type("Seamed", (toy_plugin.Plugin,), {"seams": seams})


STEP, MODEL = toy_plugin.Plugin.seams


@pytest.fixture
def classes():
    """What a broken plugin leaves patched is put back."""
    saved = [(owner, name, vars(owner)[name]) for owner, name, _ in toy_plugin.Plugin.seams]
    yield
    for owner, name, original in saved:
        setattr(owner, name, original)


BROKEN = [
    (using(UnstableNames), "names_are_stable_and_unique", "names are stable and unique"),
    (using(RepeatedNames), "names_are_stable_and_unique", "names are stable and unique"),
    (using(NoJSON), "state_round_trips", "state round-trips"),
    (using(NeverRestores), "using_restores", "using restores"),
    (using(SharesTheAgent), "candidates_do_not_meet", "candidates do not meet"),
    (
        seamed((STEP[0], STEP[1], deaf_step), MODEL),
        "graph_reaches_used_parameters",
        "the graph reaches used parameters",
    ),
    (using(IgnoresValues), "changes_reach_the_run", "changes reach the run"),
    (Greedy, "strangers_are_declined", "strangers are declined"),
    (Sticky, "nothing_stays_patched", "nothing stays patched"),
    (
        seamed((STEP[0], STEP[1], loud_step), MODEL),
        "agent_behaves_the_same_outside",
        "the agent behaves the same outside",
    ),
    (using(WritesTheAgent), "instance_is_unchanged", "the user's instance is unchanged"),
    (using(ExportsTheOriginal), "export_apply_restore", "export, apply and restore"),
    (seamed(STEP), "model_calls_pass_the_gate", "model calls pass the gate"),
]


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(("plugin", "test", "rule"), BROKEN, ids=str)
def test_a_broken_plugin_fails_with_the_name_of_its_rule(plugin, test, rule):
    suite = ToySuite()
    suite.plugin = plugin()
    with pytest.raises(RuleBrokenError, match=f"^{rule}: "):
        getattr(suite, f"test_{test}")()


def test_every_rule_has_a_broken_plugin():
    rules = {n.removeprefix("test_") for n in dir(PluginConformance) if n.startswith("test_")}
    assert {test for _, test, _ in BROKEN} == rules
