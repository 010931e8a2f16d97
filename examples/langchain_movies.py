"""Tune a LangChain chain, its prompt and its code: ``python -m examples.langchain_movies``.

The chain (``langchain_movies_chain.py``) recommends the same three films to everybody. Its prompt
asks for no wish, and its code heeds none: only if both change does anybody get what was asked for.
"""

import argparse
from collections.abc import Sequence

from trace_bridge_langchain import LangChainModule

import trace_bridge
from examples.langchain_movies_chain import chain
from examples.langchain_movies_script import Reader, judge, scripted, wishes


def content(module: LangChainModule, state: dict[str, object]) -> float:
    """The share of 200 other people all of whose three films are right."""
    agent, people = module.export(state), wishes(200, "others")
    outputs = agent.batch([person["inputs"] for person in people])
    scores = [judge(o, p["outputs"])["score"] for o, p in zip(outputs, people, strict=True)]
    return sum(score == 1 for score in scores) / len(scores)


def main(arguments: Sequence[str] | None = None) -> None:
    """Optimize, and print what each of the changes is worth."""
    parser = argparse.ArgumentParser(prog="python -m examples.langchain_movies")
    parser.add_argument("--llm", help="who proposes: a LiteLLM name, such as openai/gpt-4o")
    options = parser.parse_args(arguments)
    llm = trace_bridge.LiteLLM(options.llm) if options.llm else scripted()
    # unsafe=True: code that the model wrote runs in this process, with all your rights
    module = LangChainModule(chain(Reader()), unsafe=True)
    run = trace_bridge.optimize(
        module, wishes(120, "training"), judge, trainable=["prompt/*", "pick:code"], llm=llm,
        optimizer="optoprime", budget=trace_bridge.Budget(evaluations=400), progress=False,
        engine=trace_bridge.Engine(journal=None),
    )  # fmt: skip
    best = dict(run.best.state)
    code = {path: value for path, value in best.items() if path == "pick:code"}
    prompt = {path: value for path, value in best.items() if path not in code}
    print(f"[{llm.model} proposals, scripted reader] {run.verdict}")
    for name, state in (
        ("as it was", {}), ("prompt only", prompt), ("code only", code), ("both", best)
    ):  # fmt: skip
        print(f"{name:12} {content(module, state):.2f} of 200 people are content")


if __name__ == "__main__":
    main()
