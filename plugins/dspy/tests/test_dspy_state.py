import copy
import json
import os
import re
import subprocess
import sys

import dspy
import pytest
import trace_bridge_dspy
from dspy_test_tools import Meter, ScriptLM, question, system
from trace_bridge_dspy import versions
from trace_bridge_dspy.module import DSPyModule

from trace_bridge import Budget
from trace_bridge.llm.base import complete, gate
from trace_bridge.plugins import installed

GLOBAL = dspy.Predict("question -> answer")


def search(query: str) -> str:
    """Old words."""
    return query


class Agent(dspy.Module):
    def __init__(self):
        super().__init__()
        self.index = object()
        self.agent = dspy.ReAct("question -> answer", tools=[search])

    def forward(self, question):
        return self.agent(question=question)


class Uses(dspy.Module):
    def __init__(self):
        super().__init__()
        self.own = dspy.Predict("question -> answer")

    def forward(self, question):
        return GLOBAL(question=question)


STATE = {
    "agent/extract/predict:instructions": "Extract WELL.",
    "agent/extract/predict:demos": [{"question": "a", "answer": "b"}],
    "agent/extract/predict:desc.answer": "a FINE answer",
    "agent/tools/search:desc": "New words.",
}


def check(program):
    predict = program.agent.extract.predict
    assert predict.signature.instructions == "Extract WELL."
    assert predict.signature.fields["answer"].json_schema_extra["desc"] == "a FINE answer"
    assert [dict(demo.items()) for demo in predict.demos] == [{"question": "a", "answer": "b"}]
    assert program.agent.tools["search"].desc == "New words."
    assert "New words." in program.agent.react.signature.instructions
    assert "Old words." not in program.agent.react.signature.instructions


def test_export_is_a_new_program_with_the_values():
    program = Agent()
    before = DSPyModule(program).state_dict()
    module = DSPyModule(program)
    exported = module.export(STATE)
    check(exported)
    assert type(exported) is Agent
    assert exported.index is program.index
    assert not exported._compiled
    assert DSPyModule(program).state_dict() == before == module.state_dict()
    check(copy.deepcopy(exported))
    assert DSPyModule(exported).state_dict()["agent/tools/search:desc"] == "New words."


def test_a_clone_starts_with_the_values():
    module = DSPyModule(Agent()).clone(STATE)
    assert {path: module.state_dict()[path] for path in STATE} == STATE


def test_export_formats():
    module = DSPyModule(Agent())
    check(module.export(STATE, "program"))
    assert "agent.extract.predict" in module.export(STATE, "state")
    with pytest.raises(ValueError, match="program, state"):
        module.export(STATE, "onnx")
    with pytest.raises(LookupError, match="no parameter nowhere:x"):
        module.export({"nowhere:x": ""})


def test_apply_and_back():
    program = Agent()
    module = DSPyModule(program)
    before = module.state_dict()
    module.apply(STATE)
    check(program)
    assert module.state_dict() == DSPyModule(program).state_dict() == {**before, **STATE}
    module.apply(before)
    assert DSPyModule(program).state_dict() == before
    with pytest.raises(LookupError):
        module.apply({**STATE, "nowhere:x": ""})
    assert DSPyModule(program).state_dict() == before


def test_what_a_copy_cannot_hold_is_said_and_applied():
    program = Uses()
    module, path = DSPyModule(program), "outside/GLOBAL:instructions"
    before = module.state_dict()
    with pytest.warns(UserWarning, match="outside/GLOBAL:instructions"):
        module.export({path: "Globally."})
    assert GLOBAL.signature.instructions != "Globally."
    module.apply({path: "Globally."})
    assert GLOBAL.signature.instructions == "Globally."
    module.apply({path: before[path]})


def test_native_is_dspys_own_file(tmp_path):
    module = DSPyModule(Agent())
    native = module.native(STATE)
    module.export(STATE).save(str(tmp_path / "own.json"))
    assert native == json.loads((tmp_path / "own.json").read_text())
    path = tmp_path / "ours.json"
    path.write_text(json.dumps({**native, "trace_bridge": {"format": 1, "state": STATE}}))
    loaded = Agent()
    loaded.load(str(path))
    predict = loaded.agent.extract.predict
    assert predict.signature.instructions == "Extract WELL."
    assert "New words." in loaded.agent.react.signature.instructions


def test_labelled_examples_make_demonstrations():
    class Two(dspy.Module):
        def __init__(self):
            super().__init__()
            self.query = dspy.Predict("question -> query")
            self.answer = dspy.Predict("question, context -> answer")

    example = dspy.Example(question="q", answer="a", extra=1).with_inputs("question")
    demo = {"question": "q", "answer": "a"}
    module = DSPyModule(Two())
    assert module.labelled(example) == {"answer:demos": demo}
    assert module.labelled({"question": "q", "answer": "a"}) == {"answer:demos": demo}
    assert module.labelled({"answer": "a"}) == {}


def test_inputs_of_examples():
    module = DSPyModule(Agent())
    example = dspy.Example(question="q", answer="a").with_inputs("question")
    assert module.inputs(example) == {"question": "q"}
    assert module.inputs({"question": "q", "answer": "a"}) == {"question": "q"}
    assert module.inputs(dspy.Example(question="q", answer="a")) == {"question": "q"}
    root = DSPyModule(dspy.ChainOfThought("question -> answer"))
    assert root.inputs({"question": "q", "answer": "a"}) == {"question": "q"}
    with pytest.raises(ValueError, match="lacks question"):
        module.inputs({"answer": "a"})
    with pytest.raises(TypeError, match="not int"):
        module.inputs(3)

    class Anything(dspy.Module):
        def forward(self, **kwargs):
            return kwargs

    with pytest.raises(ValueError, match="with_inputs"):
        DSPyModule(Anything()).inputs({"a": 1})


def test_examples_as_json():
    module = DSPyModule(Agent())
    example = dspy.Example(question="q", answer="a").with_inputs("question")
    encoded = {"fields": {"question": "q", "answer": "a"}, "inputs": ["question"]}
    assert module.encode(example) == encoded
    assert module.encode({"question": "q"}) == {"question": "q"}


def test_models():
    default, own = ScriptLM(lambda m: ""), ScriptLM(lambda m: "")
    program = Agent()
    assert DSPyModule(program).models() == []
    with dspy.context(lm=default):
        assert DSPyModule(program).models() == [default]
        program.agent.react.lm = own
        assert DSPyModule(program).models() == [own, default]


def test_a_missing_model_is_a_problem_unless_the_program_brings_one():
    class Brings(dspy.Module):
        def __init__(self):
            super().__init__()
            self.p = dspy.Predict("question -> answer")

        def forward(self, question):
            return self.p(question=question, lm=ScriptLM(lambda m: ""))

    assert "dspy.configure(lm=" in DSPyModule(Agent()).problem()
    assert DSPyModule(Brings()).problem() == ""
    with dspy.context(lm=ScriptLM(lambda m: "")):
        assert DSPyModule(Agent()).problem() == ""


PROGRAM = """
import dspy, json, sys
import trace_bridge_dspy

class Mine(dspy.Module):
    def __init__(self, k=3):
        super().__init__()
        self.k = k
        self.p = dspy.ChainOfThought("question -> answer")
    def forward(self, question):
        return self.p(question=question)

lm = dspy.LM("openai/m", api_key="SECRET", api_base="http://127.0.0.1:%s/v1", temperature=0.3)
with dspy.context(lm=lm):
    found = trace_bridge_dspy.wrap(Mine()).fingerprint()
    other = trace_bridge_dspy.wrap(Mine(k=4)).fingerprint()
assert json.dumps(found) != json.dumps(other)
sys.stdout.write(json.dumps(found))
"""


def test_fingerprints_are_equal_between_processes(tmp_path):
    texts = []
    for port, seed in (("4711", "1"), ("4712", "2")):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM % port)
        result = subprocess.run(
            [sys.executable, str(path)], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        texts.append(result.stdout.splitlines()[-1])
    assert texts[0] == texts[1].replace(PROGRAM % "4712", PROGRAM % "4711") or _same(*texts)
    assert "SECRET" not in texts[0]
    assert "4711" not in texts[0]
    assert "openai/m" in texts[0]
    assert "0.3" in texts[0]


def _same(one, other):
    return json.loads(one) == json.loads(other)


def test_code_without_a_file_counts_by_what_it_does():
    def made(number):
        space = {"dspy": dspy, "__name__": "made"}
        exec(  # noqa: S102 (as in a notebook)
            "class Made(dspy.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.p = dspy.Predict('question -> answer')\n"
            "    def forward(self, question):\n"
            f"        return [i in {{'a', 'b'}} for i in range({number})], (lambda: {number})\n",
            space,
        )
        return json.dumps(DSPyModule(space["Made"]()).fingerprint())

    assert made(3) == made(3) != made(4)
    assert " at 0x" not in made(3)


def test_a_fingerprint_changes_with_code_adapter_and_structure():
    class Other(Agent):
        pass

    base = DSPyModule(Agent()).fingerprint()
    assert DSPyModule(Agent()).fingerprint() == base
    assert DSPyModule(Other()).fingerprint() != base
    with dspy.context(adapter=dspy.JSONAdapter()):
        assert DSPyModule(Agent()).fingerprint() != base
    with dspy.context(lm=ScriptLM(lambda m: "")):
        assert DSPyModule(Agent()).fingerprint() != base
    changed = Agent()
    changed.agent.max_iters = 3
    assert DSPyModule(changed).fingerprint() != base
    json.dumps(base)


async def test_a_dspy_lm_proposes_behind_one_gate():
    lm = ScriptLM(lambda messages: f"You said {messages[-1]['content']}")
    model, meter = trace_bridge_dspy.llm(lm), Meter()
    assert model.model == "dummy"
    assert trace_bridge_dspy.llm("dummy") is None  # the hook is no module of that name
    gate.set(meter)
    try:
        with trace_bridge_dspy.instrument():
            reply = await complete(model, [{"role": "user", "content": "hello"}])
    finally:
        gate.set(None)
    assert reply.text == "You said hello"
    assert reply.finish_reason == "stop"
    assert len(meter.calls) == 1


def test_versions(recwarn):
    versions.check("3.0.4")
    versions.check("3.4.9")
    with pytest.raises(versions.UnsupportedVersionError, match="pip install -U"):
        versions.check("2.6.27")
    with pytest.warns(UserWarning, match=r"DSPy 3\.5\.0 is newer than 3\.4"):
        versions.check("3.5.0")


def test_importing_the_plugin_does_not_import_dspy():
    code = (
        "import sys, trace_bridge_dspy as p\n"
        "assert p.wrap(3) is None and p.instrument() is None and p.llm(3) is None\n"
        "assert 'dspy' not in sys.modules and 'litellm' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def rule(messages):
    good = "PLEASE" in system(messages)
    return {"answer": f"{'good' if good else 'bad'} {question(messages)}"}


def proposer(messages):
    name = re.search(r"instructions=(\w+)", str(messages)).group(1)
    return f'<variable name="{name}">Say PLEASE.</variable>'


@pytest.fixture
def plugins():
    """The plugin, unless it is installed and so known already."""
    known = installed().list_name_plugin()
    return [] if any(plugin is trace_bridge_dspy for _, plugin in known) else [trace_bridge_dspy]


def test_the_teleprompter_gives_a_better_copy(plugins):
    def metric(example, pred, trace=None):
        return pred.answer.startswith("good")

    student = dspy.Predict("question -> answer")
    before = DSPyModule(student).state_dict()
    trainset = [dspy.Example(question=f"q{i}").with_inputs("question") for i in range(60)]
    arguments = {"trainset": trainset, "progress": False, "plugins": plugins}
    tuner = trace_bridge_dspy.TraceBridge(
        metric=metric, llm=proposer, budget=Budget(evaluations=120), trainable=["*:instructions"]
    )
    with dspy.context(lm=ScriptLM(rule)):
        program = tuner.compile(student, **arguments)
        with pytest.warns(UserWarning, match="teacher"):
            tuner.compile(student, teacher=student, **arguments)
        assert program(question="x").answer == "good x"
    assert type(program) is dspy.Predict
    assert program.detailed_results.verdict.better
    assert program is not student
    assert DSPyModule(student).state_dict() == before
