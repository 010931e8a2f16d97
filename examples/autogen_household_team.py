"""Two people in a household, as an AutoGen team that somebody might have: no trace_bridge here.

``alice`` and ``bob`` are assistants. When both have decided, ``home`` carries out what they did at
the same time, and each one's eyes tell what only that one sees: neither knows the other's decision
before. A task is a text such as "read_book in house 7"; home's last message tells how it went.
"""

import re
from collections.abc import Mapping, Sequence

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_core.model_context import UnboundedChatCompletionContext
from autogen_core.models import ChatCompletionClient, LLMMessage, UserMessage

from examples.autogen_household_world import PEOPLE, TASKS, World

PLAN = "Look for what is wanted."
SYSTEM = """\
You are {name}. You live with {other} in a house of four rooms, which lie in a ring. Together you \
find the things that the goal names, and bring them where they are wanted, in as few turns as you \
can. In each turn you either do one thing or talk to {other}, who does the same at the same time. \
You cannot see what is in other rooms, and you carry one thing at most.

Answer with one line and nothing else:
goto ROOM (through one door, towards it) | goto FURNITURE (in your room) | open FURNITURE (where \
you stand) | take THING (where you stand) | put THING (where you stand) | say TEXT | wait

Plan:
{plan}"""


class Home(BaseChatAgent):
    """Makes the house that a task names, and carries out what both decided."""

    def __init__(self) -> None:
        super().__init__("home", "The house, in which time passes.")
        self.world: World | None = None

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """Texts."""
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        """Start, or go on by a turn.

        Raises:
            ValueError: if the task is not like "read_book in house 7".
        """
        said = {message.source: message.to_model_text() for message in messages}
        if self.world is None or "user" in said:
            self.world = self._made(said.get("user", ""))
        else:
            self.world.step({name: first_line(said[name]) for name in PEOPLE})
        world = self.world
        if not world.over:
            return self._told(f"Turn {world.turn + 1}.", world)
        return self._told(f"It is over. {world.report()}", world)

    def _made(self, task: str) -> World:
        named = re.fullmatch(r"(\w+) in house (\d+)", task.strip())
        if named is None or named[1] not in TASKS:
            raise ValueError(f"{task!r} is no task: say for instance 'read_book in house 7'")
        return World(named[1], int(named[2]))

    def _told(self, text: str, world: World) -> Response:
        counted = {"actions": str(world.actions), "messages": str(world.messages)}
        return Response(chat_message=TextMessage(content=text, source=self.name, metadata=counted))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Forget the house."""
        self.world = None


class Eyes(BaseChatAgent):
    """Tells what one person sees."""

    def __init__(self, person: str, home: Home) -> None:
        super().__init__(eyes_of(person), f"What {person} sees.")
        self.person, self.home = person, home

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """Texts."""
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        """What there is to be seen now.

        Raises:
            RuntimeError: if home has not started.
        """
        if self.home.world is None:
            raise RuntimeError("there is no house yet: home speaks first")
        seen = self.home.world.view(self.person)
        return Response(chat_message=TextMessage(content=seen, source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Nothing is kept here."""


class LastSight(UnboundedChatCompletionContext):
    """What one person's eyes told last; it says all that the person knows.

    In a team everybody gets all messages; without this, everybody would see with all eyes.
    """

    def __init__(self, person: str) -> None:
        super().__init__()
        self.source = eyes_of(person)

    async def get_messages(self) -> list[LLMMessage]:
        """One message, once there is any."""
        own = [m for m in self._messages if isinstance(m, UserMessage) and m.source == self.source]
        return list[LLMMessage](own[-1:])


def first_line(text: str) -> str:
    """The line that a model was asked for, less what models like to put around and after it."""
    return text.strip().partition("\n")[0].strip(' `*"')


def eyes_of(person: str) -> str:
    """The name under which a person's eyes speak."""
    return f"{person}s_eyes"


def household(
    model_client: ChatCompletionClient, plans: Mapping[str, str] | None = None
) -> RoundRobinGroupChat:
    """The team, each of whom has a plan at the end of the system message.

    Args:
        model_client: decides for both.
        plans: by name, for whoever is not to have ``PLAN``.
    """
    home = Home()
    people = [
        AssistantAgent(
            name, model_client, description=f"{name}, who lives here.",
            system_message=SYSTEM.format(
                name=name, other=other, plan=(plans or {}).get(name, PLAN)
            ),
            model_context=LastSight(name),
        )
        for name, other in PEOPLE.items()
    ]  # fmt: skip
    return RoundRobinGroupChat(
        [home, *(Eyes(name, home) for name in PEOPLE), *people], name="household",
        termination_condition=TextMentionTermination("It is over.", sources=["home"]),
    )  # fmt: skip


def outcome(result: TaskResult) -> tuple[int, int, str]:
    """Actions, messages and the report, at the end of a run.

    Raises:
        ValueError: if the run did not come to its end.
    """
    last = result.messages[-1]
    if not (isinstance(last, TextMessage) and last.content.startswith("It is over.")):
        raise ValueError(f"the household did not finish: {result.stop_reason}")
    report = last.content.removeprefix("It is over. ")
    return int(last.metadata["actions"]), int(last.metadata["messages"]), report
