"""LangSmith's evaluators as metrics: how they want to be called, and what they return.

They take, by name, any of ``inputs, outputs, reference_outputs, run, example, attachments``; those
with two other names are metrics of ours, ``(example, output)``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from langchain_core.messages import BaseMessage

from trace_bridge import Feedback
from trace_bridge_langchain.examples import record_of

_NAMES = {"inputs", "outputs", "reference_outputs", "run", "example", "attachments"}


def adapt(function: Any) -> Callable[[Any, Any], Any] | None:
    """``function`` as ``(example, output)`` to feedback, or None if it is no evaluator."""
    call = _caller(function)
    if call is None:
        return None

    @functools.wraps(function, updated=())
    def metric(example: Any, output: Any) -> Any:
        result = call(_values(example, output))
        return _later(result) if inspect.isawaitable(result) else judged(result)

    if not hasattr(function, "__qualname__"):  # an object: its class tells its name
        metric.__qualname__ = type(function).__qualname__
    return metric


async def _later(result: Awaitable[Any]) -> Any:
    return judged(await result)


def _caller(function: Any) -> Callable[[Mapping[str, Any]], Any] | None:
    if callable(getattr(function, "evaluate_run", None)):  # a RunEvaluator
        return lambda values: function.evaluate_run(values["run"], values["example"])
    if callable(getattr(function, "evaluate_strings", None)):
        return lambda values: function.evaluate_strings(
            prediction=_text(values["output"]), input=_text(values["inputs"]),
            reference=_text(values["reference_outputs"]),
        )  # fmt: skip
    if not callable(function):
        return None
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # a builtin that does not tell
        return None
    known = [p.name for p in parameters if p.name in _NAMES and p.kind is not p.VAR_KEYWORD]
    needed = {p.name for p in parameters if p.default is p.empty and p.kind not in _ANY}
    if not known or not needed <= _NAMES or needed == {"example"}:
        return None
    positional = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}

    def call(values: Mapping[str, Any]) -> Any:
        given = [values[name] for name in known if name in positional]
        return function(*given, **{n: values[n] for n in known if n not in positional})

    return call


_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _values(example: Any, output: Any) -> Mapping[str, Any]:
    record = record_of(example)
    outputs = output if isinstance(output, dict) else {"output": _value(output)}
    inputs, reference = record["inputs"], record["outputs"]
    run = SimpleNamespace(
        inputs=inputs, outputs=outputs, name="agent", id=None, error=None, run_type="chain",
        child_runs=[], extra={}, tags=[], metadata={},
    )  # fmt: skip
    own = SimpleNamespace(inputs=inputs, outputs=reference, id=None, metadata={})
    return {
        "inputs": inputs, "outputs": outputs, "reference_outputs": reference, "run": run,
        "example": own if isinstance(example, Mapping) else example, "output": output,
        "attachments": record.get("attachments") or {},
    }  # fmt: skip


def _value(output: Any) -> Any:
    return output.content if isinstance(output, BaseMessage) else output


def _text(value: Any) -> str:
    """The one text in inputs or outputs; of several, all as text."""
    if isinstance(value, Mapping):
        held = list(cast("Mapping[str, Any]", value).values())
        return str(_value(held[0])) if len(held) == 1 else str(dict(cast("Any", value)))
    return str(_value(value))


def judged(result: Any) -> Any:
    """What an evaluator returned, as a float, ``(float, str)``, text or Feedback.

    Understood are bools, numbers, labels, ``{"key", "score", "comment"}``, LangSmith's
    ``EvaluationResult`` and ``EvaluationResults``, and lists of these, of which the mean counts.
    Anything else is returned as it is, for the core to refuse.
    """
    if isinstance(result, (bool, int, float)):
        return float(result)
    if result is None or isinstance(result, (str, Feedback, tuple)):
        return cast("object", result)
    if not isinstance(result, (Mapping, list)) and hasattr(result, "score"):  # EvaluationResult
        result = {"score": result.score, "comment": getattr(result, "comment", None),
                  "value": getattr(result, "value", None)}  # fmt: skip
    if isinstance(result, Mapping):
        held = cast("Mapping[str, Any]", result)
        if isinstance(held.get("results"), list):
            return _mean(held["results"])
        return _one(held)
    if isinstance(result, list):
        return _mean(cast("list[Any]", result))
    return result


def _one(held: Mapping[str, Any]) -> Any:
    score = held.get("score", held.get("value"))
    said = held.get("comment") or held.get("reasoning") or ""
    if score is None or isinstance(score, str):
        return " ".join(filter(None, [score, str(said)])) or None
    return (float(score), str(said)) if said else float(score)


def _mean(results: list[Any]) -> Any:
    found = [judged(result) for result in results]
    pairs = [one if isinstance(one, tuple) else (one, "") for one in found]
    scores = [pair[0] for pair in pairs if isinstance(pair[0], float)]
    said = "; ".join(str(text) for _, text in pairs if text)
    if not scores:
        return said or None
    mean = sum(scores) / len(scores)
    return (mean, said) if said else mean
