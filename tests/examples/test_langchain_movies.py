"""The film adviser: what its changes are worth alone and together, and its scripted models."""

import contextlib
import io
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from trace_bridge_langchain import LangChainModule

from examples import langchain_movies, langgraph_agent
from examples.langchain_movies_chain import chain
from examples.langchain_movies_script import CODE, PROMPT, Reader, fits, judge, scripted, wishes
from trace_bridge.testing.scripted import USELESS

EXAMPLES = Path(langchain_movies.__file__).parent


def printed(main):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main([])
    return out.getvalue()


def test_only_both_changes_together_help():
    lines = printed(langchain_movies.main).splitlines()
    assert lines[0].startswith("[scripted proposals, scripted reader] better: ")
    shares = {line[:12].strip(): float(line[12:].split()[0]) for line in lines[1:]}
    assert list(shares) == ["as it was", "prompt only", "code only", "both"]
    assert shares.pop("both") == 1
    assert max(shares.values()) <= 0.01


def test_the_agents_do_not_know_us():
    for name in ("langchain_movies_chain.py", "langgraph_agent_graph.py"):
        assert "import trace_bridge" not in (EXAMPLES / name).read_text(encoding="utf-8")


def test_each_wish_can_be_fulfilled():
    module = LangChainModule(chain(Reader()), unsafe=True)
    agent = module.export({"prompt/human:template": PROMPT, "pick:code": CODE})
    for person in wishes(50, "test"):
        titles = agent.invoke(person["inputs"])
        assert judge({"output": titles}, person["outputs"])["score"] == 1


def test_the_words_of_those_who_asked():
    wish = {"genre": "comedy", "since": 1990, "before": 2000, "family": True}
    film = {"title": "Alien", "genre": "science fiction", "year": 1979, "family": False}
    assert fits(film, wish) == ["is not of the genre comedy", "is from 1979", "is not for children"]
    assert fits({**film, "genre": "comedy", "year": 1990, "family": True}, wish) == []


def test_the_reader_tells_what_its_prompt_asks_for():
    query = wishes(1, "reader")[0]["inputs"]["query"]
    said = Reader().invoke([HumanMessage(f"What genre? {query}")]).content
    assert '"genre"' in said
    assert '"since"' not in said


@pytest.mark.parametrize("lacking", ["{query}", "[:3]", "is from"])
async def test_the_proposer_reads_its_prompt(lacking):
    shown = (
        "<value>\nWhich films would you recommend? {query}\n</value>"
        '<value>\nreturn [film["title"] for film in FILMS][:3]\n</value> Alien is from 1979.'
    )
    whole = await scripted().complete([{"role": "user", "content": shown}])
    assert "pick_code" in whole.text
    less = await scripted().complete([{"role": "user", "content": shown.replace(lacking, "")}])
    assert less.text == USELESS


def test_the_langgraph_agent_learns_both_prompts():
    text = printed(langgraph_agent.main)
    assert text.startswith("[scripted proposals, scripted agent] better: 0.000 -> 1.000")
    assert "+Which table is it" in text
    assert "+Say only the number" in text
    assert text.rstrip().endswith("\n1230")
