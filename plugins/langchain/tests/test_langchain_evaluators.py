"""LangSmith's evaluators, openevals' and our own, as metrics."""

import functools
import inspect
import json
from uuid import uuid4

import numpy as np
import pytest
import trace_bridge_langchain
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_test_tools import ScriptModel
from langsmith import schemas, traceable
from langsmith.evaluation import EvaluationResult, RunEvaluator, run_evaluator
from langsmith.evaluation.evaluator import comparison_evaluator
from langsmith.schemas import Example, Run
from pydantic import BaseModel
from trace_bridge_langchain.evaluators import adapt, judged

import trace_bridge as tb
from trace_bridge import Feedback

SAID = {"inputs": {"question": "q"}, "outputs": {"answer": "yes"}}
OWN = Example(id=uuid4(), dataset_id=uuid4(), **SAID)


def correct(outputs, reference_outputs):
    return outputs == reference_outputs


def everything(inputs, outputs, reference_outputs, run, example, attachments):
    assert inputs == run.inputs == example.inputs == {"question": "q"}
    assert outputs == run.outputs == reference_outputs == example.outputs == {"answer": "yes"}
    assert run.reference_example_id == example.id
    assert run.trace_id == run.id
    assert isinstance(run, Run)
    assert isinstance(example, Example)
    return attachments == {} and run.run_type == "chain"


def named_output(outputs):
    return outputs["output"] == outputs["answer"] == outputs.get("output") == "yes"


def keywords_only(*, outputs, reference_outputs, **kwargs):
    assert kwargs == {}
    return outputs == reference_outputs


def positional_only(inputs, outputs, /, threshold=0.5):
    return inputs == {"question": "q"} and outputs == {"answer": "yes"} and threshold


def anything(**kwargs):
    return sorted(kwargs) == ["inputs", "outputs", "reference_outputs"]


def with_default(outputs, reference_outputs=None):
    return outputs == reference_outputs


def only_run(run):
    return run.outputs["answer"] == run.outputs["output"] == "yes"


def annotated(root_run: Run, gold: Example | None) -> dict:
    return {"key": "same", "score": root_run.outputs == gold.outputs}


def annotated_in_words(it: "schemas.Run", gold: "Example"):
    return it.outputs == gold.outputs


def turned(gold: Example, it: Run):
    return it.outputs == gold.outputs


def free_and_example(it, example):
    return it.outputs == example.outputs


def ours(example, output):
    return output == example["outputs"]["answer"]


def ours_with_other_names(gold, answer):
    return answer == gold["outputs"]["answer"]


def ours_with_an_example(gold: Example, answer: str):
    return answer == gold.outputs["answer"]


def ours_with_more(example, output, strict=True):
    return strict and output == "yes"


def ours_with_a_default(example, output=None):
    return output == "yes"


def ours_turned(prediction, example):
    return prediction == example["outputs"]["answer"]


@traceable
def traced(outputs, reference_outputs):
    return outputs == reference_outputs


class Called:
    def __call__(self, outputs: dict, reference_outputs: dict) -> bool:
        return outputs == reference_outputs


class Evaluator(RunEvaluator):
    def evaluate_run(self, run, example=None, evaluator_run_id=None):
        return EvaluationResult(key="k", score=run.outputs == example.outputs)


@run_evaluator
def decorated(run, example):
    return {"key": "k", "score": run.outputs == example.outputs, "comment": "c"}


@run_evaluator
def decorated_by_name(outputs, reference_outputs):
    return outputs == reference_outputs


class Strings:
    """As langchain_classic's StringEvaluator."""

    def evaluate_strings(self, *, prediction, reference=None, input=None, **kwargs):  # noqa: A002
        assert (prediction, reference, input) == ("yes", "yes", "q")
        return {"reasoning": "the same", "value": "Y", "score": 1}


class Wrapped:
    """As LangSmith's LangChainStringEvaluator."""

    def as_run_evaluator(self):
        return decorated


@pytest.mark.parametrize("example", [SAID, OWN], ids=["dict", "Example"])
@pytest.mark.parametrize(
    "function",
    [
        correct, everything, named_output, keywords_only, anything, with_default, only_run,
        annotated, annotated_in_words, turned, free_and_example, traced, Called(), Evaluator(),
        decorated, decorated_by_name, Strings(), Wrapped(),
    ],
    ids=lambda function: getattr(function, "__name__", type(function).__name__),
)  # fmt: skip
def test_evaluators_are_called_as_they_want(function, example):
    result = adapt(function)(example, "yes")
    result = result.score if isinstance(result, Feedback) else result
    assert result == 1.0
    assert type(result) is float


@pytest.mark.parametrize(
    "function",
    [
        ours, ours_with_other_names, ours_with_an_example, ours_with_more, ours_with_a_default,
        ours_turned,
    ],
)  # fmt: skip
def test_our_own_metrics_get_example_and_output(function):
    assert adapt(function)(SAID, "yes") == 1.0
    assert adapt(function)(SAID, "no") == 0.0


def test_arguments_that_are_given_already_stay():
    assert adapt(positional_only)(SAID, "yes") == 0.5
    fixed = functools.partial(correct, reference_outputs={"answer": "no"})
    assert adapt(fixed)(SAID, "yes") == 0.0
    assert adapt(fixed)(SAID, "no") == 1.0


@pytest.mark.parametrize(
    "function",
    [3, "exact_match", None, Called, lambda: 1, lambda a, b, c: 1, lambda a: 1, lambda a, *, b: 1],
)
def test_what_is_no_evaluator(function):
    assert adapt(function) is None


@pytest.mark.parametrize(
    "function",
    [
        comparison_evaluator(lambda runs, example: {"key": "k", "scores": {}}),
        lambda runs, examples: 1.0,
    ],
)
def test_evaluators_of_several_runs_are_named(function):
    with pytest.raises(TypeError, match="several runs: pass evaluators of one run"):
        adapt(function)


class Grade(BaseModel):
    score: float
    reasoning: str


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (True, 1.0),
        (0, 0.0),
        (0.25, 0.25),
        (np.float64(0.5), 0.5),
        (np.bool_(True), 1.0),
        ("It is too long.", "It is too long."),
        ("correct", Feedback("correct", 1.0)),
        ("INCORRECT", Feedback("INCORRECT", 0.0)),
        ((0.5, "half"), (0.5, "half")),
        (Feedback("t", 1.0), Feedback("t", 1.0)),
        (None, None),
        ({"key": "k", "score": True}, Feedback("", 1.0)),
        ({"key": "k", "score": 0.5, "comment": "half"}, Feedback("half", 0.5)),
        ({"score": 0, "reasoning": "why"}, Feedback("why", 0.0)),
        ({"key": "k", "value": "fail", "comment": "why"}, Feedback("fail: why", 0.0)),
        ({"key": "tone", "value": "formal"}, Feedback("formal")),
        ({"reasoning": "why", "value": "Y", "score": 1}, Feedback("why", 1.0)),
        (
            {"score": 0, "comment": "no", "correction": {"answer": "x"}},
            Feedback('no: It should have been: {"answer": "x"}', 0.0),
        ),
        ({"comment": "only said"}, Feedback("only said")),
        ({"other": 1}, {"other": 1}),
        (EvaluationResult(key="k", score=0.5, comment="half"), Feedback("half", 0.5)),
        (Grade(score=0.5, reasoning="half"), Feedback("half", 0.5)),
        ([{"key": "a", "score": 1, "comment": "good"}], Feedback("good", 1.0)),
        (
            [{"key": "a", "score": 1, "comment": "good"}, {"key": "b", "score": 0}],
            Feedback("a 1: good\nb 0", 0.5),
        ),
        (
            {"results": [EvaluationResult(key="a", score=1), {"key": "b", "value": "formal"}]},
            Feedback("a 1\nb: formal", 1.0),
        ),
        ([True, False], Feedback("", 0.5)),
        (["long", 1.0], Feedback("long", 1.0)),
        ([..., 1], [..., 1]),
        ([], []),
    ],
    ids=repr,
)
def test_what_evaluators_return(returned, expected):
    result = judged(returned)
    assert result == expected
    assert type(result) is type(expected)


async def test_async_evaluators():
    async def slow(outputs, reference_outputs):
        return {"key": "k", "score": outputs == reference_outputs, "comment": "late"}

    for function in (slow, run_evaluator(slow)):
        result = adapt(function)(SAID, "yes")
        assert inspect.isawaitable(result)
        assert await result == Feedback("late", 1.0)


def test_plain_data_is_put_in_their_terms():
    assert adapt(correct)({"question": "q", "answer": "yes"}, "yes") == 1.0
    assert adapt(correct)({"question": "q", "answer": "yes"}, "no") == 0.0
    assert adapt(correct)(("q", "yes"), "yes") == 1.0
    assert adapt(correct)({"inputs": "q", "outputs": "yes"}, "yes") == 1.0
    assert adapt(lambda inputs: inputs == {"question": "q"})({"question": "q", "answer": 1}, "")
    assert adapt(lambda inputs: inputs == {"input": "q"})("q", "") == 1.0
    assert adapt(lambda outputs: outputs == {"output": 3})(("q", None), 3) == 1.0
    assert adapt(lambda reference_outputs: reference_outputs == {})("q", "") == 1.0
    assert adapt(lambda example: example.id.int > 0)({"question": "q"}, "") == 1.0


def test_the_same_example_has_the_same_id():
    ids = []
    metric = adapt(lambda example, run: ids.append(example.id) or 1.0)
    metric(SAID, "x")
    metric(dict(SAID), "y")
    metric(("other", "y"), "y")
    assert ids[0] == ids[1] != ids[2]


def test_a_message_is_its_text_and_keeps_its_attributes():
    call = {"name": "double", "args": {}, "id": "c", "type": "tool_call"}
    message = AIMessage([{"type": "text", "text": "y"}, "es"], tool_calls=[call])

    def read(outputs, reference_outputs):
        said = outputs["output"]
        assert json.loads(json.dumps(outputs)) == {"answer": "yes"}
        assert said.tool_calls[0]["name"] == "double"
        assert said.content is message.content
        with pytest.raises(AttributeError):
            _ = said.nothing
        with pytest.raises(KeyError):
            _ = outputs["nothing"]
        assert outputs.get("nothing", 3) == 3
        return outputs == reference_outputs

    assert adapt(read)(SAID, message) == 1.0


def test_what_evaluators_write_does_not_reach_the_user():
    def spoil(inputs, outputs, reference_outputs):
        inputs["question"] = outputs["answer"] = reference_outputs["answer"] = "spoilt"
        return 1.0

    output = {"answer": "yes"}
    adapt(spoil)(SAID, output)
    assert output == {"answer": "yes"}
    assert SAID["outputs"] == {"answer": "yes"}
    assert SAID["inputs"] == {"question": "q"}


def test_texts_for_string_evaluators():
    class Shown:
        def evaluate_strings(self, *, prediction, reference=None, input=None):  # noqa: A002
            return f"{prediction} | {reference} | {input}"

    show = adapt(Shown())
    state = {"messages": [HumanMessage("q"), AIMessage("last")], "found": [Document("d")]}
    assert show(SAID, state) == "last | yes | q"
    assert show("q", AIMessage("said")) == "said | None | q"
    assert show(({"a": 1, "b": "x"}, "r"), 3) == '3 | r | {"a": 1, "b": "x"}'


def test_names_for_messages():
    assert adapt(correct).__qualname__ == "correct"
    assert adapt(Strings()).__qualname__ == "Strings"


def test_the_hook_adapts_for_agents_of_langchain_only():
    module = trace_bridge_langchain.wrap(ChatPromptTemplate.from_template("{question}"))
    assert trace_bridge_langchain.metric(correct, module)(SAID, "yes") == 1.0
    assert trace_bridge_langchain.metric(correct, object()) is None


# ------------------------------------------------------------------------------ openevals


def test_openevals_string_evaluators():
    exact = pytest.importorskip("openevals.exact")
    strings = pytest.importorskip("openevals.string.levenshtein")
    assert adapt(exact.exact_match)(SAID, "yes") == Feedback("", 1.0)
    assert adapt(exact.exact_match)(SAID, AIMessage("yes")).score == 1.0
    assert adapt(exact.exact_match)(OWN, {"answer": "no"}).score == 0.0
    assert adapt(exact.exact_match)(("q", [HumanMessage("x")]), [HumanMessage("x")]).score == 1.0
    assert 0 < adapt(strings.levenshtein_distance)(SAID, "yeah").score < 1


async def test_openevals_async_evaluators():
    exact = pytest.importorskip("openevals.exact")
    assert await adapt(exact.exact_match_async)(SAID, "yes") == Feedback("", 1.0)


def judge_model():
    """Gives the structured answer that openevals' judge asks for."""

    def answer(messages):
        right = "<said>YES</said>" in str(messages[-1].content)
        reason = "It was shouted." if right else "It was not shouted."
        call = {"name": "score", "args": {"reasoning": reason, "score": right}, "id": "1"}
        return AIMessage("", tool_calls=[call])

    return ScriptModel(function=answer)


def shouting_judge(model):
    judges = pytest.importorskip("openevals.llm")
    return judges.create_llm_as_judge(
        prompt="Is it shouted? <asked>{inputs}</asked> <said>{outputs}</said>", judge=model,
        feedback_key="shouted",
    )  # fmt: skip


def test_a_judge_of_openevals_wrapped_as_its_documentation_does(seams):
    model = judge_model()
    judge = shouting_judge(model)

    def shouted(inputs, outputs, reference_outputs):
        return judge(inputs=inputs["question"], outputs=outputs["output"])

    assert adapt(shouted)(SAID, AIMessage("YES")) == Feedback("It was shouted.", 1.0)
    assert adapt(shouted)(SAID, "no") == Feedback("It was not shouted.", 0.0)
    assert len(model.prompts) == 2


def test_judge_calls_are_metered_and_no_part_of_the_graph():
    judge = shouting_judge(judge_model())
    asked = []

    def shouted(inputs, outputs):
        return judge(inputs=inputs["question"], outputs=outputs["output"])

    def proposer(messages):
        text = messages[-1]["content"]
        asked.append(text)
        assert "It was not shouted." in text
        assert "<asked>" not in text, "the judge's prompt is in the graph"
        return '<variable name="prompt_human_template">SHOUT {question}</variable>'

    def answer(messages):
        return "YES" if "SHOUT" in str(messages[0].content) else "yes"

    chain = ChatPromptTemplate.from_template("Answer: {question}") | ScriptModel(function=answer)
    data = [{"inputs": {"question": f"q{i}"}} for i in range(40)]
    run = tb.optimize(
        chain, data, shouted, llm=proposer, optimizer="optoprime", progress=False,
        engine=tb.Engine(concurrency=2),
    )  # fmt: skip
    assert asked
    assert run.verdict == "better"
    # one call of the chain's model and one of the judge's in each evaluation, and the proposer's
    assert run.record.usage.calls == 2 * run.record.evaluations + len(asked)


def test_a_list_of_evaluators():
    def shout(outputs):
        return {"key": "shout", "score": outputs["output"].isupper(), "comment": "loud"}

    def proposer(messages):
        return '<variable name="prompt_human_template">SHOUT {question}</variable>'

    def answer(messages):
        return "YES" if "SHOUT" in str(messages[0].content) else "yes"

    chain = ChatPromptTemplate.from_template("Answer: {question}") | ScriptModel(function=answer)
    data = [({"question": f"q{i}"}, "YES") for i in range(40)]
    run = tb.optimize(
        chain, data, [shout, lambda outputs, reference_outputs: outputs["output"] == "YES"],
        llm=proposer, optimizer="optoprime", progress=False, engine=tb.Engine(concurrency=2),
    )  # fmt: skip
    assert (run.verdict.before, run.verdict.after) == (0.0, 1.0)
