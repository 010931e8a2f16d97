"""The drop-in callback on unchanged chains: what it records, and what it changes."""

import asyncio
import copy
import functools
import operator
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langchain_test_tools import ScriptModel, StreamModel
from trace_bridge_langchain import TraceCallback

import trace_bridge as tb

PATH = "prompt/human:template"


def chain(model=ScriptModel):
    return ChatPromptTemplate.from_template("Answer {question}") | model() | StrOutputParser()


@pytest.fixture
def trace():
    with TraceCallback(chain()) as callback:
        yield callback


def config(trace):
    return {"callbacks": [trace]}


def test_a_run_is_recorded_and_the_chain_is_unchanged(trace):
    agent = trace.module.agent
    before = repr(agent)
    assert agent.invoke({"question": "why?"}, config=config(trace)) == "Answer why?"
    assert trace.output.data == "Answer why?"
    assert trace.output.backward("Too terse: say why.").parameters == tuple(trace.parameters())
    assert repr(agent) == before


def test_the_next_invoke_uses_what_a_step_has_set(trace):
    agent = trace.module.agent
    agent.invoke({"question": "why?"}, config=config(trace))
    trace.output.backward("Too terse: say why.")

    def proposer(messages):
        told = (
            "Too terse" in messages[-1]["content"]
            and "Answer {question}" in messages[-1]["content"]
        )
        name = "prompt_human_template"
        return f'<variable name="{name}">Explain {{question}}</variable>' if told else ""

    tb.OptoPrime(trace.parameters(), tb.CallableLLM(proposer)).step()
    assert agent.invoke({"question": "why?"}, config=config(trace)) == "Explain why?"
    assert agent.invoke({"question": "why?"}) == "Answer why?"


def tuned(trace, text="Explain {question}"):
    trace.module.load_state_dict({PATH: text})
    return trace.module.agent


@pytest.mark.parametrize(("which", "text"), [("a", "Answer {question}"), ("b", "Say {question}")])
def test_a_chain_that_is_configured_at_the_call(which, text):
    class Told(ScriptModel):
        def _answer(self, messages, kwargs):
            answer = super()._answer(messages, kwargs)
            answer.content += f" at {kwargs['temperature']}"
            return answer

    bound = Told().bind(temperature=0.5) | StrOutputParser()
    one, other = (ChatPromptTemplate.from_template(f"{word} {{question}}") | bound
                  for word in ("Answer", "Say"))  # fmt: skip
    agent = one.configurable_alternatives(ConfigurableField(id="which"), default_key="a", b=other)
    with TraceCallback(agent, raise_error=True) as trace:
        paths = {path: p.data for path, p in trace.module.named_parameters()}
        new = {path: 0.7 if was == 0.5 else f"{was} now" for path, was in paths.items()}
        trace.module.load_state_dict(new)
        own = {"configurable": {"which": which}}
        asked = text.format(question="why?")
        for called, more in ((agent, own), (agent.with_config(own), {})):
            found = called.invoke({"question": "why?"}, config={**config(trace), **more})
            assert found == f"{asked} now at 0.7"
            reached = {p.data for p in trace.output.backward("x").parameters}
            assert reached == {f"{text} now", 0.7}
            assert called.invoke({"question": "why?"}, config=more) == f"{asked} at 0.5"
    assert len(trace.outputs) == 2


def test_all_ways_to_call_it(trace):
    agent, given, own = tuned(trace), {"question": "why?"}, config(trace)

    async def later():
        found = [await agent.ainvoke(given, config=own)]
        found.append("".join([piece async for piece in agent.astream(given, config=own)]))
        found += await agent.abatch([given, given], config=own)
        events = [e async for e in agent.astream_events(given, config=own, version="v2")]
        return [*found, events[-1]["data"]["output"]]

    found = [
        agent.invoke(given, own),
        "".join(agent.stream(given, config=own)),
        *agent.batch([given, given], config=own),
        *asyncio.run(later()),
        agent.with_config(callbacks=[trace]).invoke(given),
        RunnableLambda(lambda x: agent.invoke(x)).invoke(given, config=own),  # noqa: PLW0108
    ]
    assert set(found) == {"Explain why?"}
    assert len(found) == 11
    assert len(trace.outputs) == 11
    assert all(output.data == "Explain why?" for output in trace.outputs[:8])
    assert {p.name for p in trace.output.backward("x").parameters} == {PATH}


def test_a_batch_is_one_recording_for_each_item(trace):
    agent = tuned(trace)
    agent.batch([{"question": str(i)} for i in range(8)], config=config(trace))
    assert sorted(output.data for output in trace.outputs) == [f"Explain {i}" for i in range(8)]
    for output in trace.outputs:
        graph = output.backward("x")
        assert sum(node.op == "prompt" for node in graph.nodes) == 1


@pytest.mark.parametrize("model", [ScriptModel, StreamModel])
def test_a_stream_is_recorded_like_a_call(model):
    agent = chain(model)
    with TraceCallback(agent) as trace:
        assert list(agent.stream({"question": "why?"}, config=config(trace)))
        graph = trace.output.backward("x")
        assert {"prompt", "model"} <= {node.op for node in graph.nodes}
        assert [p.name for p in graph.parameters] == [PATH]


def test_a_stream_that_is_left_early_is_recorded_and_leaks_nothing():
    agent = chain(StreamModel)
    with TraceCallback(agent) as trace:
        pieces = agent.stream({"question": "why?"}, config=config(trace))
        assert next(pieces)
        assert tb.current_call() is None
        pieces.close()
        assert tb.current_call() is None
        assert len(trace.outputs) == 1


def test_an_error_is_an_output(trace):
    failing = chain() | RunnableLambda(_fail)
    with TraceCallback(failing) as callback:
        with pytest.raises(KeyError):
            failing.invoke({"question": "why?"}, config=config(callback))
        assert callback.output.data == "(KeyError) 'Answer why?'"
        assert {p.name for p in callback.output.backward("x").parameters} == {PATH, "_fail:code"}


def _fail(text):
    raise KeyError(text)


def test_without_the_callback_nothing_happens(trace):
    assert tuned(trace).invoke({"question": "why?"}) == "Answer why?"
    assert not trace.outputs
    with pytest.raises(RuntimeError, match="nothing is recorded yet"):
        trace.output  # noqa: B018


def test_closing_takes_the_seams_away():
    agent = chain()
    kind, before = type(agent), dict(vars(type(agent)))
    trace = TraceCallback(agent)
    assert vars(kind)["invoke"] is not before["invoke"]
    tuned(trace)
    trace.close()
    assert dict(vars(kind)) == before
    assert agent.invoke({"question": "why?"}, config=config(trace)) == "Answer why?"


def test_a_file_of_tuned_values(tmp_path):
    agent = chain()
    data = [{"inputs": {"question": str(i)}, "outputs": {}} for i in range(40)]

    def metric(example, output):
        return (1.0, "") if "Explain" in output else (0.0, "Explain!")

    def proposer(messages):
        told = "Explain!" in messages[-1]["content"]
        return (
            '<variable name="prompt_human_template">Explain {question}</variable>' if told else ""
        )

    run = tb.optimize(agent, data, metric, llm=proposer, optimizer="optoprime", progress=False)
    assert run.verdict == "better"
    run.save(tmp_path / "tuned.json")
    better = run.export(agent)
    assert better.invoke({"question": "q"}) == "Explain q"
    fresh = chain()
    with TraceCallback(fresh, load=tmp_path / "tuned.json") as trace:
        assert fresh.invoke({"question": "q"}, config=config(trace)) == "Explain q"
    assert fresh.invoke({"question": "q"}) == "Answer q"
    other = ChatPromptTemplate.from_template("Quite another {question}") | ScriptModel()
    with pytest.raises(tb.StateMismatchError, match=PATH):
        TraceCallback(other, load=tmp_path / "tuned.json")


def test_an_error_of_ours_is_logged_and_the_chain_goes_on(trace, monkeypatch, caplog):
    def broken(state):
        if state:
            raise ZeroDivisionError
        return before(state)

    agent, before = tuned(trace), trace.module.layout.copy
    monkeypatch.setattr(trace.module.layout, "copy", broken)
    for _ in range(3):
        assert agent.invoke({"question": "why?"}, config=config(trace)) == "Answer why?"
    assert caplog.text.count("the chain keeps its own") == 1
    trace.raise_error = True
    with pytest.raises(ZeroDivisionError):
        agent.invoke({"question": "why?"}, config=config(trace))


def test_other_callbacks_are_called_as_ever(trace):
    from langchain_core.callbacks import BaseCallbackHandler

    class Other(BaseCallbackHandler):
        def __init__(self):
            self.seen = []

        def on_chain_start(self, serialized, inputs, **kwargs):
            self.seen.append(kwargs.get("name"))

        def on_chat_model_start(self, serialized, messages, **kwargs):
            self.seen.append("model")

    agent, alone, beside = tuned(trace), Other(), Other()
    agent.invoke({"question": "why?"}, config={"callbacks": [alone]})
    agent.invoke({"question": "why?"}, config={"callbacks": [trace, beside]})
    assert alone.seen == beside.seen
    assert "model" in beside.seen


def test_64_concurrent_runs_of_8_candidates_do_not_meet():
    agent = chain()
    traces = [TraceCallback(agent) for _ in range(8)]
    for number, trace in enumerate(traces):
        tuned(trace, f"Candidate {number} {{question}}")

    def call(i):
        return agent.invoke({"question": str(i)}, config=config(traces[i % 8]))

    async def tasks():
        return await asyncio.gather(
            *[agent.ainvoke({"question": str(i)}, config=config(traces[i % 8])) for i in range(64)]
        )

    expected = [f"Candidate {i % 8} {i}" for i in range(64)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(call, range(64))) == expected
    assert asyncio.run(tasks()) == expected
    for trace in traces:
        assert len(trace.outputs) == 16
        trace.close()


def test_a_copy_of_the_callback_is_the_callback(trace):
    assert copy.copy(trace) is trace
    assert copy.deepcopy(trace) is trace


@pytest.mark.parametrize("model", [ScriptModel, StreamModel])
def test_events_and_logs_are_recorded_as_what_the_chain_has_returned(model):
    agent = chain(model)

    async def told(stream):
        return [piece async for piece in stream]

    with TraceCallback(agent) as trace:
        given, own = {"question": "why?"}, config(trace)
        asyncio.run(told(agent.astream_events(given, config=own, version="v2")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions call it deprecated
            asyncio.run(told(agent.astream_log(given, config=own)))
        for output in trace.outputs:
            assert output.data.strip() == "Answer why?"
            assert {"prompt", "model"} <= {node.op for node in output.backward("x").nodes}


def test_events_of_a_users_own_are_no_outputs():
    agent = RunnableLambda(lambda x: {"event": x, "data": {"output": 7}})
    with TraceCallback(agent) as trace:
        assert list(agent.stream("here", config=config(trace)))
        assert trace.output.data["event"] == "here"


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_failure_of_no_component_reaches_what_led_to_it(way):
    failing = chain() | RunnableLambda(functools.partial(operator.truediv, 1))
    with TraceCallback(failing) as trace:
        with pytest.raises(TypeError):
            list(getattr(failing, way)({"question": "why?"}, config=config(trace)))
        assert [p.name for p in trace.output.backward("x").parameters] == [PATH]


def shout(text):
    return text.upper()


def test_code_that_may_not_run_leaves_the_chain_as_it_is_and_is_logged_once(caplog):
    agent = chain() | RunnableLambda(shout)
    given = {"question": "why?"}
    code = "def shout(text):\n    return text.lower()\n"
    with TraceCallback(agent) as trace:
        trace.module.load_state_dict({**trace.module.state_dict(), "shout:code": code})
        assert agent.invoke(given, config=config(trace)) == "ANSWER WHY?"
        assert agent.invoke(given, config=config(trace)) == "ANSWER WHY?"
        assert caplog.text.count("the chain keeps its own") == 1
        assert "shout:code" in caplog.text
        trace.raise_error = True
        with pytest.raises(tb.UnsafeCodeError, match="unsafe=True"):
            agent.invoke(given, config=config(trace))
    with TraceCallback(agent, unsafe=True) as trace:
        trace.module.load_state_dict({**trace.module.state_dict(), "shout:code": code})
        assert agent.invoke(given, config=config(trace)) == "answer why?"


@tool
def shouted(text: str) -> str:
    """Shout it."""
    return text.upper()


class Sent:
    def __init__(self):
        self.goto = [{"a": 1}]  # and no Command of LangGraph's


ITSELF: dict = {"a": 1}
ITSELF["itself"] = ITSELF
COMPONENTS = {
    "a function": (RunnableLambda(chain().invoke), {"question": "why?"}),
    "a prompt": (ChatPromptTemplate.from_template("Answer {question}"), {"question": "why?"}),
    "a model": (ScriptModel(), "why?"),
    "a parser": (StrOutputParser(), AIMessage("why?")),
    "a tool": (shouted, {"text": "why?"}),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_an_agent_that_is_one_component_is_recorded(name):
    agent, given = COMPONENTS[name]
    with TraceCallback(agent) as trace:
        found = [agent.invoke(given, config=config(trace))]
        found.append(asyncio.run(agent.ainvoke(given, config=config(trace))))
        assert len(trace.outputs) == 2
    agent.invoke(given, config=config(trace))
    assert len(trace.outputs) == 2


def test_a_function_as_the_agent_uses_what_a_step_has_set():
    ask = chain()
    agent = RunnableLambda(lambda given: ask.invoke(given))  # noqa: PLW0108
    with TraceCallback(agent) as trace:
        [path] = [parameter.name for parameter in trace.parameters()]
        trace.module.load_state_dict({path: "Explain {question}"})
        assert agent.invoke({"question": "why?"}, config=config(trace)) == "Explain why?"
    assert agent.invoke({"question": "why?"}) == "Answer why?"


def test_a_callback_inside_of_record_works_when_that_is_over():
    agent, given = RunnableLambda(chain().invoke), {"question": "why?"}
    with tb.record(agent):
        trace = TraceCallback(agent)
        agent.invoke(given)
    with trace:
        agent.invoke(given, config=config(trace))
        assert len(trace.outputs) == 1


@pytest.mark.parametrize("returned", [ITSELF, [ITSELF, (ITSELF,)], Sent()])
def test_what_a_function_returns_does_not_break_the_run(returned):
    agent = RunnablePassthrough() | RunnableLambda(lambda _: returned)
    with TraceCallback(agent, raise_error=True) as trace:
        assert agent.invoke("x", config=config(trace)) is returned


@pytest.mark.parametrize("other", ["a text", chain])
def test_what_is_no_runnable_is_named(other):
    with pytest.raises(TypeError, match=f"takes the Runnable .* this is a {type(other).__name__}"):
        TraceCallback(other)
