"""What model calls cost in dollars, by LiteLLM's price list or by prices that the user gives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from trace_bridge.llm.base import Usage
from trace_bridge.llm.embedded import is_embedded

Prices: TypeAlias = "Mapping[str, tuple[float, float]]"

_TYPICAL = Usage(1, prompt_tokens=1000, completion_tokens=1000)


def litellm() -> Any:
    """The module litellm (typed in parts only), imported without a word to the network."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it downloads its price list
    import litellm

    litellm.suppress_debug_info = True  # or it prints advertisements when a call fails
    return litellm


def priced(model: str, usage: Usage, prices: Prices) -> Usage:
    """``usage`` of one model with what it costs, unless it tells that itself or nobody knows.

    Args:
        model: the name that its calls are announced by.
        usage: of calls that were answered, all of them by this model.
        prices: by the model's name, dollars for a million tokens of prompt and of completion.
    """
    if usage.priced or not usage.unpriced:
        return usage
    dollars = _dollars(model, usage, prices)
    return usage if dollars is None else replace(usage, dollars=dollars, priced=usage.unpriced)


def is_priced(model: str, prices: Prices) -> bool:
    """Whether it can be told beforehand what calls of ``model`` will cost."""
    return _dollars(model, _TYPICAL, prices) is not None


def _dollars(model: str, usage: Usage, prices: Prices) -> float | None:
    if model in prices:
        prompt, completion = prices[model]
        if not usage.tokens and (prompt or completion):
            return None  # a client that does not count
        return (usage.prompt_tokens * prompt + usage.completion_tokens * completion) / 1e6
    if is_embedded(model):
        return 0.0
    try:
        listed = litellm().cost_per_token(
            model=model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )
    except Exception:  # noqa: BLE001 (of many kinds, for a model that is not on the list)
        return None
    return sum(listed) or None  # 0 stands for a price that nobody has entered (or for your own GPU)
