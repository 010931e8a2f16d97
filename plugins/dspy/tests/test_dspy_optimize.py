"""``optimize`` on DSPy programs, end to end: scripted models that read their prompts."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import dspy
import pytest
from dspy_test_tools import ScriptLM, question, system

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


def test_a_saved_file_serves_dspy_alone_and_trace_bridge(optimize, tmp_path):
    run = optimize(Pipeline(), llm=proposer([]))
    path = run.save(tmp_path / "tuned.json")
    fresh = Pipeline()
    tb.load(path).apply(fresh)
    assert fresh.reply.signature.instructions == "Say the fact in capital letters."
    script = """
        import json, sys
        sys.modules["trace_bridge"] = None  # as if it were not installed
        import dspy

        class Pipeline(dspy.Module):
            def __init__(self):
                super().__init__()
                self.find = dspy.Predict(dspy.Signature("question -> fact", "Look the fact up."))
                self.reply = dspy.Predict(
                    dspy.Signature("question, fact -> answer", "Say the fact.")
                )

        program = Pipeline()
        program.load(sys.argv[1])
        print(json.dumps([p.signature.instructions for p in program.predictors()]))
        """
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(output.splitlines()[-1]) == [
        "Look the fact up.", "Say the fact in capital letters.",
    ]  # fmt: skip


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
            namespace["Citation"](), examples[:30], namespace["exact"], valset=examples[30:42],
            testset=examples[42:62], trainable=["*:demos"], optimizer=tb.Bootstrap(proposals=2),
            budget=tb.Budget(evaluations=100), engine=tb.Engine(concurrency=server.slots),
            progress=False,
        )  # fmt: skip
        assert run.verdict == "better"
        assert run.verdict.before <= 0.2
        assert run.verdict.after >= run.verdict.before + 0.3
        assert run.record.usage.prompt_tokens > 1000
        better = run.export()
        assert better(name="Dr. Eran Yahav").citation
    assert source.read_bytes() == before
