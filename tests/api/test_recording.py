import pytest

import trace_bridge as tb


def test_a_native_agent_needs_no_recording(agent, teacher):
    with pytest.raises(TypeError, match="a native agent records itself"), tb.record(agent):
        pass
    optimizer = tb.OptoPrime(agent.parameters(), tb.CallableLLM(teacher))
    agent(x=3).backward((0.0, "3 should be doubled"))
    optimizer.step()
    assert agent(x=3).data == 6


def test_strangers_are_named():
    with pytest.raises(TypeError, match=r"no plugin can wrap builtins\.int"), tb.record(3):
        pass


def test_a_plugin_that_cannot_record_is_named():
    class Module(tb.AgentModule):
        framework = "example"

        def slots(self):
            return []

        def run(self, example): ...
        def apply(self, state): ...
        def export(self, state, format=""): ...  # noqa: A002

    with pytest.raises(TypeError, match=r"for example cannot record .* no attached\(\)"):
        tb.record(Module("agent")).__enter__()
