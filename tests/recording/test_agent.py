from types import SimpleNamespace

import pytest

from trace_bridge.recording import Slot
from trace_bridge.recording.agent import AgentModule


class Shown(AgentModule):
    framework = "namespace"

    def slots(self):
        return [
            Slot(f"self:{name}", self.agent, name, kind, lambda value: value, lambda _, new: new)
            for name, kind in (("prompt", "prompt"), ("demos", "demos"), ("heat", "number"))
        ]

    def run(self, example):
        return example

    def apply(self, state):
        for slot in self.slots():
            if slot.path in state:
                slot.put(self.agent, state[slot.path])

    def export(self, state, format=""):  # noqa: A002
        copy = SimpleNamespace(**vars(self.agent))
        Shown(copy).apply(state)
        return copy


@pytest.fixture
def module():
    return Shown(SimpleNamespace(prompt="p", demos=[], heat=0.5))


def test_slots_are_the_parameters_and_the_same_ones_each_time(module):
    assert module.state_dict() == {"self:prompt": "p", "self:demos": [], "self:heat": 0.5}
    assert [id(p) for p in module.parameters()] == [id(p) for p in module.parameters()]
    assert module.default_paths() == ["self:prompt", "self:demos"]


def test_candidates_leave_the_agent_alone_and_apply_writes_it(module):
    with module.using({"self:prompt": "q"}):
        assert module.state_dict()["self:prompt"] == "q"
        assert module.agent.prompt == "p"
    other = module.clone({"self:prompt": "q"})
    assert other.agent.prompt == "q"
    assert other.state_dict()["self:prompt"] == "q"
    assert module.agent.prompt == "p"
    module.apply({"self:prompt": "r"})
    assert module.agent.prompt == "r"


def test_what_a_plugin_need_not_say(module):
    assert module.inputs({"q": 1}) == {"q": 1}
    assert module.encode({"q": {2, 1}}) == {"q": [1, 2]}
    assert module.fields("x") is None
    assert module.labelled({}) == {}
    assert module.native({}) == {}
    assert list(module.models()) == []
    assert module.nothing_to_train() == "it has no parameters"
    assert module.fingerprint() == {"framework": "namespace", "agent": "SimpleNamespace"}
    with module.attached():
        assert module.run("x") == "x"
