"""Which agent's run a context is in, and what has been seen in it.

What a model received is known by identity: each message object is bound to the call that made it,
when AutoGen turns the one into the other. Text is compared only where an agent or AutoGen writes a
prompt of its own.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeAlias

from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage
from autogen_agentchat.teams import BaseGroupChat

from trace_bridge import BudgetExhaustedError, Call, Node, Parameter
from trace_bridge_autogen.layout import Layout
from trace_bridge_autogen.slots import CONSTANT, Place, Reader

Origin: TypeAlias = "Call | Node | str | list[Call | Node | str]"


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
        chosen: of a team in teams, the choices that made it run, and so its participants speak.
    """

    __slots__ = ("asked", "call", "causes", "chosen", "models", "owner", "results", "thread")

    def __init__(self, call: Call, owner: object) -> None:
        self.call = call
        self.owner = owner
        self.models: list[Call] = []
        self.asked: dict[str, Call] = {}
        self.results: dict[str, Call] = {}
        self.thread: list[BaseAgentEvent | BaseChatMessage] = []
        self.causes: dict[str, Call] = {}
        self.chosen: tuple[Call, ...] = ()


class Received(NamedTuple):
    """What a model call was sent, all of which was bound.

    Attributes:
        owner: whose call it was.
        texts: of messages that are nothing but the owner's parameters.
        messages: all of them.
        inputs: as the call has them.
    """

    owner: object
    texts: set[str]
    messages: Sequence[object]
    inputs: dict[str, object]

    def begins(self, owner: object, texts: set[str], messages: Sequence[object]) -> bool:
        """Whether another call is sent the same objects first, and would have the same inputs."""
        return (
            self.owner is owner
            and self.texts == texts
            and len(self.messages) <= len(messages)
            and all(map(operator.is_, self.messages, messages))
        )


class Own(NamedTuple):
    """What a model call reads of its owner.

    Attributes:
        parameters: these, by what they are called at the owner.
        texts: of messages that are nothing but parameters.
    """

    parameters: dict[str, Parameter]
    texts: set[str]


class LiveSlot:
    """A slot of an object that holds the original value, where the current one is wanted.

    Attributes:
        peek: gives the value that is current.
        known: what the attribute held when it was looked at last, the value that was current then,
            and what came of both.
    """

    __slots__ = ("_layout", "_place", "known", "peek")

    def __init__(self, layout: Layout, place: Place) -> None:
        self._layout = layout
        self._place = place
        self.peek = layout.parameters[place.path].peek
        self.known: tuple[object, object, Any] = (self, None, None)

    def current(self, held: Any) -> Any:
        """``held`` with the value that is current; the same object while both stay the same."""
        value = self.peek()
        before, known, made = self.known
        if before is held and known is value:
            return made
        same = self._place.decode(held) == value
        made = held if same else self._layout.encoded(self._place, held, value)
        self.known = (held, value, made)
        return made


class Attached:
    """Calls in this context belong to an agent.

    Args:
        layout: the agent's.
        objects: the agent's own objects, or a copy's, in the order of the layout's.
        live: whether they are the user's own, which hold the original values: what reads them is
            given the current ones (``trace_bridge_autogen.overlay``).

    Attributes:
        teams: the user's own, by what their managers know of them.
        slots: by an object's id and an attribute of it, what that holds.
    """

    def __init__(self, layout: Layout, objects: Sequence[Any], *, live: bool) -> None:
        self.layout = layout
        self.objects = objects
        self.position = {id(value): at for at, value in enumerate(objects)}
        # copies hold the current values themselves
        own = objects if live else ()
        self.teams = {t._group_topic_type: t for t in own if isinstance(t, BaseGroupChat)}
        self.slots = {
            (id(own[at]), name): [LiveSlot(layout, place) for place in places]
            for (at, name), places in layout.held.items()
            if live
        }
        self.scopes: dict[int, Scope] = {}  # by the id of their call, which they keep
        self.tools: dict[int, tuple[Call, str]] = {}  # tools at work, by the id of their call
        # by id, with the object, so that no other can get its id
        self._makers: dict[int, tuple[object, Call]] = {}
        self._bound: dict[int, tuple[object, Origin]] = {}
        self.received: dict[int, Received] = {}  # by the id of the owner, the latest
        # by position, of an agent that reads nothing but its system message: that, and what it is
        self.explained: dict[int, tuple[object, Own]] = {}
        self._heard: dict[int, list[BaseAgentEvent | BaseChatMessage]] = {}
        self._failures: list[Exception] = []
        self._recorder: object = None

    def begins(self, outer: Call) -> None:
        """A turn or run begins: what was noted in an earlier recording is forgotten."""
        if outer.recorder is not self._recorder:
            self._recorder = outer.recorder
            for noted in (self.scopes, self.tools, self._makers, self._bound, self.received):
                noted.clear()
            self._failures.clear()

    def at(self, value: object) -> int | None:
        """The position of an object of the agent."""
        return self.position.get(id(value))

    def op(self, value: Any) -> str:
        """What an object is called in the graph."""
        at = self.position.get(id(value))
        if at is not None:
            return self.layout.op(at)
        return str(getattr(value, "name", None) or type(value).__name__)

    def read(self, value: object, *readers: Reader) -> dict[str, Parameter]:
        """The parameters that calls of an object read, of these kinds."""
        at = self.at(value)
        return {} if at is None else self.layout.of(self.layout.read(at, *readers), at)

    def value(self, place: Place) -> object:
        """The current value at a place."""
        return self.layout.parameters[place.path].peek()

    def team(self, manager: Any) -> Any:
        """The user's team that a manager belongs to; None for one of another agent, or a copy."""
        return self.teams.get(getattr(manager, "_group_topic_type", ""))

    def texts(self, team: object) -> dict[str, str]:
        """The current texts of a team's constants, by the slot's name, where they have changed."""
        at = self.at(team)
        constants = () if at is None else self.layout.held.get((at, CONSTANT), ())
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
        if id(message) in self._bound:
            self.received.clear()
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


class _Entered(AbstractContextManager[None]):
    __slots__ = ("token", "where")

    def __init__(self, where: Attached) -> None:
        self.where = where

    def __enter__(self) -> None:
        self.token = active.set(self.where)

    def __exit__(self, *_: object) -> None:
        active.reset(self.token)


active: ContextVar[Attached | None] = ContextVar("trace_bridge_autogen_active", default=None)

# No function of our own: seams and overlaid attributes ask it at every call.
attached: Callable[[], Attached | None] = active.get
