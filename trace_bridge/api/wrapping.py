"""From what the user passes to what the loop works on: modules, models, optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import pluggy

from trace_bridge.api.native import wrap_native
from trace_bridge.graph import Parameter
from trace_bridge.graph.paths import select
from trace_bridge.llm.base import LLM, CallableLLM
from trace_bridge.llm.embedded import is_embedded
from trace_bridge.llm.lite import LiteLLM, configured
from trace_bridge.optimizers.auto import Auto, names_by_optimizer
from trace_bridge.optimizers.base import Optimizer
from trace_bridge.optimizers.bootstrap import Bootstrap
from trace_bridge.optimizers.optoprime import OptoPrime
from trace_bridge.plugins import wrap
from trace_bridge.recording.agent import AgentModule

OPTIMIZERS: Mapping[str, type[Optimizer]] = {o.name: o for o in (OptoPrime, Bootstrap)}

_NEED_NONE = ", ".join(sorted(name for name, o in OPTIMIZERS.items() if not o.needs_llm))


def module_of(agent: object, manager: pluggy.PluginManager) -> AgentModule[Any]:
    """The Module over ``agent``.

    Raises:
        TypeError: no plugin knows it; the message names the installed ones.
    """
    module = wrap(agent, manager) or wrap_native(agent)
    if module is None:
        names = ", ".join(name for name, _ in manager.list_name_plugin()) or "none"
        msg = (
            f"no plugin can wrap {type(agent).__module__}.{type(agent).__qualname__};"
            f" installed plugins: {names}. Install the one for its framework"
            " (for example pip install trace-bridge-dspy), or pass a trace_bridge.Module."
        )
        raise TypeError(msg)
    return module


def trained(module: AgentModule[Any], patterns: Sequence[str] | None) -> list[Parameter]:
    """The parameters to train: those that match, or what the module proposes.

    Raises:
        ValueError: there is nothing to train.
        LookupError: a pattern matches nothing.
    """
    known = dict(module.named_parameters())
    if not known:
        msg = (
            f"{type(module.agent).__qualname__} holds nothing that could be trained:"
            f" {module.nothing_to_train()}"
        )
        raise ValueError(msg)
    paths = module.default_paths() if patterns is None else select(known, patterns)
    if not paths:
        msg = (
            f"nothing is trained by default here; choose with trainable=, among: {', '.join(known)}"
        )
        raise ValueError(msg)
    return [known[path] for path in paths]


def model_of(llm: object, module: AgentModule[Any], manager: pluggy.PluginManager) -> LLM | None:
    """The model that proposes: what was passed, TRACE_BRIDGE_MODEL, or the agent's own.

    The embedded model is not taken for one: what it proposes is noise.

    Raises:
        TypeError: for something that is no model.
    """
    if llm is None:
        named = configured()
        if named is not None:
            return named
        own = [manager.hook.llm(client=client) for client in module.models()]
        return next((model for model in own if model and not is_embedded(model.model)), None)
    if isinstance(llm, str):
        return LiteLLM(llm)
    if isinstance(llm, LLM):
        return llm
    adapted = cast("LLM | None", manager.hook.llm(client=llm))
    if adapted is not None:
        return adapted
    if callable(llm):
        return CallableLLM(llm)
    msg = f"llm={llm!r} is no model: pass a LiteLLM name, a function or a framework's client"
    raise TypeError(msg)


def optimizer_of(
    optimizer: str | type[Optimizer] | Optimizer, parameters: Sequence[Parameter], llm: LLM | None,
    seed: int, warn: Callable[[str], None],
) -> Optimizer:  # fmt: skip
    """The optimizer for these parameters.

    Raises:
        ValueError: one that needs a model, and there is none; the message names those that do not.
        LookupError: no optimizer of that name.
    """
    if isinstance(optimizer, Optimizer):
        optimizer.llm = optimizer.llm or llm
        _require_model([optimizer])
        return optimizer
    if optimizer == "auto":
        return _auto(parameters, llm, seed, warn)
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            msg = f"unknown optimizer {optimizer!r}; known: auto, {', '.join(sorted(OPTIMIZERS))}"
            raise LookupError(msg)
        optimizer = OPTIMIZERS[optimizer]
    made = _made(optimizer, llm, seed)
    _require_model([made])
    return made


def _made(kind: type[Optimizer], llm: LLM | None, seed: int) -> Optimizer:
    return kind(llm=llm, seed=seed) if kind.needs_llm else kind(seed=seed)


def _auto(
    parameters: Sequence[Parameter], llm: LLM | None, seed: int, warn: Callable[[str], None]
) -> Optimizer:
    groups = names_by_optimizer(parameters)
    able = {name: names for name, names in groups.items() if llm or not OPTIMIZERS[name].needs_llm}
    if not able:
        _require_model([_made(OPTIMIZERS[name], None, seed) for name in groups])
    for name in groups.keys() - able.keys():
        left = ", ".join(sorted(groups[name]))
        warn(
            f"{left}: not tuned, since {name} needs a model that proposes"
            " (llm= or TRACE_BRIDGE_MODEL)"
        )
    return Auto([(_made(OPTIMIZERS[name], llm, seed), names) for name, names in able.items()])


def _require_model(optimizers: Iterable[Optimizer]) -> None:
    for optimizer in optimizers:
        if optimizer.needs_llm and optimizer.llm is None:
            msg = (
                f"{optimizer.name} needs a strong model that proposes, and none is configured: pass"
                ' llm="openai/gpt-4o" (any LiteLLM name, function or framework client), or set'
                " TRACE_BRIDGE_MODEL. The embedded model is too weak for it. Optimizers that need"
                f" none: {_NEED_NONE}."
            )
            raise ValueError(msg)
