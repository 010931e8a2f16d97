"""Examples: what of them a program is given, and which demonstrations they make."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

import dspy

from trace_bridge import jsonable
from trace_bridge_dspy.discovery import Walk
from trace_bridge_dspy.slots import Signature, plain_demo, signature_of


def inputs_of(program: dspy.Module, example: Any) -> dict[str, Any]:
    """What of ``example`` the program is called with.

    A ``dspy.Example`` says it itself (``with_inputs``). Of a mapping, or an example that does not
    say it, those keys are taken that the program's signature or ``forward`` names.

    Raises:
        ValueError: if that cannot be told, or an argument is missing.
        TypeError: for something else.
    """
    if isinstance(example, dspy.Example):
        if getattr(example, "_input_keys", None) is not None:
            given = example.inputs()
            return {name: given[name] for name in given.keys()}  # noqa: SIM118 (no mapping)
        pairs: dict[str, Any] = dict(example.items())
    elif isinstance(example, Mapping):
        pairs = dict(cast("Mapping[str, Any]", example))
    else:
        msg = f"an example is a dspy.Example or a dict, not {type(example).__qualname__}"
        raise TypeError(msg)
    accepted, required = _arguments(program)
    if accepted is None:
        msg = (
            f"{type(program).__name__} takes any keyword, so it cannot be told which of"
            f" {', '.join(pairs)} are inputs: pass dspy.Example(...).with_inputs(...)"
        )
        raise ValueError(msg)
    missing = [name for name in required if name not in pairs]
    if missing:
        msg = (
            f"an example with {', '.join(pairs) or 'no values'} lacks {', '.join(missing)}, which"
            f" {type(program).__name__} takes"
        )
        raise ValueError(msg)
    return {name: value for name, value in pairs.items() if name in accepted}


def _arguments(program: dspy.Module) -> tuple[list[str] | None, list[str]]:
    """The names that the program accepts (None: any) and those that it needs."""
    kind = type(program)
    method = getattr(kind, "aforward" if runs_async(program) else "forward", None)
    if method is None:
        return None, []
    parameters = list(inspect.signature(method).parameters.values())[1:]
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if len(named) == len(parameters):
        return [p.name for p in named], [p.name for p in named if p.default is p.empty]
    signature = getattr(program, "signature", None)
    if signature is None and len(held := list(_predictors(program))) == 1:
        signature = signature_of(held[0])  # ChainOfThought and its like
    if signature is None:
        return None, []
    return [*(p.name for p in named), *signature.input_fields], list(signature.input_fields)


def _predictors(program: dspy.Module) -> list[dspy.Predict]:
    return [value for value in vars(program).values() if isinstance(value, dspy.Predict)]


def runs_async(program: dspy.Module) -> bool:
    """Whether the program is written for ``acall``: its ``aforward`` is the nearer definition."""
    names = [set(vars(kind)) for kind in type(program).__mro__]
    sync = next((i for i, n in enumerate(names) if n & {"forward", "__call__"}), len(names))
    other = next((i for i, n in enumerate(names) if n & {"aforward", "acall"}), len(names))
    return other < sync


def encode(example: Any) -> Any:
    """An example as JSON, with what is input and what is label."""
    if isinstance(example, dspy.Example):
        keys = getattr(example, "_input_keys", None)
        inputs = None if keys is None else sorted(keys)
        return {"fields": plain_demo(example), "inputs": inputs}
    return jsonable(example)


def demonstration(signature: Signature, example: Any) -> dict[str, Any] | None:
    """What ``example`` shows of a predictor with ``signature``, if it has all its outputs."""
    pairs: dict[str, Any] = plain_demo(example) if hasattr(example, "items") else {}
    outputs = all(name in pairs for name in signature.output_fields)
    if not outputs or not any(name in pairs for name in signature.input_fields):
        return None
    return {name: pairs[name] for name in signature.fields if name in pairs}


def explain_empty(walk: Walk) -> str:
    """Why a program has no slots."""
    predictors = [item for item in walk.found if isinstance(item.value, dspy.Predict)]
    if predictors:
        names = ", ".join(".".join(item.owners) for item in predictors)
        return f"all of its predictors ({names}) are below a part that is compiled already"
    return (
        "no dspy.Predict was found in its attributes, nor in globals and closures of its methods;"
        " predictors that forward() makes anew in each call cannot be trained"
    )


def fields_of(output: object) -> Mapping[str, Any] | None:
    """The fields of a Prediction, without this counting as the program's reading of them."""
    if not isinstance(output, dspy.Prediction):
        return None
    return cast("Mapping[str, Any]", object.__getattribute__(output, "__dict__")["_store"])
