import asyncio

import pytest

from trace_bridge.graph import Feedback
from trace_bridge.training.metric import MetricError, judge, name_of


def wait(awaitable):
    async def run():
        return await awaitable

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (1, Feedback(score=1.0)),
        (True, Feedback(score=1.0)),
        (0.5, Feedback(score=0.5)),
        ((0.5, "half"), Feedback("half", 0.5)),
        (Feedback("good", 2.0), Feedback("good", 2.0)),
    ],
)
def test_all_forms_of_feedback_are_taken(returned, expected):
    assert judge([lambda _e, _o: returned], None, None, wait) == expected


def test_async_metrics_are_awaited():
    async def metric(example, output):
        await asyncio.sleep(0)
        return float(example == output)

    assert judge([metric], 1, 1, wait).score == 1.0


def test_several_metrics_give_the_mean_and_all_texts():
    found = judge([lambda _e, _o: (1.0, "short"), lambda _e, _o: (0.0, "wrong")], None, None, wait)
    assert found == Feedback("short\nwrong", 0.5)
    assert judge([lambda _e, _o: 1.0, lambda _e, _o: "words"], None, None, wait).score == 1.0


def test_a_metric_that_fails_is_named_with_the_cause():
    def broken(example, output):
        return example["missing"]

    with pytest.raises(MetricError, match=r"broken raised KeyError: 'missing'") as caught:
        judge([broken], {}, None, wait)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("returned", [None, object(), [1], ("a", "b")])
def test_a_metric_that_returns_nonsense_is_told_what_to_return(returned):
    with pytest.raises(MetricError, match="feedback must be a str, a number"):
        judge([lambda _e, _o: returned], None, None, wait)


def test_a_metric_without_a_score_is_refused():
    with pytest.raises(MetricError, match=r"gave no score, only text: return \(score, text\)"):
        judge([lambda _e, _o: "nice"], None, None, wait)


def test_names():
    class Judge:
        pass

    assert name_of(Judge()).endswith("Judge")
