"""Managers of teams that have run already: they keep copies of what their team held then."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

from autogen_agentchat.teams import BaseGroupChat
from autogen_core import SingleThreadedAgentRuntime

from trace_bridge_autogen.overlay import described

_COPIED = (
    "_participant_descriptions", "_selector_prompt", "_selector_func", "_candidate_func",
    "_final_answer_prompt", "_max_turns",
)  # fmt: skip


def renew_manager(team: BaseGroupChat) -> None:
    """Let the manager of a team that has run know what the team holds now."""
    runtime = team._runtime
    if not team._initialized or not isinstance(runtime, SingleThreadedAgentRuntime):
        return
    for key, made in runtime._instantiated_agents.items():
        if key.type == team._group_chat_manager_topic_type:
            _renew(made, team)


def _renew(manager: Any, team: Any) -> None:
    for name in _COPIED:
        if name in vars(manager) and name in vars(team):
            setattr(manager, name, getattr(team, name))
    if "_team_description" in vars(manager):
        manager._team_description = described(
            team._participant_names, team._participant_descriptions
        )
