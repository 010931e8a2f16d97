"""Tune the prompts of a LangGraph agent: ``python -m examples.langgraph_agent``.

The agent (``langgraph_agent_graph.py``) looks nothing up, and talks too much: its planner's prompt
does not ask for a table, and its speaker's not for a number. The model that runs it here is a
script that reads its prompts, as is, without ``--llm``, the one that proposes better ones.
"""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

import trace_bridge
from examples.langgraph_agent_graph import TABLES, agent
from trace_bridge.testing import ScriptedLLM

QUESTIONS = {"rivers": "How long is the river {}?", "mountains": "How high is the mountain {}?"}
EXAMPLES = [
    {"inputs": {"question": QUESTIONS[table].format(name)}, "outputs": {"answer": str(number)}}
    for _ in range(5)
    for table, numbers in TABLES.items()
    for name, number in numbers.items()
]


class Reader(BaseChatModel):
    """Does what its prompt asks for by name, and else talks."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        prompt = str(messages[-1].content)
        if "rivers or mountains" in prompt:
            answer = "rivers" if "river " in prompt else "mountains"
        elif found := re.search(r"only the number (\w+)", prompt):
            answer = found[1]
        else:
            answer = f"Let me think about it: {prompt}"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


def exact(outputs: Any, reference_outputs: Any) -> dict[str, Any]:
    """Whether the answer is the number, and where it went wrong."""
    right = outputs["answer"] == reference_outputs["answer"]
    said = [] if right else [f"The answer is {reference_outputs['answer']}, and nothing else."]
    if outputs["table"] not in TABLES:
        said.append("Plan with the name of a table: rivers or mountains.")
    return {"key": "exact", "score": right, "comment": " ".join(said)}


def scripted() -> ScriptedLLM:
    """Proposes better prompts, one for each fault that its prompt shows."""
    planner = (
        '<variable name="{}">\nWhich table is it, rivers or mountains? {{question}}\n</variable>'
    )
    speaker = '<variable name="{}">\nSay only the number {{facts}} for: {{question}}\n</variable>'
    names = {"planner": "planner_plan_plan_prompt_human_template"}
    names["speaker"] = "speaker_speak_answer_prompt_human_template"
    return ScriptedLLM().when(
        re.compile(r"<value>\nThink about this: \{question\}"),
        re.compile(r"<value>\nTalk about \{facts\}"),
        re.compile(r"Plan with the name of a table.*and nothing else|nothing else\. Plan with"),
        reply=planner.format(names["planner"]) + speaker.format(names["speaker"]),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Optimize, and print what each of the changes is worth."""
    parser = argparse.ArgumentParser(prog="python -m examples.langgraph_agent")
    parser.add_argument("--llm", help="who proposes: a LiteLLM name, such as openai/gpt-4o")
    options = parser.parse_args(arguments)
    llm = trace_bridge.LiteLLM(options.llm) if options.llm else scripted()
    graph = agent(Reader())
    run = trace_bridge.optimize(
        graph, EXAMPLES, exact, llm=llm, optimizer="optoprime", progress=False,
        engine=trace_bridge.Engine(journal=None),
    )  # fmt: skip
    print(f"[{llm.model} proposals, scripted agent] {run.verdict}")
    print(run.diff())
    better = run.export(graph)
    print(better.invoke({"question": "How long is the river Rhine?"})["answer"])


if __name__ == "__main__":
    main()
