"""What models might answer, to run ``examples.autogen_household`` without one.

Nothing is learned here: the person acts by rules, and the proposals are written down. But the
person reads its plan and what its eyes told, in every turn anew; and a change of the plans is
proposed only where the prompt holds both the plan that lacks it and the report that shows why.
"""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
)

from examples.autogen_household_policies import HALVES, Habits, Policy, decide
from examples.autogen_household_team import PLAN
from examples.autogen_household_world import PEOPLE, ROOM_OF, ROOMS, TASKS
from trace_bridge.testing import ScriptedLLM

THINGS = tuple(thing for task in TASKS.values() for thing in task.things)


def habits(plan: str) -> Habits:
    """What a plan asks for, sentence by sentence: where to search, to tell, where things are."""
    rooms: list[str] = []
    places: dict[str, tuple[str, ...]] = {}
    tells = False
    for sentence in re.split(r"[.!\n]+", plan):
        words = re.findall(r"\w+", sentence.lower())
        if "search" in words:
            rooms += [room for room in words if room in ROOMS]
        tells = tells or "tell" in words
        if furniture := tuple(word for word in words if word in ROOM_OF):
            places |= {thing: furniture for thing in words if thing in THINGS}
    return Habits(rooms=tuple(rooms), places=places, tells=tells)


def obeying(plans: Mapping[str, str]) -> dict[str, Policy]:
    """The same people without a model, by name."""
    return {name: partial(decide, habits=habits(plan)) for name, plan in plans.items()}


class ScriptedPerson(ChatCompletionClient):
    """A model that decides as its plan asks, by what stands in its messages."""

    def __init__(self) -> None:
        self._usage = RequestUsage(prompt_tokens=0, completion_tokens=0)

    async def create(self, messages: Sequence[LLMMessage], **_: Any) -> CreateResult:
        """One line: what to do next."""
        system, view = (str(messages[at].content) for at in (0, -1))
        line = decide(view, habits(system.partition("Plan:")[2]))
        usage = RequestUsage(prompt_tokens=self.count_tokens(messages), completion_tokens=5)
        self._usage.prompt_tokens += usage.prompt_tokens
        self._usage.completion_tokens += usage.completion_tokens
        return CreateResult(finish_reason="stop", content=line, usage=usage, cached=False)

    async def create_stream(
        self, messages: Sequence[LLMMessage], **_: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        """The same, in two pieces."""
        result = await self.create(messages)
        yield str(result.content)
        yield result

    async def close(self) -> None:
        """Nothing to close."""

    def actual_usage(self) -> RequestUsage:
        """All of it."""
        return self._usage

    def total_usage(self) -> RequestUsage:
        """All of it."""
        return self._usage

    def count_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        """About four characters each."""
        return sum(len(str(message.content)) for message in messages) // 4

    def remaining_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        """Of a small context."""
        return 8000 - self.count_tokens(messages)

    @property
    def capabilities(self) -> ModelInfo:  # type: ignore[override]
        """The old name of ``model_info``."""
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        """Text only."""
        return ModelInfo(
            vision=False, function_calling=False, json_output=False, structured_output=False,
            family=ModelFamily.UNKNOWN,
        )  # fmt: skip


# ---------------------------------------------------------------------- proposals


def split(person: str) -> str:
    """A sentence for a plan: where to search."""
    return f"Search the {' and the '.join(HALVES[person])} first."


def tell(person: str) -> str:
    """A sentence for a plan: to talk."""
    return f"Tell {PEOPLE[person]} at once of what you find and cannot carry."


def where(places: Mapping[str, Sequence[str]]) -> str:
    """Sentences for a plan: where things can be."""
    return " ".join(
        f"The {thing} is in the {' or the '.join(sorted(furniture))}."
        for thing, furniture in sorted(places.items())
    )


BY_HAND = {  # by somebody who knows the house well
    person: " ".join(
        [
            PLAN, split(person), tell(person),
            where({thing: task.places for task in TASKS.values() for thing in task.things}),
        ]
    )
    for person in PEOPLE
}  # fmt: skip

VARIABLE = re.compile(
    r'<variable name="(?P<name>[^"]*(?P<person>alice|bob)[^"]*)"(?:(?!</variable>).)*?'
    r"<value>\n(?P<plan>.*?)\n</value>",
    re.DOTALL,
)
FEEDBACK = re.compile(r"<feedback>\n(.*?)\n</feedback>", re.DOTALL)


def propose(prompt: str) -> str | None:
    """Better plans, for what the reports show; None where they show nothing that is lacking."""
    reports = " ".join(FEEDBACK.findall(prompt))
    changes = {}
    for shown in VARIABLE.finditer(prompt):
        better = mended(shown["person"], shown["plan"], reports)
        if better != shown["plan"]:
            changes[shown["name"]] = better
    if not changes:
        return None
    values = [f'<variable name="{name}">\n{plan}\n</variable>' for name, plan in changes.items()]
    return "\n".join(["<reasoning>The reports say so.</reasoning>", *values])


def mended(person: str, plan: str, reports: str) -> str:
    """The plan with one sentence more for each fault that the reports show.

    That both search in the same room is mended first: what they tell after that is worth more.
    """
    turns = re.findall(r"in the same room for (\d+) of (\d+) turns", reports)
    if sum(int(a) for a, _ in turns) * 2 > sum(int(b) for _, b in turns):
        return plan if "Search" in plan else f"{plan} {split(person)}"
    if re.search(rf"{person} knew for \d+ turns where the", reports) and "Tell" not in plan:
        plan = f"{plan} {tell(person)}"
    rest = re.sub(r"\s*The \w+ is in the [^.]*\.", "", plan)
    places = {thing: {*furniture} for thing, furniture in habits(plan).places.items()}
    for thing, furniture in re.findall(r"The (\w+) was in the (\w+)\.", reports):
        places.setdefault(thing, set()).add(furniture)
    return f"{rest} {where(places)}".strip()


def scripted() -> ScriptedLLM:
    """The model that proposes."""
    return ScriptedLLM(propose)
