import functools

import dspy
import pytest
import trace_bridge_dspy
from trace_bridge_dspy.module import DSPyModule

HIDDEN = dspy.Predict("text -> summary")
HELD = {"deep": [dspy.Predict("a -> b")]}


def paths(program, slot="instructions"):
    return [s.path for s in DSPyModule(program).slots() if s.path.endswith(":" + slot)]


class Program(dspy.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, question):
        raise NotImplementedError


def search(query: str) -> str:
    """Look things up."""
    return "found " + query


def test_all_slots_of_a_root_predictor():
    module = DSPyModule(dspy.Predict("question -> answer", temperature=0.5))
    assert [(s.path, s.kind, s.attribute) for s in module.slots()] == [
        ("self:instructions", "prompt", "signature"),
        ("self:demos", "demos", "demos"),
        ("self:desc.question", "description", "signature"),
        ("self:desc.answer", "description", "signature"),
    ]
    assert module.state_dict()["self:demos"] == []
    assert module.default_paths() == ["self:instructions", "self:demos"]


def test_paths_are_attribute_paths():
    program = Program(
        qa=dspy.ChainOfThought("question -> answer"),
        boxes={"a/b": [dspy.Predict("q -> a"), {"x": dspy.Predict("q -> a")}]},
        pair=(dspy.Predict("q -> a"),),
    )
    assert paths(program) == [
        "qa/predict:instructions",
        "boxes/a%2Fb/0:instructions",
        "boxes/a%2Fb/1/x:instructions",
        "pair/0:instructions",
    ]


def test_keys_that_look_alike_get_different_paths():
    program = Program(box={1: dspy.Predict("q -> a"), "1": dspy.Predict("q -> a")})
    assert paths(program) == ["box/1:instructions", "box/1#2:instructions"]


def test_a_shared_predictor_and_a_cycle_are_found_once():
    shared = dspy.Predict("q -> a")
    program = Program(one=shared, two=[shared])
    program.me = program
    program.loop = [program]
    program.loop.append(program.loop)
    assert paths(program) == ["one:instructions"]


def test_compiled_parts_are_frozen_but_not_a_compiled_root():
    inner = Program(p=dspy.Predict("q -> a"))
    inner._compiled = True
    assert paths(Program(done=inner, open=dspy.Predict("q -> a"))) == ["open:instructions"]
    assert paths(inner) == ["p:instructions"]


def test_what_forward_reaches_outside_is_found():
    local = dspy.Predict("x -> y")

    def helper(text):
        return HIDDEN(text=text)

    class Outside(dspy.Module):
        def __init__(self):
            super().__init__()
            self.own = dspy.Predict("q -> a")

        def forward(self, q):
            return [helper(q), local(x=q), *(HELD["deep"][0](a=q) for _ in q)]

    assert set(paths(Outside())) == {
        "own:instructions",
        "outside/local:instructions",
        "outside/HIDDEN:instructions",
        "outside/HELD/deep/0:instructions",
    }


def test_modules_in_a_plain_object_are_found():
    class Plain:
        def __init__(self):
            self.p = dspy.Predict("q -> a")

    assert paths(Program(helper=Plain())) == ["helper/p:instructions"]


def test_tools():
    program = Program(agent=dspy.ReAct("question -> answer", tools=[search]))
    slots = {s.path: s for s in DSPyModule(program).slots()}
    tool = slots["agent/tools/search:desc"]
    assert tool.kind == "description"
    assert tool.get() == "Look things up."
    assert tool.consumer is program.agent.react
    assert [path for path in slots if "tools" in path] == ["agent/tools/search:desc"]
    assert "agent/react:instructions" in slots
    assert "agent/extract/predict:instructions" in slots


def test_a_module_behind_a_tool_is_found():
    inner = dspy.ChainOfThought("question -> answer")
    tool = dspy.Tool(functools.partial(inner.forward), name="ask", desc="Ask.", args={})
    assert "tools/0/func/predict:instructions" in paths(Program(tools=[tool]))


def test_reactv2_renders_tools_when_it_runs():
    react_v2 = getattr(dspy, "ReActV2", None)
    if react_v2 is None:
        pytest.skip("DSPy before 3.3")
    program = Program(agent=react_v2("question -> answer", tools=[search]))
    slots = {s.path: s for s in DSPyModule(program).slots()}
    assert slots["agent/tools/search:desc"].consumer is program.agent.react


def test_demos_lose_dspys_own_keys_and_keep_rich_originals():
    predictor = dspy.Predict("question -> answer")
    demo = dspy.Example(question="q", answer="a", dspy_uuid="1", augmented=True)
    predictor.demos = [demo, {"question": "r", "answer": "b"}]
    slot = next(s for s in DSPyModule(predictor).slots() if s.kind == "demos")
    plain = [{"question": "q", "answer": "a"}, {"question": "r", "answer": "b"}]
    assert slot.get() == plain
    new = slot.encode(predictor.demos, [*plain, {"question": "s", "answer": "c"}])
    assert new[0] is demo
    assert new[2].inputs().toDict() == {"question": "s"}
    assert len(predictor.demos) == 2


def test_encoding_instructions_leaves_the_signature_class_alone():
    predictor = dspy.Predict("question -> answer")
    before = predictor.signature
    slot = DSPyModule(predictor).slots()[0]
    assert slot.encode(before, "Changed.").instructions == "Changed."
    assert before.instructions != "Changed."


def test_a_large_container_is_data():
    program = Program(corpus=["text"] * 100_000, p=dspy.Predict("q -> a"))
    assert paths(program) == ["p:instructions"]


def test_nothing_to_train_says_why():
    class Empty(dspy.Module):
        def forward(self, q):
            return dspy.Predict("q -> a")(q=q)

    module = DSPyModule(Empty())
    assert module.slots() == []
    assert "no dspy.Predict" in module.nothing_to_train()
    frozen = Program(p=Program(q=dspy.Predict("q -> a")))
    frozen.p._compiled = True
    assert "compiled already" in DSPyModule(frozen).nothing_to_train()


def test_wrap_knows_dspy_only():
    assert trace_bridge_dspy.wrap(object()) is None
    assert isinstance(trace_bridge_dspy.wrap(dspy.Predict("q -> a")), DSPyModule)
