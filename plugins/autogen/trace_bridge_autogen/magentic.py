"""The prompts of MagenticOne's orchestrator, which AutoGen 0.7 has as constants of a module.

The orchestrator fills them in by methods of its own. A run of ours puts other texts there; a team
that is exported (or written by ``apply``) makes orchestrators that have them.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from autogen_agentchat.teams import MagenticOneGroupChat
from autogen_agentchat.teams._group_chat._magentic_one import _magentic_one_orchestrator, _prompts

Orchestrator = _magentic_one_orchestrator.MagenticOneOrchestrator
CHANGED = "_trace_bridge_prompts"  # of a team with other prompts: their texts by name

NAMES = (
    "task_ledger_facts", "task_ledger_plan", "task_ledger_full", "progress_ledger",
    "task_ledger_facts_update", "task_ledger_plan_update", "final_answer",
)  # fmt: skip


class Prompt(NamedTuple):
    """A prompt of an orchestrator."""

    name: str
    text: str


def prompts() -> Iterator[Prompt]:
    """Those that are constants of AutoGen's."""
    for name in NAMES:
        text = getattr(_prompts, f"ORCHESTRATOR_{name.upper()}_PROMPT")
        yield Prompt(f"{name}_prompt", str(text))


def filling(original: Callable[..., Any], template: str) -> Callable[..., Any]:
    """``original`` for another template: AutoGen gives the fields by their names."""
    names = original.__code__.co_varnames[1 : original.__code__.co_argcount]

    def fill(_: Any, *args: Any, **kwargs: Any) -> str:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if isinstance(given.get("names"), list):
            given["names"] = ", ".join(cast("list[str]", given["names"]))
        return template.format(**given)

    return fill


def held(team: object) -> Mapping[str, str]:
    """The prompts that a team's orchestrator was given; empty for AutoGen's own."""
    return cast("Mapping[str, str]", getattr(team, CHANGED, {}))


def give(team: MagenticOneGroupChat, name: str, text: str) -> None:
    """Let the orchestrators that a team will make have another prompt."""
    changed = {**held(team), name: text}
    setattr(team, CHANGED, changed)
    make = type(team)._create_group_chat_manager_factory

    def create(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        factory = make(team, *args, **kwargs)

        def made() -> Any:
            orchestrator = factory()
            for prompt, template in changed.items():
                method = f"_get_{prompt}"
                fill = filling(getattr(type(orchestrator), method), template)
                setattr(orchestrator, method, functools.partial(fill, orchestrator))
            return orchestrator

        return made

    team._create_group_chat_manager_factory = create  # type: ignore[method-assign]
