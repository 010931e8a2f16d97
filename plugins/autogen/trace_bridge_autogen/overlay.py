"""Other values in the user's own objects, for the calls of one context.

While ``trace_bridge.record`` runs, the attributes that are slots are data descriptors of their
classes. In a context that is attached, they give the current values; everywhere else, what the
object holds. Nothing is written to the objects, and the last to leave removes the descriptors.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, cast

from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._selector_group_chat import SelectorGroupChatManager

from trace_bridge_autogen.attributes import holds
from trace_bridge_autogen.layout import Layout
from trace_bridge_autogen.magentic import Orchestrator
from trace_bridge_autogen.running import attached

_ABSENT = object()

# What managers copy of their team when they are made.
_COPIES: tuple[tuple[type, str], ...] = (
    (BaseGroupChatManager, "_participant_descriptions"),
    (SelectorGroupChatManager, "_selector_prompt"),
    (SelectorGroupChatManager, "_selector_func"),
    (SelectorGroupChatManager, "_candidate_func"),
    (Orchestrator, "_final_answer_prompt"),
    (Orchestrator, "_team_description"),
    (BaseGroupChatManager, "_max_turns"),
)


class _Live:
    """An attribute that holds another value for some contexts."""

    def __init__(self, kind: type, name: str) -> None:
        self.name = name
        found: object = getattr(kind, name, _ABSENT)
        self.default = _ABSENT if isinstance(found, _Live) else found

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self if self.default is _ABSENT else self.default
        try:
            value = owner.__dict__[self.name]
        except KeyError:
            if self.default is _ABSENT:
                msg = f"{type(owner).__name__!r} object has no attribute {self.name!r}"
                raise AttributeError(msg) from None
            value = self.default
        where = attached()
        if where is not None:
            for slot in where.slots.get((id(owner), self.name), ()):
                # what slot.current does, without a call where nothing has changed
                held, known, made = slot.known
                value = made if held is value and known is slot.peek() else slot.current(value)
        return value

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__[self.name] = value


class _Copied(_Live):
    """An attribute that a manager was given by its team."""

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        where = attached()
        team = None if where is None or owner is None else where.team(owner)
        if where is None or team is None or self.name not in owner.__dict__:
            return super().__get__(owner, kind)
        value = owner.__dict__[self.name]
        if self.name in ("_participant_descriptions", "_team_description"):
            texts = [agent.description for agent in team._participants]
            return texts if self.name[1] == "p" else described(team._participant_names, texts)
        for slot in where.slots.get((id(team), self.name), ()):
            value = slot.current(value)
        return value

    def __set__(self, owner: Any, value: Any) -> None:
        where = attached()
        team = None if where is None else where.team(owner)
        owner.__dict__[self.name] = value if team is None else _own(team, self.name, value)


def _own(team: Any, name: str, value: object) -> object:
    """What a team itself holds where a manager would copy a candidate."""
    if name == "_team_description":
        texts = vars(team)["_participant_descriptions"]
        return described(team._participant_names, texts)
    return vars(team).get(name, value)


def described(names: Iterable[str], texts: Iterable[str]) -> str:
    """As ``MagenticOneOrchestrator.__init__`` writes it (AutoGen 0.7)."""
    lines = (f"{name}: {text}" for name, text in zip(names, texts, strict=True))
    return "\n".join(re.sub(r"\s+", " ", line).strip() for line in lines)


class _Installed:
    """The descriptors of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: dict[tuple[type, str], int] = {}
        self.before: dict[tuple[type, str], object] = {}

    def enter(self, places: Iterable[tuple[type, str, type[_Live]]]) -> list[tuple[type, str]]:
        entered: list[tuple[type, str]] = []
        with self.lock:
            for kind, name, live in places:
                key = (kind, name)
                if key not in self.users:
                    self.before[key] = vars(kind).get(name, _ABSENT)
                    setattr(kind, name, live(kind, name))
                self.users[key] = self.users.get(key, 0) + 1
                entered.append(key)
        return entered

    def leave(self, entered: Iterable[tuple[type, str]]) -> None:
        with self.lock:
            for key in entered:
                self.users[key] -= 1
                if self.users[key]:
                    continue
                del self.users[key]
                before = self.before.pop(key)
                if before is _ABSENT:
                    delattr(*key)
                else:
                    setattr(*key, before)


_installed = _Installed()


@contextmanager
def overlaid(layout: Layout) -> Generator[None]:
    """Have the slots of an agent's objects follow the current values where it is attached."""
    attributes = {
        (cast("type", type(place.owner)), place.attribute)
        for place in layout.places
        if holds(place.owner, place.attribute)
    }
    places: list[tuple[type, str, type[_Live]]] = [(*pair, _Live) for pair in attributes]
    places += [(*pair, _Copied) for pair in _COPIES]
    entered = _installed.enter(places)
    try:
        yield
    finally:
        _installed.leave(entered)
