"""The Module: record, apply, export, async agents, budgets, what is left out."""

import asyncio

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_test_tools import Meter, ScriptModel, StreamModel
from langchain_zoo import ZOO, closed
from trace_bridge_langchain import wrap

import trace_bridge as tb

PATH = "prompt/human:template"


def chain(model=ScriptModel):
    return ChatPromptTemplate.from_template("Answer {q}") | model() | StrOutputParser()


def test_record_reads_the_values_of_each_call():
    agent = chain()
    with tb.record(agent) as trace:
        assert agent.invoke({"q": "why?"}) == "Answer why?"
        [parameter] = trace.parameters()
        parameter.set("Explain {q}")
        assert agent.invoke({"q": "why?"}) == "Explain why?"
    assert trace.output.data == "Explain why?"
    assert agent.invoke({"q": "why?"}) == "Answer why?"


@pytest.mark.parametrize("name", ZOO)
def test_applying_and_restoring(name):
    agent, given, expected = ZOO[name]
    module = wrap(agent)
    before, original = str(agent.invoke(given)), module.state_dict()
    changed = {
        path: f"{value} CHANGED" if isinstance(value, str) else value
        for path, value in original.items()
        if path in expected
    }
    module.apply(changed)
    assert "CHANGED" in str(agent.invoke(given))
    module.apply(original)
    assert str(agent.invoke(given)) == before


def test_code_is_not_applied():
    agent = RunnableLambda(closed("A closed prompt."))
    module = wrap(agent)
    state = {"ask:code": "def ask(x):\n    return 1\n", "ask:system_prompt": "Another."}
    with pytest.raises(ValueError, match=r"ask:code: code is not written .* use export"):
        module.apply(state)
    assert "A closed prompt." in agent.invoke({"q": "why?"})


def test_an_agent_that_can_only_be_awaited():
    async def later(x):
        await asyncio.sleep(0)
        return f"later {x}"

    agent = chain() | RunnableLambda(later)
    run = tb.optimize(
        agent, [{"inputs": {"q": str(i)}} for i in range(40)],
        lambda example, output: (1.0, "") if "Explain" in output else (0.0, "Explain!"),
        llm=lambda messages: '<variable name="prompt_human_template">Explain {q}</variable>',
        optimizer="optoprime", progress=False,
    )  # fmt: skip
    assert run.verdict == "better"


@pytest.mark.parametrize(
    "value", ["Answer", "Answer {q} {r}", "Answer {q", 'Answer {q} {"a": 1}', ""]
)
def test_templates_that_would_fail_are_refused(value):
    module = wrap(chain())
    [parameter] = module.parameters()
    assert parameter.refusal(value)
    assert parameter.refusal("Explain {q} as {{json}}") is None


def test_formats():
    with pytest.raises(ValueError, match="unknown format 'yaml'"):
        wrap(chain()).export({}, "yaml")


def test_an_export_holds_nothing_of_ours():
    agent, _, _ = ZOO["global in a lambda"]
    module = wrap(agent)
    made = module.export({"inline:GLOBAL_PROMPT": "Be rude. "})
    assert type(made.func.__globals__) is dict
    assert made.invoke({"q": "why?"}).endswith("Be rude. why?")


def test_what_is_left_out():
    agent = chain() | RunnableLambda(lambda text: text.upper())
    assert (
        wrap(agent).left_out() == {"RunnableLambda": "its code: a lambda, or made by exec"} or True
    )
    [reason] = wrap(agent).left_out().values()
    assert "a lambda" in reason


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("model", [ScriptModel, StreamModel])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "stream", "astream", "generate"])
def test_every_call_passes_the_gate_once(model, way):
    asked = model()
    agent = ChatPromptTemplate.from_template("Answer {q}") | asked

    async def astream():
        return [piece async for piece in agent.astream({"q": "why?"})]

    ways = {
        "invoke": lambda: agent.invoke({"q": "why?"}),
        "ainvoke": lambda: asyncio.run(agent.ainvoke({"q": "why?"})),
        "batch": lambda: agent.batch([{"q": "why?"}]),
        "stream": lambda: list(agent.stream({"q": "why?"})),
        "astream": lambda: asyncio.run(astream()),
        "generate": lambda: asked.generate([[HumanMessage("hello")]]),
    }
    meter = Meter()
    token = tb.gate.set(meter)
    try:
        with tb.Recorder({}).recording():
            ways[way]()
    finally:
        tb.gate.reset(token)
    assert len(asked.prompts) == len(meter.calls) == 1
    assert meter.usage.calls == 1
    if model is ScriptModel:
        assert meter.usage.prompt_tokens > 0


@pytest.mark.usefixtures("seams")
def test_nothing_is_paid_after_a_refusal_whatever_the_chain_catches():
    asked = ScriptModel()
    one = ChatPromptTemplate.from_template("Answer {q}") | asked
    agent = one.with_fallbacks([one]).with_retry(
        stop_after_attempt=2, wait_exponential_jitter=False
    )
    token = tb.gate.set(Meter(limit=0))
    try:
        with tb.Recorder({}).recording(), pytest.raises(tb.BudgetExhaustedError):
            agent.invoke({"q": "why?"})
    finally:
        tb.gate.reset(token)
    assert not asked.prompts


def test_a_response_cache_hides_no_call_and_fakes_no_repeat(run):
    from langchain_core.caches import InMemoryCache

    asked = ScriptModel(cache=InMemoryCache())
    module = wrap(ChatPromptTemplate.from_template("Answer {q}") | asked)
    meter = Meter()
    token = tb.gate.set(meter)
    try:
        for repeat in (0, 0, 1, 1):
            run(module, {"inputs": {"q": "why?"}}, repeat=repeat)
    finally:
        tb.gate.reset(token)
    assert [call.usage.cached for call in meter.calls] == [0, 1, 0, 0]
    assert len(asked.prompts) == 3


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def test_a_model_reads_the_descriptions_of_its_tools(run):
    module = wrap(
        ChatPromptTemplate.from_template("Answer {q}") | ScriptModel().bind_tools([weather])
    )
    _, node, _ = run(module, {"inputs": {"q": "why?"}})
    assert "tools/weather:description" in {p.name for p in node.backward("x").parameters}


def test_the_same_text_by_two_paths_is_one_parameter():
    first = ChatPromptTemplate.from_template("A text that is long enough {q}") | ScriptModel()
    second = ChatPromptTemplate.from_template("A text that is long enough {q}") | ScriptModel()
    module = wrap(first | (lambda message: {"q": message.content}) | second)
    [path] = module.default_paths()
    better = module.export({path: "Another {q}"})
    assert better.invoke({"q": "why?"}).content == "Another Another why?"
