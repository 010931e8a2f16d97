"""``optimize`` on an unchanged LCEL chain: found, improved, exported, saved, loaded elsewhere."""

import csv
import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_test_tools import ScriptModel
from trace_bridge_langchain import TraceCallback
from trace_bridge_langchain.models import LangChainLLM

import trace_bridge as tb
from trace_bridge.graph import Node

FACTS = {f"What is number {i}?": f"fact {i} is blue" for i in range(60)}
DATA = [{"inputs": {"question": q}, "outputs": {"answer": f.upper()}} for q, f in FACTS.items()]

# In files of their own, which know nothing of trace_bridge.
FACT_AGENT = '''
"""Finds a fact and replies with it."""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

FIND = ChatPromptTemplate.from_messages([("system", "Look the fact up."), ("human", "{question}")])
REPLY = ChatPromptTemplate.from_messages([("system", "Say the fact."), ("human", "Fact: {fact}")])


def make_chain(model):
    find = FIND | model | StrOutputParser()
    return {"fact": find} | REPLY | model | StrOutputParser()


def answer(messages):
    """What stands in for a model: it shouts if the system message wants that."""
    system, human = (str(message.content) for message in messages)
    if human.startswith("Fact: "):
        fact = human.removeprefix("Fact: ")
        return fact.upper() if "capital letters" in system else fact
    return f"fact {human.split()[-1].strip('?')} is blue"
'''

NAME_AGENT = '''
"""A person's name in bibliographic form, shown by examples."""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Write the person's name in bibliographic form."),
        ("human", "Dr. Hannah L. Fischer"),
        ("ai", "Fischer, Hannah"),
        ("human", "Pedro Almeida"),
        ("ai", "Almeida, Pedro"),
        ("human", "Prof. Ingrid Solberg"),
        ("ai", "Solberg, Ingrid"),
        ("human", "{name}"),
    ]
)


def first_line(text: str) -> str:
    return text.strip().partition("\\n")[0].strip()


def make_chain(model):
    return PROMPT | model | StrOutputParser() | RunnableLambda(first_line)
'''


def agent_file(tmp_path, source):
    """The module of an agent, imported from its file; ``source`` must not know trace_bridge."""
    assert "trace_bridge" not in source
    path = tmp_path / "user_agent.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"user_agent_{tmp_path.name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def shouted(outputs, reference_outputs):
    """A LangSmith evaluator."""
    right = outputs == reference_outputs
    return {
        "key": "shouted", "score": right,
        "comment": "" if right else "The answer should have been shouted.",
    }  # fmt: skip


def values_in(text):
    """The parameters that a prompt shows, by name."""
    shown = r'<variable name="(\w+)".*?<value>\n(.*?)\n</value>\n</variable>'
    return dict(re.findall(shown, text, re.DOTALL))


def proposer(calls):
    """Reads its prompt, and is of no use unless blamed parameter, feedback and value are in it."""

    def model(messages):
        text = messages[-1]["content"]
        calls.append(text)
        blamed = [name for name, value in values_in(text).items() if value == "Say the fact."]
        told = "should have been shouted" in text and "is blue" in text
        if blamed and told:
            return f'<variable name="{blamed[0]}">Say the fact in capital letters.</variable>'
        return "It all looks well to me."

    return model


@pytest.fixture
def agent(tmp_path):
    return agent_file(tmp_path, FACT_AGENT)


@pytest.fixture
def chain(agent):
    return agent.make_chain(ScriptModel(function=agent.answer))


def optimize(chain, calls=None, **changes):
    settings = {
        "optimizer": "optoprime", "progress": False, "engine": tb.Engine(concurrency=4),
        "llm": proposer([] if calls is None else calls),
    }  # fmt: skip
    return tb.optimize(chain, DATA, shouted, **settings | changes)


ASKED = {"question": "What is number 3?"}


def test_a_prompt_is_optimized_and_the_chain_is_not_written(agent, chain):
    calls, before, source = [], repr(chain), Path(agent.__file__).read_bytes()
    run = optimize(chain, calls)
    assert run.verdict == "better"
    assert (run.verdict.before, run.verdict.after) == (0.0, 1.0)
    assert run.best.state["fact/prompt/system:template"] == "Look the fact up."
    assert run.best.state["prompt/system:template"] == "Say the fact in capital letters."
    assert len(calls) == 1
    # two calls of the chain's model in each evaluation, and the proposer's
    assert run.record.usage.calls == 2 * run.record.evaluations + 1
    assert run.record.usage.prompt_tokens > 100
    assert repr(chain) == before
    assert chain.invoke(ASKED) == "fact 3 is blue"
    assert Path(agent.__file__).read_bytes() == source


def test_broken_propagation_leaves_the_score_where_it_was(chain, monkeypatch):
    monkeypatch.setattr("trace_bridge.training.evaluate.link", lambda recorder: Node("lost"))
    run = optimize(chain)
    assert run.verdict == "no reliable gain"
    assert run.verdict.before == run.verdict.after == 0.0


def test_it_resumes_and_asks_nobody_again(chain):
    calls = []
    first, again = optimize(chain, calls), optimize(chain, calls)
    assert len(calls) == 1
    assert again.record.session.calls == 0
    assert again.record.reused == again.record.evaluations == first.record.evaluations
    assert again.best.state == first.best.state


def test_the_exported_chain_answers_the_same(chain):
    run = optimize(chain)
    better = run.export(chain)
    assert type(better) is type(chain)
    assert better.invoke(ASKED) == "FACT 3 IS BLUE"
    assert better.batch([ASKED, ASKED]) == ["FACT 3 IS BLUE"] * 2
    assert chain.invoke(ASKED) == "fact 3 is blue"
    run.apply(chain)
    assert chain.invoke(ASKED) == "FACT 3 IS BLUE"
    run.restore(chain)
    assert chain.invoke(ASKED) == "fact 3 is blue"


def elsewhere(script, *arguments):
    """What another process prints last."""
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return json.loads(output.splitlines()[-1])


def test_a_saved_file_serves_the_unchanged_chain_in_another_process(agent, chain, tmp_path):
    path = optimize(chain).save(tmp_path / "tuned.json")
    folder = Path(__file__).parent
    script = """
        import json, sys
        sys.path[:0] = sys.argv[2:]
        import user_agent
        from langchain_test_tools import ScriptModel
        from trace_bridge_langchain import TraceCallback

        chain = user_agent.make_chain(ScriptModel(function=user_agent.answer))
        with TraceCallback(chain, load=sys.argv[1]) as tuned:
            found = chain.invoke({"question": "What is number 3?"}, config={"callbacks": [tuned]})
        print(json.dumps([found, chain.invoke({"question": "What is number 3?"})]))
        """
    assert elsewhere(script, path, tmp_path, folder) == ["FACT 3 IS BLUE", "fact 3 is blue"]


def test_an_exported_chain_needs_no_trace_bridge(agent, chain, tmp_path):
    """Its prompts are LangChain's own, and so is what it is saved as."""
    from langchain_core.load import dumps

    better = optimize(chain).export(chain)
    prompts = [json.loads(dumps(prompt)) for prompt in better.get_prompts()]
    assert "Say the fact in capital letters." in json.dumps(prompts)
    assert "trace_bridge" not in json.dumps(prompts)
    kinds = {type(step).__module__.partition(".")[0] for step in better.steps}
    assert kinds == {"langchain_core", "langchain_test_tools"}


def test_a_file_of_another_chain_is_refused_by_name(chain, agent, tmp_path):
    path = optimize(chain).save(tmp_path / "tuned.json")
    other = agent.FIND | ScriptModel(function=agent.answer)
    with pytest.raises(tb.StateMismatchError, match=r"has no .*fact/prompt/system:template"):
        TraceCallback(other, load=path)


def test_the_loop_written_by_hand(chain):
    """The issue's first lines: callback, feedback, step, and the same chain again."""
    with TraceCallback(chain) as trace:
        own = {"callbacks": [trace]}
        assert chain.invoke(ASKED, config=own) == "fact 3 is blue"
        trace.output.backward((0.0, "The answer should have been shouted."))
        tb.OptoPrime(trace.parameters(), tb.CallableLLM(proposer([]))).step()
        assert chain.invoke(ASKED, config=own) == "FACT 3 IS BLUE"
        assert chain.invoke(ASKED) == "fact 3 is blue"


# --------------------------------------------------------------- a real model, a real server


def right_name(outputs, reference_outputs):
    """A LangSmith evaluator, which says what it wanted."""
    right = outputs["output"] == reference_outputs["citation"]
    return {
        "key": "exact", "score": right,
        "comment": "" if right else f"It should have been {reference_outputs['citation']!r}.",
    }  # fmt: skip


def shortener(calls):
    """Writes initials in the prompt's examples, if the feedback that it reads shows initials."""

    def model(messages):
        text = messages[-1]["content"]
        calls.append(text)
        if not re.search(r"It should have been '\w[\w' -]*, [A-Z]\.'", text):
            return "It all looks well to me."
        shown = {n: re.fullmatch(r"(\w+), (\w)\w+", v) for n, v in values_in(text).items()}
        return "\n".join(
            f'<variable name="{name}">{full[1]}, {full[2]}.</variable>'
            for name, full in shown.items() if full
        )  # fmt: skip

    return model


@pytest.mark.embedded
@pytest.mark.timeout(300)
def test_a_real_model_behind_langchain_openai(tmp_path):
    openai = pytest.importorskip("langchain_openai")
    agent = agent_file(tmp_path, NAME_AGENT)
    with (Path(__file__).parents[3] / "examples/data/names.csv").open(encoding="utf-8") as file:
        rows = [
            {"inputs": {"name": row["name"]}, "outputs": {"citation": row["citation"]}}
            for row in csv.DictReader(file)
        ]
    server, calls = tb.embedded(), []
    chain = agent.make_chain(
        openai.ChatOpenAI(
            model=server.model, base_url=server.base_url, api_key=server.api_key, temperature=0.0,
            max_tokens=12,
        )
    )  # fmt: skip
    run = tb.optimize(
        chain, rows[:8], right_name, valset=rows[8:14], testset=rows[14:26],
        trainable=["prompt/ai*:template"], optimizer="optoprime", llm=shortener(calls),
        budget=tb.Budget(evaluations=60), engine=tb.Engine(concurrency=server.slots),
        progress=False,
    )  # fmt: skip
    assert run.verdict == "better"
    assert run.verdict.before <= 0.1
    assert run.verdict.after >= run.verdict.before + 0.3
    assert sorted(run.best.state.values()) == ["Almeida, P.", "Fischer, H.", "Solberg, I."]
    assert run.record.usage.prompt_tokens > 1000
    assert run.record.usage.calls == run.record.evaluations + len(calls)
    example = {"name": "Dr. Eran Yahav"}
    tuned = run.save(tmp_path / "tuned.json")
    with TraceCallback(chain, load=tuned) as trace:
        found = chain.invoke(example, config={"callbacks": [trace]})
    assert found == run.export(chain).invoke(example)
    assert "," in chain.invoke(example)


@pytest.mark.parametrize(
    "told",
    [{"finish_reason": "length"}, {"stop_reason": "max_tokens"}, {"done_reason": "length"},
     {"stopReason": "max_tokens"}],
)  # fmt: skip
def test_an_answer_that_was_cut_off_is_not_adopted_whatever_the_provider_calls_it(told):
    whole = '<variable name="p">\nAnswer in\n</variable>'
    client = GenericFakeChatModel(
        messages=iter([AIMessage(whole, response_metadata=told) for _ in range(2)])
    )
    p = tb.node("Answer.", trainable=True, name="p")
    optimizer = tb.OptoPrime([p], LangChainLLM(client))
    optimizer.backward(p + "", "too long")
    proposal = optimizer.step()
    assert proposal.state == {}
    assert "cut off" in proposal.reasoning
