import inspect

import dspy
import pytest
import trace_bridge_dspy
from dspy.evaluate import answer_exact_match
from dspy_test_tools import ScriptLM
from trace_bridge_dspy.metrics import adapt

from trace_bridge import Feedback

EXAMPLE = dspy.Example(question="q", answer="yes", response="yes").with_inputs("question")
OUTPUT = dspy.Prediction(answer="yes", response="yes")


def plain(example, pred, trace=None):
    assert trace is None
    return example.answer == pred.answer


def two(example, pred):
    return 0.25


def three(gold, pred, trace):
    assert trace is None
    return 1


def gepa(gold, pred, trace=None, pred_name=None, pred_trace=None):
    assert (trace, pred_name, pred_trace) == (None, None, None)
    return dspy.Prediction(score=0.5, feedback="half")


def gepa_required(gold, pred, trace, pred_name, pred_trace):
    return {"score": 0.5, "feedback": "half"}


def with_extra(example, pred, trace=None, frac=1.0):
    return frac


def extra_third(example, pred, frac=1.0):
    return frac


def swapped(prediction, example):
    return example.question == "q" and prediction.answer == "yes"


def keywords(*, example, pred, program_trace=None):
    return example.answer == pred.answer


def variadic(example, pred, *args):
    return len(args)


class Object:
    def __call__(self, example, pred, trace=None):
        return 1


class Judge(dspy.Module):
    def forward(self, example, pred, trace=None):
        assert trace is None
        return 0.75


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (plain, 1.0),
        (two, 0.25),
        (three, 1.0),
        (gepa, (0.5, "half")),
        (gepa_required, (0.5, "half")),
        (with_extra, 1.0),
        (extra_third, 1.0),
        (swapped, 1.0),
        (keywords, 1.0),
        (variadic, 1.0),
        (Object(), 1.0),
        (Judge(), 0.75),
        (lambda gold, pred, *a, **k: True, 1.0),
        (lambda e, p: (True, "fine"), (1.0, "fine")),
        (lambda e, p: (0.5, ""), 0.5),
        (lambda e, p: {"score": 2}, 2.0),
        (lambda e, p: dspy.Prediction(score=True), 1.0),
        (lambda e, p: "only text", "only text"),
        (lambda e, p: Feedback("t", 1.0), Feedback("t", 1.0)),
        (lambda e, p: None, None),
        (answer_exact_match, 1.0),
    ],
)
def test_calls_and_returns(metric, expected, caplog):
    result = adapt(metric)(EXAMPLE, OUTPUT)
    assert result == expected
    assert type(result) is type(expected)
    assert "discouraged" not in caplog.text


def test_a_dict_reaches_the_metric_as_an_example():
    assert adapt(plain)({"answer": "yes"}, OUTPUT) == 1.0


async def test_an_async_metric():
    async def slow(example, pred, trace=None):
        return dspy.Prediction(score=0.5, feedback="late")

    result = adapt(slow)(EXAMPLE, OUTPUT)
    assert inspect.isawaitable(result)
    assert await result == (0.5, "late")


def test_semantic_f1():
    from dspy.evaluate import SemanticF1

    lm = ScriptLM(lambda messages: {"reasoning": "r", "precision": 1.0, "recall": 0.5})
    with dspy.context(lm=lm):
        score = adapt(SemanticF1())(EXAMPLE, OUTPUT)
    score = score[0] if isinstance(score, tuple) else score
    assert score == pytest.approx(2 / 3)


def test_names_for_messages():
    assert adapt(plain).__qualname__ == "plain"
    assert adapt(Object()).__qualname__ == "Object"


def test_the_hook_adapts_for_dspy_programs_only():
    module = trace_bridge_dspy.wrap(dspy.Predict("q -> a"))
    assert trace_bridge_dspy.metric(plain, module)(EXAMPLE, OUTPUT) == 1.0
    assert trace_bridge_dspy.metric(plain, object()) is None
