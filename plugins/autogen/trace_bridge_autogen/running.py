"""Which agent's run a context is in, and what has been seen in it.

What a model received is known by identity: each message object is bound to the call that made it,
when AutoGen turns the one into the other. Text is compared only where an agent or AutoGen writes a
prompt of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage

from trace_bridge import BudgetExhaustedError, Call, Node, Parameter
from trace_bridge_autogen.layout import Layout
from trace_bridge_autogen.slots import CONSTANT, Place, Reader

Origin: TypeAlias = "Call | Node | str | list[Call | Node | str]"


@dataclass(slots=True, eq=False)
class Scope:
    """A turn of an agent or a run of a team, while it lasts.

    Attributes:
        call: how it is recorded.
        owner: the agent or team.
        models: its own model calls so far.
        asked: by the id of a tool call, the model call that asked for it.
        results: by the id of a tool call, what carried it out.
        thread: what a team, or an agent of somebody's own, has heard so far.
        causes: by a participant's name, the choice that made it speak.
        finished: what ran to its end inside, newest last: turns, and runs of teams.
    """

    call: Call
    owner: object
    models: list[Call] = field(default_factory=list[Call])
    asked: dict[str, Call] = field(default_factory=dict[str, Call])
    results: dict[str, Call] = field(default_factory=dict[str, Call])
    thread: list[BaseAgentEvent | BaseChatMessage] = field(
        default_factory=list[BaseAgentEvent | BaseChatMessage]
    )
    causes: dict[str, Call] = field(default_factory=dict[str, Call])


class Attached:
    """Calls in this context belong to an agent.

    Args:
        layout: the agent's.
        objects: the agent's own objects, or a copy's, in the order of the layout's.
        live: whether they are the user's own, which hold the original values: what reads them is
            given the current ones (``trace_bridge_autogen.overlay``).
    """

    def __init__(self, layout: Layout, objects: Sequence[Any], *, live: bool) -> None:
        self.layout = layout
        self.objects = objects
        self.live = live
        self.position = {id(value): at for at, value in enumerate(objects)}
        self.teams = {team_id: value for value in objects if (team_id := _team_id(value))}
        self.scopes: dict[int, Scope] = {}  # by the id of their call, which they keep
        self.tools: dict[int, tuple[Call, str]] = {}  # tools at work, by the id of their call
        # by id, with the object, so that no other can get its id
        self._makers: dict[int, tuple[object, Call]] = {}
        self._bound: dict[int, tuple[object, Origin]] = {}
        self._heard: dict[int, list[BaseAgentEvent | BaseChatMessage]] = {}
        self._failures: list[Exception] = []
        # by an object's id and attribute: what it holds, the values that are current, and both
        self._current: dict[tuple[int, str], tuple[object, list[object], Any]] = {}

    def at(self, value: object) -> int | None:
        """The position of an object of the agent."""
        return self.position.get(id(value))

    def op(self, value: Any) -> str:
        """What an object is called in the graph."""
        at = self.at(value)
        name = getattr(value, "name", None)
        return self.layout.op(at) if at is not None else str(name or type(value).__name__)

    def read(self, value: object, *readers: Reader) -> dict[str, Parameter]:
        """The parameters that calls of an object read, of these kinds."""
        at = self.at(value)
        return {} if at is None else self.layout.of(self.layout.read(at, *readers), at)

    def value(self, place: Place) -> object:
        """The current value at a place."""
        return self.layout.parameters[place.path].peek()

    def current(self, owner: object, attribute: str, held: Any) -> Any:
        """What an attribute of one of the user's objects has to be, which holds the original."""
        at = self.position.get(id(owner))
        places = () if at is None else self.layout.held(at, attribute)
        if not places:
            return held
        values = [self.value(place) for place in places]
        known = self._current.get((id(owner), attribute))
        if known is not None and known[0] is held and known[1] == values:
            return known[2]
        made = held
        for place, value in zip(places, values, strict=True):
            if place.decode(made) != value:
                made = self.layout.encoded(place, made, value)
        self._current[id(owner), attribute] = (held, values, made)
        return made

    def team(self, manager: Any) -> Any:
        """The team that a manager belongs to; None for one of another agent."""
        topic = str(getattr(manager, "_group_topic_type", ""))
        return self.teams.get(topic.removeprefix("group_topic_"))

    def texts(self, team: object) -> dict[str, str]:
        """The current texts of a team's constants, by the slot's name, where they have changed."""
        at = self.at(team)
        constants = () if at is None else self.layout.held(at, CONSTANT)
        current = {p.path.rpartition(":")[2]: (str(self.value(p)), p.get()) for p in constants}
        return {name: text for name, (text, own) in current.items() if text != own}

    def scope(self, call: Call | None) -> Scope | None:
        """The innermost turn or team run around a call (or that it is)."""
        while call is not None:
            found = self.scopes.get(id(call))
            if found is not None:
                return found
            call = call.parent
        return None

    def opened(self, call: Call, owner: object) -> Scope:
        """A new turn or run."""
        scope = self.scopes[id(call)] = Scope(call, owner)
        return scope

    def heard(self, agent: object) -> list[BaseAgentEvent | BaseChatMessage]:
        """What an agent has heard and said in its turns so far; to be added to."""
        return self._heard.setdefault(id(agent), [])

    def made(self, message: object, call: Call) -> None:
        """Note what made a chat message or event."""
        self._makers.setdefault(id(message), (message, call))

    def maker(self, message: object) -> Call | None:
        """What made a chat message or event; None if it came from outside."""
        found = self._makers.get(id(message))
        return None if found is None else found[1]

    def origin(self, message: object) -> object:
        """What made a message; what it says, if it came from outside."""
        return self.maker(message) or getattr(message, "content", message)

    def bind(self, message: object, origin: Origin) -> None:
        """Note what a model's message, or a tool's result in one, was made of."""
        self._bound[id(message)] = (message, origin)

    def bound(self, message: object) -> Origin | None:
        """What a model's message was made of, if that was seen."""
        found = self._bound.get(id(message))
        return None if found is None else found[1]

    def failed(self, error: Exception) -> None:
        """Note an exception, which a team hands on as nothing but text."""
        self._failures.append(error)

    def failure(self, error: Exception | None = None) -> Exception | None:
        """What was raised before a team handed it on, or before a tool made text of it.

        Args:
            error: what the run ended with; None if it has ended well.
        """
        refused = next((e for e in self._failures if isinstance(e, BudgetExhaustedError)), None)
        if refused is not None or error is None:
            return refused
        told = reversed(self._failures)
        return next((e for e in told if f"{type(e).__name__}: {e}" in str(error)), None)

    def entered(self) -> AbstractContextManager[None]:
        """Let this be what calls in this context belong to."""
        return _Entered(self)


def _team_id(value: object) -> str | None:
    return getattr(value, "_team_id", None)


class _Entered(AbstractContextManager[None]):
    __slots__ = ("token", "where")

    def __init__(self, where: Attached) -> None:
        self.where = where

    def __enter__(self) -> None:
        self.token = active.set(self.where)

    def __exit__(self, *_: object) -> None:
        active.reset(self.token)


active: ContextVar[Attached | None] = ContextVar("trace_bridge_autogen_active", default=None)
