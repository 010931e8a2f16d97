"""``optimize`` on DSPy programs, end to end: scripted models that read their prompts."""

import copy
import inspect
import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import dspy
import pytest
from dspy_test_tools import ScriptLM, question, system
from trace_bridge_dspy import TraceBridge

import trace_bridge as tb
from trace_bridge.graph import Node

FACTS = {f"What is number {i}?": f"fact {i} is blue" for i in range(60)}


class Pipeline(dspy.Module):
    """Finds a fact and replies with it."""

    def __init__(self):
        super().__init__()
        self.find = dspy.Predict(dspy.Signature("question -> fact", "Look the fact up."))
        self.reply = dspy.Predict(dspy.Signature("question, fact -> answer", "Say the fact."))

    def forward(self, question):
        fact = self.find(question=question).fact
        return self.reply(question=question, fact=fact)


def answers(messages):
    """The agent's model: shouts if the second prompt's instruction says so."""
    if "[[ ## fact ## ]]\n" in messages[-1]["content"]:
        fact = question(messages, "fact")
        return {"answer": fact.upper() if "capital letters" in system(messages) else fact}
    return {"fact": FACTS[question(messages)]}


def shouted(example, pred, trace=None):
    right = pred.answer == FACTS[example.question].upper()
    return dspy.Prediction(
        score=float(right), feedback="" if right else "The answer should have been shouted."
    )


def proposer(calls):
    """Reads its prompt, and is of no use unless blamed parameter, feedback and value are in it."""

    def model(messages):
        text = messages[-1]["content"]
        calls.append(text)
        blamed = "Say the fact." in text and 'name="reply_instructions"' in text
        told = "should have been shouted" in text and "is blue" in text
        if blamed and told:
            return '<variable name="reply_instructions">Say the fact in capital letters.</variable>'
        return "It all looks well to me."

    return model


@pytest.fixture
def examples():
    return [dspy.Example(question=q).with_inputs("question") for q in FACTS]


@pytest.fixture
def optimize(examples):
    def run(program, **changes):
        settings = {
            "optimizer": "optoprime", "trainable": ["*:instructions"], "progress": False,
            "engine": tb.Engine(concurrency=4),
        }  # fmt: skip
        with dspy.context(lm=ScriptLM(answers)):
            return tb.optimize(program, examples, shouted, **settings | changes)

    return run


def test_instructions_are_optimized_and_the_program_is_not_written(optimize):
    calls, program = [], Pipeline()
    before = program.dump_state()
    run = optimize(program, llm=proposer(calls))
    assert run.verdict == "better"
    assert (run.verdict.before, run.verdict.after) == (0.0, 1.0)
    assert run.best.state["find:instructions"] == "Look the fact up."
    assert run.best.state["reply:instructions"] == "Say the fact in capital letters."
    assert len(calls) == 1
    assert program.dump_state() == before
    assert program.history == program.reply.history == []


class Marks(tb.Optimizer):
    """Proposes eight instructions for the first of two predictors."""

    name = "marks"

    def plan(self, history):
        return tb.StepPlan(self.name, minibatch=1, proposals=8, gated=False)

    async def propose(self, subgraphs, parameters, history, n=1):
        [find] = (p for p in parameters if p.name == "find:instructions")
        changes = [tb.judge_change(find, f"MARK {number}") for number in range(n)]
        return [tb.Proposal((change,), "", self.name) for change in changes]


def test_thirty_two_evaluations_of_eight_candidates_run_at_once_on_one_program(examples):
    barrier = threading.Barrier(32)

    def model(messages):
        if "[[ ## fact ## ]]\n" in messages[-1]["content"]:  # the second predictor hands it on
            return {"answer": question(messages, "fact")}
        mark, row = system(messages).partition("MARK ")[2][:1], question(messages)
        if mark and row in first_rows:
            barrier.wait(30)  # fails, and the candidate with it, if fewer come
        return {"fact": f"{mark}/{row}"}

    def fifth(example, pred):
        outputs.append((pred.answer, example.question))
        return float(pred.answer == f"5/{example.question}")

    program, outputs = Pipeline(), []
    first_rows = {example.question for example in examples[1:5]}
    before = program.dump_state()
    with dspy.context(lm=ScriptLM(model)):
        run = tb.optimize(
            program, examples[:1], fifth, valset=examples[1:13], testset=examples[13:30],
            optimizer=Marks(), trainable=["*:instructions"], progress=False,
            engine=tb.Engine(concurrency=32, patience=1, retries=0),
        )  # fmt: skip
    assert run.verdict == "better"
    assert run.best.state["find:instructions"] == "MARK 5"
    assert [t.number for t in run.trials if t.fate == "accepted"] == [6]
    assert all(answer.partition("/")[2] == row for answer, row in outputs)  # nobody else's row
    assert program.dump_state() == before
    assert program.history == program.find.history == program.reply.history == []


def test_broken_propagation_leaves_the_score_where_it_was(optimize, monkeypatch):
    monkeypatch.setattr("trace_bridge.training.evaluate.link", lambda recorder: Node("lost"))
    calls = []
    run = optimize(Pipeline(), llm=proposer(calls))
    assert run.verdict == "no reliable gain"
    assert run.verdict.before == run.verdict.after == 0.0


def test_it_resumes_and_asks_nobody_again(optimize):
    calls = []
    first = optimize(Pipeline(), llm=proposer(calls))
    again = optimize(Pipeline(), llm=proposer(calls))
    assert len(calls) == 1
    assert again.record.session.calls == 0
    assert again.record.reused == again.record.evaluations == first.record.evaluations
    assert again.best.state == first.best.state


def test_the_exported_program_answers_the_same(optimize):
    program = Pipeline()
    run = optimize(program, llm=proposer([]))
    better = run.export()
    assert type(better) is Pipeline
    with dspy.context(lm=ScriptLM(answers)):
        assert better(question="What is number 3?").answer == "FACT 3 IS BLUE"
        assert program(question="What is number 3?").answer == "fact 3 is blue"
        run.apply(program)
        assert program(question="What is number 3?").answer == "FACT 3 IS BLUE"
        run.restore(program)
        assert program(question="What is number 3?").answer == "fact 3 is blue"


# What a user's own process has: the program, a model, and DSPy; trace_bridge cannot be imported.
ELSEWHERE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("trace_bridge"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import dspy
from dspy.utils.dummies import DummyLM

PIPELINE

class Model(DummyLM):
    def _use_example(self, messages):
        text = messages[-1]["content"]
        if "[[ ## fact ## ]]\\n" not in text:
            return "[[ ## fact ## ]]\\nfact 3 is blue\\n\\n[[ ## completed ## ]]"
        loud = "capital letters" in messages[0]["content"]
        said = "FACT 3 IS BLUE" if loud else "fact 3 is blue"
        return f"[[ ## answer ## ]]\\n{said}\\n\\n[[ ## completed ## ]]"

dspy.configure(lm=Model([], follow_examples=True))
""".replace("PIPELINE", inspect.getsource(Pipeline))


def elsewhere(script, *arguments):
    """What ``script`` prints, as JSON, in such a process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE + textwrap.dedent(script), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_saved_file_serves_dspy_alone_and_trace_bridge(optimize, tmp_path):
    run = optimize(Pipeline(), llm=proposer([]))
    path = run.save(tmp_path / "tuned.json")
    fresh = Pipeline()
    tb.load(path).apply(fresh)
    assert fresh.reply.signature.instructions == "Say the fact in capital letters."
    script = """
        program = Pipeline()
        before = program(question="What is number 3?").answer
        program.load(sys.argv[1])
        print(json.dumps([before, program(question="What is number 3?").answer]))
        """
    assert elsewhere(script, str(path)) == ["fact 3 is blue", "FACT 3 IS BLUE"]


def test_a_whole_program_saved_by_dspy_needs_no_trace_bridge(examples, tmp_path):
    tuner = TraceBridge(
        shouted, optimizer="optoprime", llm=proposer([]), trainable=["*:instructions"],
        engine=tb.Engine(concurrency=4),
    )  # fmt: skip
    with dspy.context(lm=ScriptLM(answers)):
        better = tuner.compile(Pipeline(), trainset=examples, progress=False)
    copied = copy.deepcopy(better)  # as BestOfN makes one
    assert copied.detailed_results.verdict == "better"
    here = sys.modules[Pipeline.__module__]  # which cannot be imported elsewhere
    better.save(str(tmp_path), save_program=True, modules_to_serialize=[here])
    script = """
        program = dspy.load(sys.argv[1], **json.loads(sys.argv[2]))
        answer = program(question="What is number 3?").answer
        print(json.dumps([answer, program.detailed_results]))
        """
    known = inspect.signature(dspy.load).parameters  # 3.1 and newer want to be asked for it
    options = {"allow_pickle": True} if "allow_pickle" in known else {}
    answer, words = elsewhere(script, str(tmp_path), json.dumps(options))
    assert answer == "FACT 3 IS BLUE"
    assert words.startswith("better: 0.000 -> 1.000")


def test_demonstrations_come_from_labels_and_need_no_model(examples):
    labelled = [
        dspy.Example(question=e.question, answer=FACTS[e.question].upper()).with_inputs("question")
        for e in examples
    ]

    def copies(messages):
        """Shouts as soon as an earlier turn does: it learns from demonstrations only."""
        turns = [m["content"] for m in messages if m["role"] == "assistant"]
        fact = FACTS[question(messages)]
        return {"answer": fact.upper() if any("BLUE" in turn for turn in turns) else fact}

    program = dspy.Predict("question -> answer")
    with dspy.context(lm=ScriptLM(copies)):
        run = tb.optimize(
            program, labelled, lambda e, p: p.answer == e.answer, trainable=["*:demos"],
            progress=False, engine=tb.Engine(concurrency=4),
        )  # fmt: skip
    assert run.verdict == "better"
    assert len(run.best.state["self:demos"]) == 8
    assert program.demos == []
    assert all(isinstance(demo, dspy.Example) for demo in run.export().demos)


def test_recording_by_hand_and_step(optimize):
    program = Pipeline()
    with dspy.context(lm=ScriptLM(answers)):
        with tb.record(program) as trace:
            program(question="What is number 5?")
        trace.output.backward((0.0, "It should have been shouted."))
        instructions = [p for p in trace.parameters() if p.kind == "prompt"]
        tb.OptoPrime(instructions, tb.CallableLLM(proposer([]))).step()
        with tb.record(program) as trace:
            output = program(question="What is number 5?")
        assert output.answer == "FACT 5 IS BLUE"
        assert trace.output.data == {"answer": "FACT 5 IS BLUE"}
        assert program(question="What is number 5?").answer == "fact 5 is blue"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (dspy.Module, "holds nothing that could be trained"),
        (lambda: 3, r"no plugin can wrap builtins\.int"),
    ],
)
def test_what_cannot_be_optimized_is_named(examples, program, words):
    with pytest.raises((ValueError, TypeError), match=words):
        tb.optimize(program(), examples, shouted, progress=False)


def test_a_missing_language_model_is_named(examples):
    with pytest.raises(ValueError, match=r"dspy\.configure\(lm="):
        tb.optimize(Pipeline(), examples, shouted, progress=False, optimizer="bootstrap")


@pytest.mark.embedded
@pytest.mark.timeout(300)
def test_a_real_model_learns_from_demonstrations():
    """The example program on the embedded model: small, but all of it real."""
    root = Path(__file__).parents[3]
    source = root / "examples" / "dspy_program.py"
    before = source.read_bytes()
    namespace = {"__name__": "dspy_program"}
    exec(compile(before, str(source), "exec"), namespace)  # noqa: S102 (our own example)
    examples = namespace["load_examples"](root / "examples" / "data" / "names.csv")
    server = tb.embedded()
    lm = dspy.LM(
        f"openai/{server.model}", api_base=server.base_url, api_key=server.api_key,
        temperature=0.0, max_tokens=16, cache=False,
    )  # fmt: skip
    with dspy.context(lm=lm):
        run = tb.optimize(
            namespace["Citation"](), examples[:30], namespace["exact"], valset=examples[30:38],
            testset=examples[38:52], trainable=["*:demos"], optimizer=tb.Bootstrap(proposals=1),
            budget=tb.Budget(evaluations=52),  # one step: 8 + 8 + 8, and 2 * 14 held out
            engine=tb.Engine(concurrency=server.slots), progress=False,
        )  # fmt: skip
        assert run.verdict == "better"
        assert run.verdict.before <= 0.2
        assert run.verdict.after >= run.verdict.before + 0.3
        assert run.record.usage.prompt_tokens > 1000
        better = run.export()
        assert better(name="Dr. Eran Yahav").citation
    assert source.read_bytes() == before
