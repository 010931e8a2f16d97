"""Tune agents of three frameworks in one another at once: ``python -m examples.nested``.

An AutoGen team (``nested_desk.py``) has a LangChain chain behind one tool and a DSPy program behind
another, and each of the three has a fault. Their models are scripts that read their prompts here,
as is, without ``--llm``, the one that proposes better texts.
"""

import argparse
import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage
from dspy.utils.dummies import DummyLM
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

import trace_bridge
from examples.nested_desk import TABLES, desk
from trace_bridge.testing import ScriptedLLM

QUESTIONS = {"rivers": "How long is the river {}?", "mountains": "How high is the mountain {}?"}
EXAMPLES = [
    {"task": QUESTIONS[table].format(name), "answer": str(number)}
    for _ in range(4)
    for table, numbers in TABLES.items()
    for name, number in numbers.items()
]
PLAN = "desk/guide:plan"
CHAIN = "desk/guide/tools/look_up/chain/prompt/human:template"
PROGRAM = "desk/guide/tools/phrase/program:instructions"
BETTER = {
    PLAN: "Look it up, phrase it, and say that, and nothing around it.",
    CHAIN: "Which table is it, rivers or mountains? {question}",
    PROGRAM: "Give the number alone.",
}


class TableReader(BaseChatModel):
    """The chain's model: names a table, if it is asked for one by name."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        prompt = str(messages[-1].content)
        table = "rivers" if "river " in prompt else "mountains"
        answer = table if "rivers or mountains" in prompt else "Let me think about it."
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


class Phraser(DummyLM):
    """The program's model: makes many words, unless it is told to give the number alone."""

    def __init__(self) -> None:
        super().__init__([], follow_examples=True)

    def _use_example(self, messages: Any) -> str:  # what DummyLM asks for, in DSPy 3.0 to 3.4
        fact = messages[-1]["content"].partition("[[ ## fact ## ]]\n")[2].partition("\n")[0]
        alone = "number alone" in messages[0]["content"]
        answer = fact if alone else f"It is said to be {fact}, more or less"
        return f"[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"


class Guide(ChatCompletionClient):
    """The guide's model: uses its tools in turn, and chats, unless its plan forbids it."""

    async def create(self, messages: Any, **_: Any) -> CreateResult:
        """Wish for a tool, or say what the last one gave."""
        question = str(messages[1].content)
        results = [
            result.content
            for m in messages[2:]
            if m.type.startswith("Func")
            for result in m.content
        ]
        if len(results) == 2:
            plain = "nothing around it" in messages[0].content
            return _created(results[1] if plain else f"Let me tell you: {results[1]}!")
        wish = {"question": question, "fact": results[0]} if results else {"question": question}
        name = "phrase" if results else "look_up"
        return _created([FunctionCall(id=name, name=name, arguments=json.dumps(wish))])

    async def create_stream(self, messages: Any, **more: Any) -> AsyncGenerator[CreateResult]:
        """The same, at once."""
        yield await self.create(messages, **more)

    async def close(self) -> None:
        """Nothing is open."""

    def actual_usage(self) -> RequestUsage:
        """Nothing: it is a script."""
        return RequestUsage(0, 0)

    total_usage = actual_usage

    def count_tokens(self, messages: Any, **_: Any) -> int:
        """One for each message."""
        return len(messages)

    def remaining_tokens(self, messages: Any, **_: Any) -> int:
        """Enough."""
        return 1000

    @property
    def model_info(self) -> Any:
        """It can call functions."""
        return {
            "family": "unknown", "function_calling": True, "json_output": False,
            "structured_output": False, "vision": False,
        }  # fmt: skip

    capabilities = model_info


def _created(content: Any) -> CreateResult:
    reason = "stop" if isinstance(content, str) else "function_calls"
    return CreateResult(
        content=content, finish_reason=reason, cached=False, usage=RequestUsage(1, 1)
    )


def exact(example: Any, result: Any) -> tuple[float, str]:
    """A third of the score for each of the three things that an answer has to be."""
    said = result.messages[-1].to_text()
    wrong: list[str] = []
    if example["answer"] not in said:
        wrong.append("It is not the number of the table of rivers or mountains.")
    if "said to be" in said:
        wrong.append("Only the number is wanted.")
    if "Let me tell you" in said:
        wrong.append("Do not chat.")
    return 1 - len(wrong) / 3, " ".join(wrong)


def scripted() -> ScriptedLLM:
    """Proposes better texts for all three, where its prompt shows their values and the faults."""
    names = {path: re.sub(r"\W", "_", path) for path in BETTER}
    return ScriptedLLM().when(
        re.compile(r"<value>\nLook it up, phrase it, and chat about it\."),
        re.compile(r"<value>\nThink about this: \{question\}"),
        re.compile(r"<value>\nTell what was found\."),
        re.compile(r"Only the number is wanted\. Do not chat\."),
        reply="".join(
            f'<variable name="{names[path]}">\n{text}\n</variable>\n'
            for path, text in BETTER.items()
        ),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Optimize all three at once, and print what is in which framework's objects then."""
    parser = argparse.ArgumentParser(prog="python -m examples.nested")
    parser.add_argument("--llm", help="who proposes: a LiteLLM name, such as openai/gpt-4o")
    options = parser.parse_args(arguments)
    llm = trace_bridge.LiteLLM(options.llm) if options.llm else scripted()
    team = desk(Guide(), TableReader(), Phraser())
    run = trace_bridge.optimize(
        team, EXAMPLES, exact, llm=llm, optimizer="optoprime", trainable=list(BETTER),
        progress=False, engine=trace_bridge.Engine(journal=None),
    )  # fmt: skip
    print(f"[{llm.model} proposals, scripted agents] {run.verdict}")
    print(run.diff())
    better = run.export()
    result = asyncio.run(better.run(task="How long is the river Rhine?"))
    print(f"the exported {type(better).__name__}: {result.messages[-1].to_text()}")


if __name__ == "__main__":
    main()
