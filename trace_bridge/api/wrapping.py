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
from trace_bridge.optimizers.answer import no_model
from trace_bridge.optimizers.auto import Auto, names_by_optimizer
from trace_bridge.optimizers.base import Factory, Optimizer
from trace_bridge.optimizers.bootstrap import Bootstrap
from trace_bridge.optimizers.gepa import GEPA
from trace_bridge.optimizers.opro import OPRO
from trace_bridge.optimizers.optoprime import OptoPrime
from trace_bridge.optimizers.textgrad import TextGrad
from trace_bridge.optimizers.tuner import Optuna
from trace_bridge.plugins import PluginError, offered_optimizers, wrap
from trace_bridge.recording.agent import AgentModule

_OURS: Mapping[str, type[Optimizer]] = {
    kind.name: kind for kind in (Bootstrap, GEPA, OPRO, OptoPrime, Optuna, TextGrad)
}


def module_of(agent: object, manager: pluggy.PluginManager) -> AgentModule[Any]:
    """The Module over ``agent``.

    Raises:
        TypeError: it is a class, or no plugin knows it; the message names the installed ones.
    """
    module = wrap(agent, manager) or wrap_native(agent)
    if module is None:
        if isinstance(agent, type):
            msg = f"{agent.__qualname__} is a class: pass the agent that you make with it"
            raise TypeError(msg)
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


def known_optimizers(manager: pluggy.PluginManager) -> dict[str, Factory]:
    """All optimizers by name: ours, and those of plugins.

    Raises:
        PluginError: a plugin offers one by a name that is taken, or something else.
    """
    return {**_OURS, **offered_optimizers(manager, ["auto", *_OURS])}


def optimizer_of(
    optimizer: str | type[Optimizer] | Optimizer, parameters: Sequence[Parameter],
    llm: LLM | None, seed: int, known: Mapping[str, Factory], warn: Callable[[str], None],
) -> Optimizer:  # fmt: skip
    """The optimizer for these parameters.

    Raises:
        ValueError: one that needs a model, and there is none; the message names those that do not.
        LookupError: no optimizer of that name.
        ModuleNotFoundError: it needs a package that is not installed.
        TypeError: for something that is no optimizer.
    """
    if isinstance(optimizer, Optimizer):
        optimizer.llm = optimizer.llm or llm
        made = optimizer
    elif optimizer == "auto":
        return _auto(parameters, llm, seed, known, warn)
    elif isinstance(optimizer, str):
        made = _named(optimizer, llm, seed, known)
    elif isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        made = _made(optimizer, llm, seed)
    else:
        msg = (
            f"optimizer={optimizer!r} is no optimizer: pass one of {', '.join(sorted(known))}, or a"
            " subclass of trace_bridge.Optimizer or an instance of one"
        )
        raise TypeError(msg)
    _require_model([made], known)
    return made


def _named(name: str, llm: LLM | None, seed: int, known: Mapping[str, Factory]) -> Optimizer:
    if name not in known:
        msg = f"unknown optimizer {name!r}; known: auto, {', '.join(sorted(known))}"
        raise LookupError(msg)
    made = _made(known[name], llm, seed)
    if not isinstance(made, Optimizer):
        msg = f"the optimizer {name!r} of a plugin is {made!r}, which is no trace_bridge.Optimizer"
        raise PluginError(msg)
    return made


def _made(factory: Factory, llm: LLM | None, seed: int) -> Optimizer:
    if isinstance(factory, type) and not cast("type[Optimizer]", factory).needs_llm:
        return factory(seed=seed)
    return factory(llm=llm, seed=seed)


def _auto(
    parameters: Sequence[Parameter], llm: LLM | None, seed: int, known: Mapping[str, Factory],
    warn: Callable[[str], None],
) -> Optimizer:  # fmt: skip
    groups = names_by_optimizer(parameters)
    made = {name: _named(name, llm, seed, known) for name in groups}
    able = {name: o for name, o in made.items() if o.llm or not o.needs_llm}
    if not able:
        _require_model(made.values(), known)
    covered = frozenset[str]().union(*(groups[name] for name in able))
    for name in groups.keys() - able.keys():
        left = ", ".join(sorted(groups[name] - covered))
        if left:
            warn(
                f"{left}: not tuned, since {name} needs a model that proposes"
                " (llm= or TRACE_BRIDGE_MODEL)"
            )
    return Auto([(made, groups[name]) for name, made in able.items()])


def _require_model(optimizers: Iterable[Optimizer], known: Mapping[str, Factory]) -> None:
    for optimizer in optimizers:
        if optimizer.needs_llm and optimizer.llm is None:
            free = [name for name, kind in known.items() if not getattr(kind, "needs_llm", True)]
            raise ValueError(no_model(optimizer.name, free))
