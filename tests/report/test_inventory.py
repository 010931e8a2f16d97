import pytest

from trace_bridge.recording import Slot
from trace_bridge.recording.agent import AgentModule
from trace_bridge.report.inventory import inventory


class Agent:
    prompt = "Answer\nbriefly. " + "Really. " * 20
    top_k = 3


class Shown(AgentModule[Agent]):
    framework = "example"
    kinds = {"prompt": "prompt", "top_k": "number"}  # noqa: RUF012

    def slots(self):
        return [
            Slot(
                f"self:{name}", self.agent, name, kind, lambda value: value, lambda _, value: value
            )
            for name, kind in self.kinds.items()
        ]

    def run(self, example): ...
    def apply(self, state): ...
    def export(self, state, format=""): ...  # noqa: A002


def test_what_is_trained_by_default_is_marked():
    lines = inventory(Shown(Agent())).splitlines()
    assert lines[0] == "example Agent: 2 parameters, 1 trained by default (*)"
    assert lines[1].startswith("* self:prompt  prompt  Answer briefly. Real")
    assert len(lines[1]) < 110
    assert lines[2] == "  self:top_k   number  3"


def test_what_is_left_out_and_why():
    class Partly(Shown):
        def left_out(self):
            return {"tools/add": "is written in C"}

        def problem(self):
            return "no model"

    text = inventory(Partly(Agent()))
    assert "cannot be trained:\n  tools/add: is written in C" in text
    assert text.endswith("cannot run now: no model")


@pytest.mark.parametrize("reason", ["it is empty"])
def test_nothing_to_train(reason):
    class Empty(Shown):
        kinds = {}  # noqa: RUF012

        def nothing_to_train(self):
            return reason

    assert inventory(Empty(Agent())).splitlines() == [
        "example Agent: 0 parameters, 0 trained by default (*)",
        "nothing can be trained: it is empty",
    ]
