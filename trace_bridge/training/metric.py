"""Metrics: what a run's output is worth."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from trace_bridge.graph import Feedback, FeedbackLike, as_feedback
from trace_bridge.llm.base import BudgetExhaustedError


class Metric(Protocol):
    """``(example, output)`` to feedback; sync or async."""

    def __call__(self, example: Any, output: Any, /) -> FeedbackLike | Awaitable[FeedbackLike]:
        """Judge ``output`` for ``example``."""
        ...


MetricLike: TypeAlias = "Metric | Callable[..., Any] | Sequence[Metric | Callable[..., Any]]"


class MetricError(RuntimeError):
    """The metric itself failed; the cause is chained."""


def judge(
    metrics: Sequence[Metric],
    example: object,
    output: object,
    wait: Callable[[Awaitable[Any]], Any],
) -> Feedback:
    """The feedback of all metrics together: the mean of the scores, the texts joined.

    Args:
        metrics: at least one.
        example: as the user gave it.
        output: the agent's.
        wait: gives the result of an awaitable (an async metric's).

    Raises:
        MetricError: naming the metric and what it raised, or what it returned.
    """
    found = [_one(metric, example, output, wait) for metric in metrics]
    scores = [feedback.score for feedback in found if feedback.score is not None]
    if not scores:
        msg = f"the metric {name_of(metrics[0])} gave no score, only text: return (score, text)"
        raise MetricError(msg)
    text = "\n".join(feedback.text for feedback in found if feedback.text)
    about = next((feedback.about for feedback in found if feedback.about is not None), None)
    return Feedback(text, sum(scores) / len(scores), about)


def _one(
    metric: Metric, example: object, output: object, wait: Callable[[Awaitable[Any]], Any]
) -> Feedback:
    try:
        result = metric(example, output)
        if inspect.isawaitable(result):
            result = wait(result)
        return as_feedback(cast("FeedbackLike", result))
    except BudgetExhaustedError:  # a judge's call, not the metric's fault
        raise
    except Exception as error:
        msg = f"the metric {name_of(metric)} raised {type(error).__name__}: {error}"
        raise MetricError(msg) from error


def name_of(metric: object) -> str:
    """A metric's name, for messages."""
    return getattr(metric, "__qualname__", type(metric).__qualname__)
