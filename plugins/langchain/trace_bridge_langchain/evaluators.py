"""LangSmith's evaluators as metrics: how they want to be called, and what they return.

They take, by name, any of ``inputs, outputs, reference_outputs, run, example, attachments``. Two
arguments with other names are a metric of ours, ``(example, output)``, unless they are annotated as
LangSmith's ``Run`` and ``Example``.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self, TypeAlias, cast
from uuid import UUID, uuid4

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from trace_bridge import Feedback, digest, jsonable
from trace_bridge_langchain.examples import encode, given_of, plain, record_of

_NAMES = ("inputs", "outputs", "reference_outputs", "run", "example", "attachments")
_OUTPUT = {"output", "pred", "predicted", "prediction", "answer", "response", "result"}
_SEVERAL = {"runs", "examples"}  # of evaluators that compare or sum up
_LABELS = {
    "correct": 1.0, "incorrect": 0.0, "pass": 1.0, "passed": 1.0, "fail": 0.0, "failed": 0.0
}  # fmt: skip
# `Run`, `Optional[Example]`, `langsmith.schemas.Run`, LangChain's `RunTree`; not dspy's Example
_TYPES = re.compile(r"(?:^|[^\w.]|\bschemas\.|\blangsmith[\w.]*\.)(Run|Example)(?:Tree)?\b")

_Call: TypeAlias = Callable[["_Judged"], Any]


def adapt(function: object) -> Callable[[Any, Any], Any] | None:
    """``function`` as ``(example, output)`` to feedback, or None if it is no evaluator.

    Raises:
        TypeError: for an evaluator of several runs, which cannot judge one output.
    """
    call = _caller(function)
    if call is None:
        return None

    @functools.wraps(cast("Callable[..., Any]", function), updated=())
    def metric(example: Any, output: Any) -> Any:
        result = call(_Judged(example, output))
        return _later(result) if inspect.isawaitable(result) else judged(result)

    if not hasattr(function, "__qualname__"):  # an object: its class tells its name
        metric.__qualname__ = type(function).__qualname__
    return metric


async def _later(result: Awaitable[Any]) -> Any:
    return judged(await result)


# ------------------------------------------------------------------------------- calling


def _caller(function: Any) -> _Call | None:
    if hasattr(function, "compare_runs"):
        raise TypeError(_one_only(function))
    if hasattr(function, "as_run_evaluator"):  # LangSmith's wrapper of LangChain's evaluators
        function = function.as_run_evaluator()
    if hasattr(function, "evaluate_run"):
        name = "aevaluate_run" if getattr(function, "is_async", False) else "evaluate_run"
        evaluate = getattr(function, name)
        return lambda judged: evaluate(judged.run, judged.example)
    if hasattr(function, "evaluate_strings"):
        return lambda judged: function.evaluate_strings(
            prediction=_text(judged.outputs), input=_text(judged.inputs),
            reference=_text(judged.reference_outputs) if judged.reference_outputs else None,
        )  # fmt: skip
    if not callable(function) or isinstance(function, type):
        return None
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # a builtin that does not tell
        return None
    return _by_signature(function, parameters)


def _by_signature(
    function: Callable[..., Any], parameters: list[inspect.Parameter]
) -> _Call | None:
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    needed = [p for p in named if p.default is p.empty]
    positional = [p for p in named if p.kind is not p.KEYWORD_ONLY]
    if any(p.name in _SEVERAL for p in needed):
        raise TypeError(_one_only(function))
    roles = {p.name: role for p in named if (role := _role(p))}
    if len(positional) >= 2 and [p.name for p in needed] == ["example"]:
        return _ours(function, roles, "example")  # (example, output=None)
    if all(p.name in roles for p in needed):
        return _by_name(function, parameters, roles)
    if len(needed) != 2 or any(p not in positional for p in needed):
        return None
    first, second = needed
    theirs = "run" in roles.values() or second.name == "example"
    if theirs and first.name not in _OUTPUT:
        order = ("example", "run") if roles.get(first.name) == "example" else ("run", "example")
        return lambda judged: function(*(getattr(judged, name) for name in order))
    if theirs:
        return lambda judged: function(judged.output, judged.given)
    return _ours(function, roles, first.name)


def _ours(function: Callable[..., Any], roles: Mapping[str, str], first: str) -> _Call:
    """A metric of ours; its example is LangSmith's only if the annotation says so."""
    if roles.get(first) == "example" and first != "example":
        return lambda judged: function(judged.example, judged.output)
    return lambda judged: function(judged.given, judged.output)


def _role(parameter: inspect.Parameter) -> str | None:
    """Which of LangSmith's arguments a parameter is, by its name or its annotation."""
    if parameter.name in _NAMES:
        return parameter.name
    said = parameter.annotation
    if said is parameter.empty:
        return None
    text = said if isinstance(said, str) else repr(said)
    found = _TYPES.search(text) if isinstance(said, str) or "langsmith" in text else None
    return found[1].lower() if found else None


def _by_name(
    function: Callable[..., Any], parameters: list[inspect.Parameter], roles: dict[str, str]
) -> _Call | None:
    fixed: set[str] = set(getattr(function, "keywords", ()))  # of a partial
    wanted = {name: role for name, role in roles.items() if name not in fixed}
    if not wanted and any(p.kind is p.VAR_KEYWORD for p in parameters):
        wanted = {name: name for name in _NAMES[:3]}
    if not wanted:
        return None
    lone = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
    texts = _module(function).startswith("openevals")

    def call(judged: _Judged) -> Any:
        values = {name: getattr(judged, role) for name, role in wanted.items()}
        if texts:
            values = {name: jsonable(plain(value)) for name, value in values.items()}
        given = [value for name, value in values.items() if name in lone]
        return function(*given, **{n: v for n, v in values.items() if n not in lone})

    return call


def _module(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _module(cast("functools.partial[Any]", function).func)
    return getattr(function, "__module__", None) or ""


def _one_only(function: object) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return (
        f"the evaluator {name} compares or sums up several runs: pass evaluators of one run, with"
        f" any of {', '.join(_NAMES)}"
    )


class _Judged:
    """One output of an example, as the evaluators' arguments.

    Dicts are new ones each time, since evaluators write into what they get.
    """

    def __init__(self, given: Any, output: Any) -> None:
        self.given = given
        self.output = output

    @property
    def inputs(self) -> dict[str, Any]:
        return _as_dict(given_of(self.given), "input")

    @property
    def outputs(self) -> dict[str, Any]:
        """The output; one without a name gets that of the only reference, or ``output``."""
        if isinstance(self.output, Mapping):
            return dict(cast("Mapping[str, Any]", self.output))
        reference = self.reference_outputs
        name = next(iter(reference)) if len(reference) == 1 else "output"
        value = self.output
        return _Outputs({name: _Said(value) if isinstance(value, BaseMessage) else value})

    @property
    def reference_outputs(self) -> dict[str, Any]:
        reference = record_of(self.given).reference
        return {} if reference is None else _as_dict(reference, "output")

    @property
    def attachments(self) -> dict[str, Any]:
        return dict(record_of(self.given).attachments)

    @property
    def example(self) -> Any:
        """LangSmith's Example, the user's own if it is one."""
        from langsmith.schemas import Example

        if isinstance(self.given, Example):
            return self.given
        record = record_of(self.given)
        return Example(
            id=_id(self.given), dataset_id=UUID(int=0), inputs=self.inputs,
            outputs=self.reference_outputs, metadata=dict(record.metadata),
            attachments=dict(record.attachments) or None,
        )  # fmt: skip

    @property
    def run(self) -> Any:
        """LangSmith's Run, with inputs and outputs and without children."""
        from langsmith.schemas import Run

        now = datetime.now(UTC)
        run = Run(
            id=uuid4(), name="agent", run_type="chain", start_time=now, end_time=now,
            inputs=self.inputs, reference_example_id=self.example.id,
        )  # fmt: skip
        run.outputs = self.outputs  # now, since validation makes it a plain dict
        return run


def _as_dict(value: Any, name: str) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {name: value}


def _id(example: Any) -> UUID:
    return UUID(digest(encode(example)))  # the same in each run


class _Outputs(dict[str, Any]):
    """One value, under the reference's name; it is found as ``output`` as well."""

    def __missing__(self, name: str) -> Any:
        if name == "output":
            return next(iter(self.values()))
        raise KeyError(name)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self or key == "output" else default


class _Said(str):
    """A message's text, with the message's attributes, for evaluators that read ``.content``."""

    __slots__ = ("_message",)
    _message: BaseMessage

    def __new__(cls, message: BaseMessage) -> Self:
        made = super().__new__(cls, _content(message))
        made._message = message
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


def _content(message: BaseMessage) -> str:
    """All text of a message."""
    if isinstance(message.content, str):
        return message.content
    blocks = [b if isinstance(b, str) else b.get("text", "") for b in message.content]
    return "".join(str(block) for block in blocks)


def _text(value: Any) -> str:
    """The one text in inputs or outputs: a lone value, the last message, or all as JSON."""
    if isinstance(value, Mapping):
        held = cast("Mapping[str, Any]", value)
        if isinstance(held.get("messages"), list) and held["messages"]:
            return _text(held["messages"][-1])
        if len(held) == 1:
            return _text(next(iter(held.values())))
    if isinstance(value, BaseMessage):
        return _content(value)
    return str(value) if isinstance(value, str) else json.dumps(jsonable(plain(value)))


# ------------------------------------------------------------------------------- results


def judged(result: Any) -> Any:
    """What an evaluator returned, as a float, text or Feedback.

    Understood are bools, numbers, labels (``correct`` and ``pass`` count 1, their opposites 0),
    ``{"key", "score", "comment"}``, LangSmith's ``EvaluationResult`` and ``{"results": [...]}``,
    other objects with a ``score``, and lists of these: the mean counts, and their texts are joined.
    Anything else is returned as it is, for the core to refuse.
    """
    if result is None or isinstance(result, (Feedback, tuple)):
        return cast("object", result)
    if isinstance(result, str):
        score = _LABELS.get(result.strip().lower())
        return result if score is None else Feedback(result, score)
    if isinstance(result, list):
        return _joined(cast("list[Any]", result))
    if isinstance(result, BaseModel):
        return _one(vars(result), result)
    if isinstance(result, Mapping):
        held = cast("Mapping[str, Any]", result)
        several = held.get("results")
        return _joined(several) if isinstance(several, list) else _one(held, held)
    return float(result) if hasattr(type(result), "__float__") else result


def _one(held: Mapping[str, Any], whole: object) -> Any:
    """``score`` or ``value``, with what is said beside it."""
    score = held.get("score")
    if score is None:
        score = held.get("value")
    said = next((held[n] for n in ("comment", "reasoning", "feedback") if held.get(n)), "")
    texts = [str(said)] if said else []
    if isinstance(score, str):
        texts.insert(0, score)
        score = _LABELS.get(score.strip().lower())
    if held.get("correction"):
        texts.append(f"It should have been: {json.dumps(jsonable(held['correction']))}")
    if score is None and not texts:
        return whole
    return Feedback(": ".join(texts), None if score is None else float(score))


def _joined(results: list[Any]) -> Any:
    """The mean of the scores; each text with its key and score, where there are several."""
    found = [judged(result) for result in results]
    if len(found) == 1:
        return found[0]
    scores: list[float] = []
    texts: list[str] = []
    for result, one in zip(results, found, strict=True):
        feedback = Feedback("", one) if isinstance(one, float) else one
        if isinstance(feedback, str):
            feedback = Feedback(feedback)
        if not isinstance(feedback, Feedback):
            return results
        if feedback.score is not None:
            scores.append(feedback.score)
        key = result.get("key") if isinstance(result, Mapping) else getattr(result, "key", None)
        marks = "" if feedback.score is None else f" {feedback.score:g}"
        texts += [": ".join(filter(None, [f"{key}{marks}" if key else "", feedback.text]))]
    if not scores and not any(texts):
        return results  # for the core to refuse
    mean = sum(scores) / len(scores) if scores else None
    return Feedback("\n".join(filter(None, texts)), mean)
