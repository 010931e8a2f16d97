"""The agent's own client proposes, too: no other key is needed, and every call is counted."""

import asyncio

import dspy
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

import trace_bridge as tb

MODEL = "gpt-4o-2024-08-06"
PRICE = 7 * 2.5e-6 + 2 * 10e-6  # of the tokens that the provider tells
KEY = "the-agents-own"
WORDS = [f"word {letter}" for letter in "abcdefghijklmnopqrstuvwx"]


class DSPy:
    path = "self:instructions"

    def __init__(self, url):
        self.lm = dspy.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=False, num_retries=0)
        self.agent = dspy.Predict(dspy.Signature("word -> answer", "Say it again."))
        self.rows = [dspy.Example(word=word).with_inputs("word") for word in WORDS]

    def text(self, output):
        return output.answer

    def said(self, messages):
        word = messages[-1]["content"].partition("[[ ## word ## ]]\n")[2].partition("\n")[0]
        answer = word.upper() if "Shout it." in messages[0]["content"] else word
        return f"[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"

    def run(self, **settings):
        with dspy.context(lm=self.lm):
            return tb.optimize(self.agent, **settings)


class LangChain:
    path = "prompt/system:template"

    def __init__(self, url):
        model = ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, max_retries=0, timeout=30)
        prompt = ChatPromptTemplate.from_messages([("system", "Say it again."), ("human", "{x}")])
        self.agent = prompt | model | StrOutputParser()
        self.rows = [{"x": word} for word in WORDS]

    def text(self, output):
        return output

    def said(self, messages):
        word = messages[-1]["content"]
        return word.upper() if messages[0]["content"] == "Shout it." else word

    def run(self, **settings):
        return tb.optimize(self.agent, **settings)


class AutoGen(LangChain):
    path = "echo:system_message"

    def __init__(self, url):
        self.url = url
        self.rows = [{"task": word} for word in WORDS]

    def text(self, output):
        return output.messages[-1].content

    def run(self, **settings):
        async def inside():
            client = OpenAIChatCompletionClient(
                model=MODEL, base_url=self.url, api_key=KEY, max_retries=0, timeout=30
            )
            agent = AssistantAgent("echo", client, system_message="Say it again.")
            try:
                return await tb.optimize_async(agent, **settings)
            finally:
                await client.close()

        return asyncio.run(inside())


@pytest.fixture(params=[DSPy, LangChain, AutoGen])
def tune(request, provider):
    framework = request.param(provider.url)

    def answered(body):
        """The proposer tells the agent to shout if it sees what is wrong with what."""
        asked = body["messages"][-1]["content"]
        if "should be in capitals" not in asked or "Say it again." not in asked:
            return framework.said(body["messages"])
        name = framework.path.replace("/", "_").replace(":", "_")
        return f'<variable name="{name}">Shout it.</variable>'

    def capitals(example, output):
        said = framework.text(output)
        return float(said.isupper()), "" if said.isupper() else f"{said!r} should be in capitals."

    def run(**limits):
        rows = framework.rows
        return framework.run(
            trainset=rows[:6], valset=rows[6:12], testset=rows[12:], metric=capitals,
            optimizer="optoprime", trainable=[framework.path], budget=tb.Budget(**limits),
            progress=False,
        )  # fmt: skip

    provider.answer = answered
    return run


def test_the_agents_own_client_proposes_behind_the_gate(tune, provider):
    found = tune()
    assert found.verdict == "better"
    assert list(found.best.state.values()) == ["Shout it."]
    assert {key for key, _ in provider.requests} == {f"Bearer {KEY}"}
    assert {body["model"] for _, body in provider.requests} == {MODEL}
    assert found.record.usage.calls == len(provider.requests)
    assert found.record.usage.tokens == 9 * len(provider.requests)


def test_what_clients_tell_of_the_price_is_taken(tune, provider, request):
    usage = tune().record.usage
    if DSPy not in request.node.callspec.params.values():
        assert usage.priced == 0
    else:  # from DSPy 3.4 on not for the one call of ``forward``, which proposes
        assert usage.priced >= len(provider.requests) - 1
    assert usage.dollars == pytest.approx(usage.priced * PRICE)


def test_a_budget_in_dollars_knows_the_price(tune, provider):
    usage = tune(dollars=1.0).record.usage
    assert usage.unpriced == 0
    assert usage.dollars == pytest.approx(len(provider.requests) * PRICE)


def test_a_budget_in_tokens_holds(tune, provider):
    found = tune(tokens=9 * 38)
    assert "tokens is spent" in found.record.stopped
    assert found.verdict.examples == 12
    assert found.record.usage.tokens == 9 * len(provider.requests) <= 9 * 38
