"""Two AutoGen agents in a household: ``python -m examples.autogen_household [--llm NAME]``.

The team (``autogen_household_team.py``) finds things in a house where nobody sees all. Both have a
plan, and it says nothing: so both search the same furniture side by side. Better plans are learned
in other houses, from the reports of what happened. Printed is how many actions a task takes, beside
people who search in any order, who blindly share the rooms, and who would know everything. Without
``--llm``, scripts stand for the models.
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence

from autogen_agentchat.base import TaskResult
from autogen_core.models import ChatCompletionClient, ModelFamily, ModelInfo

import trace_bridge
from examples.autogen_household_policies import Policy, at_random, blind_split, lower_bound, play
from examples.autogen_household_script import BY_HAND, ScriptedPerson, scripted
from examples.autogen_household_team import PLAN, household, outcome
from examples.autogen_household_world import LIMIT, PEOPLE, TASKS, World

Counted = tuple[int, int]  # actions and messages of one task in one house


def examples(houses: Sequence[int]) -> list[dict[str, str]]:
    """Each task in each of the houses, in the form that AutoGen's teams take."""
    return [{"task": f"{task} in house {house}"} for house in houses for task in TASKS]


def judge(example: Mapping[str, str], output: TaskResult) -> tuple[float, str]:  # noqa: ARG001
    """1 for no action at all, 0 for as many as there is time for, and what happened."""
    actions, _, report = outcome(output)
    return 1 - actions / LIMIT, report


async def optimize_plans(
    client: ChatCompletionClient, llm: trace_bridge.LLM, houses: Sequence[int]
) -> dict[str, str]:
    """Plans by name, learned in other houses than those of the table (with the AutoGen plugin)."""
    run = await trace_bridge.optimize_async(
        household(client), examples(houses), judge,
        trainable=["*/alice:plan", "*/bob:plan"], llm=llm, progress=False,
        # 10 houses at a time: where things are shows only in many reports
        optimizer=trace_bridge.OptoPrime(minibatch=30),
        budget=trace_bridge.Budget(evaluations=700), engine=trace_bridge.Engine(journal=None),
    )  # fmt: skip
    print(f"[{llm.model} proposals] {run.verdict}")
    learned = {path.rpartition("/")[2]: str(plan) for path, plan in run.best.state.items()}
    return {name: learned[f"{name}:plan"] for name in PEOPLE}


async def with_plans(
    client: ChatCompletionClient, plans: Mapping[str, str], houses: Sequence[int]
) -> dict[str, list[Counted]]:
    """What each task takes a team with these plans, by task."""

    async def one(task: str, house: int) -> Counted:
        result = await household(client, plans).run(task=f"{task} in house {house}")
        return outcome(result)[:2]

    return {task: await asyncio.gather(*(one(task, house) for house in houses)) for task in TASKS}


def with_policies(
    policies: Callable[[int], Mapping[str, Policy]], houses: Sequence[int]
) -> dict[str, list[Counted]]:
    """The same for people who decide by rules of their own in each house, without a model."""
    worlds = {task: [play(World(task, at), policies(at)) for at in houses] for task in TASKS}
    return {task: [(w.actions, w.messages) for w in played] for task, played in worlds.items()}


def line(name: str, counted: Mapping[str, Sequence[Counted]]) -> str:
    """One row of the table."""
    means = [sum(actions for actions, _ in counts) / len(counts) for counts in counted.values()]
    said = [messages for counts in counted.values() for _, messages in counts]
    cells = "".join(f"{mean:16.1f}" for mean in means)
    return f"{name:26}{cells}{sum(said) / len(said):10.1f}"


def model(name: str) -> ChatCompletionClient:
    """AutoGen's client of a model with OpenAI's protocol, by its LiteLLM name.

    Raises:
        ValueError: if it has another protocol.
    """
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    provider, _, own = name.partition("/")
    if provider != "openai" or not own:
        raise ValueError(f"{name!r} cannot decide here: name a model such as openai/gpt-4o")
    text_only = ModelInfo(
        vision=False, function_calling=False, json_output=False, structured_output=False,
        family=ModelFamily.UNKNOWN,
    )  # fmt: skip
    return OpenAIChatCompletionClient(model=own, model_info=text_only)


async def table(options: argparse.Namespace) -> None:
    """Print it."""
    client = model(options.llm) if options.llm else ScriptedPerson()
    llm = trace_bridge.LiteLLM(options.llm) if options.llm else scripted()
    houses, original = range(options.houses), dict.fromkeys(PEOPLE, PLAN)
    plans = {"original plan": original, "plans by hand": BY_HAND}
    if options.learn:
        plans["learned plans"] = await optimize_plans(client, llm, range(1000, 1060))
    people = "scripted" if llm.model == "scripted" else llm.model
    print(f"[{people} people] mean actions and messages of a task in {len(houses)} houses")
    print(f"{'':26}{''.join(f'{task:>16}' for task in TASKS)}{'messages':>10}")
    print(line("random order", with_policies(at_random, houses)))
    print(line("blindly shared rooms", with_policies(lambda _: blind_split(), houses)))
    for name, own in plans.items():
        print(line(name, await with_plans(client, own, houses)))
    bounds = {task: [(lower_bound(World(task, at)), 0) for at in houses] for task in TASKS}
    print(line("lower bound", bounds))


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, and print what the plans are worth."""
    parser = argparse.ArgumentParser(prog="python -m examples.autogen_household")
    parser.add_argument("--llm", help="a model by its LiteLLM name, such as openai/gpt-4o")
    parser.add_argument("--houses", type=int, default=30)
    parser.add_argument(
        "--learn", action=argparse.BooleanOptionalAction, default=True,
        help="learn plans too, in other houses",
    )  # fmt: skip
    asyncio.run(table(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
