"""DSPy's metrics as metrics: how they want to be called, and what they return.

A metric is called by the names of its parameters where they tell, else by their number. A plain
metric gets ``trace=None``: anything else means "bootstrapping" to many of them, which then return
a strict bool. Extra positional arguments are never passed, since they would land in parameters
such as ``frac=1.0`` of ``answer_exact_match``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import dspy

from trace_bridge import Feedback

_EXAMPLE = {"example", "ex", "gold", "gold_example", "input", "reference", "target"}
_OUTPUT = {"pred", "prediction", "output", "predicted", "pred_example"}
_NONE = {"trace", "pred_name", "pred_trace", "program_trace"}  # DSPy's own; None when scoring


def adapt(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """``function`` as ``(example, output)`` to a float, ``(float, str)`` or Feedback."""
    call = _caller(function)

    @functools.wraps(function, updated=())
    def metric(example: Any, output: Any) -> Any:
        if isinstance(example, Mapping):
            example = dspy.Example(**cast("Mapping[str, Any]", example))
        result = call(example, output)
        return _later(result) if inspect.isawaitable(result) else judged(result)

    if not hasattr(function, "__qualname__"):  # an object: its class tells its name
        metric.__qualname__ = type(function).__qualname__
    return metric


async def _later(result: Awaitable[Any]) -> Any:
    return judged(await result)


def _caller(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """How ``function`` is called with an example and an output."""
    try:
        parameters = _parameters(function)
    except (ValueError, TypeError):  # a builtin that does not tell
        return function
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in _NONE}
    names = [p.name for p in positional]
    required = sum(p.default is p.empty for p in positional)
    if "pred_name" in names:  # GEPA's (gold, pred, trace, pred_name, pred_trace)
        extra = max(required, min(len(names), 5)) - 2
    elif any(p.kind is p.VAR_POSITIONAL for p in parameters):
        extra = 1
    else:
        extra = max(required - 2, int(names[2:3] == ["trace"]))
    nones = [None] * extra
    if _swapped(names):
        return lambda example, output: function(output, example, *nones, **by_name)
    if len(positional) < 2 and _named(parameters):
        return lambda example, output: function(**_by_name(parameters, example, output))
    return lambda example, output: function(example, output, *nones, **by_name)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if isinstance(function, dspy.Module):  # __call__ takes anything; forward is what counts
        kind = type(function)
        forward = getattr(kind, "forward", None) or getattr(kind, "aforward", None)
        if forward is None:
            return []
        return list(inspect.signature(forward).parameters.values())[1:]
    return list(inspect.signature(function).parameters.values())


def _swapped(names: list[str]) -> bool:
    return len(names) >= 2 and names[0] in _OUTPUT and names[1] in _EXAMPLE


def _named(parameters: list[inspect.Parameter]) -> bool:
    known = _EXAMPLE | _OUTPUT | _NONE
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return bool(named) and all(p.name in known for p in named if p.default is p.empty)


def _by_name(parameters: list[inspect.Parameter], example: Any, output: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(_NONE)
    values |= dict.fromkeys(_EXAMPLE, example) | dict.fromkeys(_OUTPUT, output)
    return {p.name: values[p.name] for p in parameters if p.name in values}


def judged(result: Any) -> Any:
    """What a metric returned, as a float, ``(float, str)`` or Feedback.

    Understood are bools, numbers, ``(score, feedback)``, a ``dspy.Prediction`` and a dict with
    ``score`` and perhaps ``feedback``. Anything else is returned as it is, for the core to refuse.
    """
    if isinstance(result, (Feedback, str)) or result is None:
        return result
    if isinstance(result, (dspy.Example, Mapping)):
        record: Any = result
        if "score" not in record:
            return record
        return _pair(record["score"], record.get("feedback"))
    if isinstance(result, tuple):
        pair = cast("tuple[Any, ...]", result)
        return _pair(*pair) if len(pair) == 2 else pair
    return float(result) if hasattr(type(result), "__float__") else result


def _pair(score: Any, feedback: Any) -> Any:
    return float(score) if not feedback else (float(score), str(feedback))
