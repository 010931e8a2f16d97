import pytest

import trace_bridge as tb
from trace_bridge.api.native import NativeModule


def test_a_native_agent_is_exported_as_source(run, agent):
    found = run()
    text = found.export(agent)
    assert found.export("source") == found.export() == text
    assert agent.prompt.data == "repeat the number"
    space = {}
    exec(text, space)  # noqa: S102 (what is exported is to be run)
    fresh = type(agent)()
    space["install"](fresh)
    assert fresh.prompt.data == "double the number"


def test_another_format_is_refused(run, agent):
    with pytest.raises(ValueError, match=r"format='source'.*run\.apply\(agent\)"):
        run().export(agent, "json")


def test_a_function_that_takes_nodes_as_they_are():
    prompt = tb.node("Be brief:", trainable=True)

    def answer(question):
        return f"{prompt} {question}"

    module = NativeModule(answer)
    output = module.run({"question": "Why?"})
    assert output.data == "Be brief: Why?"
    assert output.backward("x").parameters == (prompt,)
    with pytest.raises(ValueError, match="a function has no form but its own"):
        module.export({})
