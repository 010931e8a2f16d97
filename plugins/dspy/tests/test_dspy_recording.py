import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
import trace_bridge_dspy
from dspy_test_tools import Meter, ScriptLM, edges, question, system
from trace_bridge_dspy.metering import refused
from trace_bridge_dspy.module import DSPyModule

from trace_bridge import BudgetExhaustedError, Recorder, link
from trace_bridge.llm.base import complete, gate

CLASSES = (
    dspy.Predict,
    dspy.Module,
    dspy.Tool,
    dspy.Example,
    dspy.Prediction,
    dspy.BaseLM,
    dspy.LM,
)


def answers(messages):
    return {"answer": f"about {question(messages)}", "reasoning": "since so"}


def test_seams_come_and_go_exactly():
    before = [dict(vars(kind)) for kind in CLASSES]
    with trace_bridge_dspy.instrument():
        assert dspy.Predict.forward is not before[0]["forward"]
        with trace_bridge_dspy.instrument():
            pass
        assert dspy.Predict.forward is not before[0]["forward"]
    after = [dict(vars(kind)) for kind in CLASSES]
    assert after == before
    assert [list(kind) for kind in after] == [list(kind) for kind in before]


def test_seams_come_and_go_from_many_threads():
    before = [dict(vars(kind)) for kind in CLASSES]
    barrier = threading.Barrier(8)

    def enter(_):
        barrier.wait()
        for _ in range(20):
            with trace_bridge_dspy.instrument():
                assert dspy.Predict.forward is not before[0]["forward"]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert [dict(vars(kind)) for kind in CLASSES] == before


def test_seams_leave_after_an_exception_and_let_others_patches_stand(monkeypatch):
    before = dict(vars(dspy.Predict))
    with pytest.raises(KeyError), trace_bridge_dspy.instrument():
        raise KeyError
    assert dict(vars(dspy.Predict)) == before

    def other(self, **kwargs):
        return "patched over"

    with monkeypatch.context() as patch:
        with trace_bridge_dspy.instrument():
            patch.setattr(dspy.Predict, "forward", other)
        assert dspy.Predict.forward is other
        dspy.Predict.forward = before["forward"]
    dspy.Predict.forward = before["forward"]
    assert dict(vars(dspy.Predict)) == before


@pytest.mark.usefixtures("seams")
def test_idle_seams_do_nothing():
    program = dspy.ChainOfThought("question -> answer")
    module = DSPyModule(program)
    with dspy.context(lm=ScriptLM(answers)), module.using({"predict:instructions": "OTHER"}):
        assert program(question="q").answer == "about q"
        assert "OTHER" not in system(dspy.settings.lm.prompts[0])


def test_a_component_has_its_parameters_inputs_and_fields(run):
    module = DSPyModule(dspy.ChainOfThought("question -> answer"))
    with dspy.context(lm=ScriptLM(answers)):
        output, node, recorder = run(module, {"question": "why?"})
    (call,) = [call for call in recorder.calls if not call.is_frame]
    assert call.op == "predict"
    assert dict(call.inputs) == {"question": "why?"}
    assert list(call.parameters) == [
        "instructions", "demos", "desc.question", "desc.reasoning", "desc.answer",
    ]  # fmt: skip
    assert call.fields == {"reasoning": "since so", "answer": "about why?"}
    assert call.output is output
    assert call.description == "question -> reasoning, answer"
    assert {edge.label for edge in node.edges if edge.node.trainable} == set(call.parameters)


def test_a_failed_parse_is_the_components_error(run):
    lm = ScriptLM(lambda messages: "RAW REPLY of no use")
    module = DSPyModule(dspy.Predict("question -> answer, why"))
    with dspy.context(lm=lm):
        output, node, recorder = run(module, {"question": "q"})
    assert isinstance(output, Exception)
    assert node.op == recorder.calls[-1].op == "Predict"
    assert "RAW REPLY of no use" in str(node.peek())
    assert "answer" in str(node.peek())
    assert "why" in str(node.peek())


def test_an_exception_in_forward_is_the_runs(run):
    class Broken(dspy.Module):
        def __init__(self):
            super().__init__()
            self.p = dspy.Predict("question -> answer")

        def forward(self, question):
            self.p(question=question)
            return {}["missing"]

    with dspy.context(lm=ScriptLM(answers)):
        output, _, recorder = run(DSPyModule(Broken()), {"question": "q"})
    assert isinstance(output, KeyError)
    assert [type(call.error) for call in recorder.calls] == [KeyError, type(None)]


def tool_agent(fail):
    def search(query: str) -> str:
        """Find things."""
        if fail:
            raise ValueError("no index here")
        return f"findings on {query}"

    def answer(messages):
        if "next_tool_name" not in system(messages):
            return {"answer": "done", "reasoning": "r"}
        if "observation_0" in messages[-1]["content"]:
            return {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": "{}"}
        args = '{"query": "whales and dolphins"}'
        return {"next_thought": "look", "next_tool_name": "search", "next_tool_args": args}

    return dspy.ReAct("question -> answer", tools=[search]), ScriptLM(answer)


def test_react_and_its_tools(run):
    program, lm = tool_agent(fail=False)
    module = DSPyModule(program)
    with dspy.context(lm=lm):
        output, _, recorder = run(module, {"question": "q"})
    assert output.answer == "done"
    calls = [call for call in recorder.calls if not call.is_frame]
    assert [call.op for call in calls] == [
        "react", "tools.search", "react", "tools.finish", "extract.predict",
    ]  # fmt: skip
    desc = dict(module.named_parameters())["tools/search:desc"]
    assert calls[0].parameters["tools.search"] is desc
    assert calls[1].parameters == {"desc": desc}
    assert dict(calls[1].inputs) == {"query": "whales and dolphins"}
    assert {("react", "tools.search"), ("tools.search", "react")} <= edges(recorder)


def test_a_swallowed_tool_error_is_noted_on_the_tool(run):
    program, lm = tool_agent(fail=True)
    with dspy.context(lm=lm):
        output, _, recorder = run(DSPyModule(program), {"question": "q"})
    assert output.answer == "done"
    (tool,) = [call for call in recorder.calls if call.op == "tools.search"]
    assert str(tool.error) == "no index here"


def test_async_tools(run):
    async def search(query: str) -> str:
        """Find things."""
        return f"findings on {query}"

    class Agent(dspy.Module):
        def __init__(self):
            super().__init__()
            self.tools = {"search": dspy.Tool(search)}

        async def aforward(self, question):
            found = await self.tools["search"].acall(query=question)
            return dspy.Prediction(answer=found)

    output, _, recorder = run(DSPyModule(Agent()), {"question": "q"})
    assert output.answer == "findings on q"
    assert [call.op for call in recorder.calls if not call.is_frame] == ["tools.search"]


@pytest.mark.usefixtures("seams")
def test_record_of_the_users_own_call():
    program = dspy.ChainOfThought("question -> answer")
    module, recorder = DSPyModule(program), Recorder({"question": "q"})
    with dspy.context(lm=ScriptLM(answers)), module.attached(), recorder.recording() as root:
        root.returns(program(question="q"))
    node = link(recorder)
    assert node.op == "predict"
    assert node.requires_grad


def test_a_stranger_is_a_component_without_parameters(run):
    class Dynamic(dspy.Module):
        def forward(self, question):
            return dspy.Predict("question -> answer")(question=question)

    with dspy.context(lm=ScriptLM(answers)):
        _, _, recorder = run(DSPyModule(Dynamic()), {"question": "q"})
    assert [(c.op, c.parameters) for c in recorder.calls if not c.is_frame] == [("Predict", {})]


@pytest.mark.usefixtures("seams")
def test_reads_of_all_kinds_are_noted():
    output = dspy.Prediction(score=1, text="t")
    recorder = Recorder()
    with recorder.recording():
        _ = output.score, output["text"], output.get("score"), float(output)
        output.items(), output.toDict(), {**output}
        assert (output > 0.5) is True
        with pytest.raises(AttributeError):
            _ = output.nothing
        _ = dspy.Example(a=1).a
    names = [name for _, _, value, name in recorder.reads if value == id(output)]
    assert names == ["score", "text", "score", "score"] + ["score", "text"] * 3 + ["score"]
    assert len(recorder.reads) == len(names)


class Counting(dspy.Module):
    def __init__(self):
        super().__init__()
        self.p = dspy.Predict("question -> answer")

    def forward(self, question):
        return self.p(question=question)


@pytest.fixture
def metered():
    def enter(limit=None):
        meter = Meter(limit)
        gate.set(meter)
        return meter

    yield enter
    gate.set(None)


def test_each_model_call_passes_the_gate_once(run, metered):
    meter, lm = metered(), ScriptLM(answers)
    with dspy.context(lm=lm):
        for _ in range(3):
            run(DSPyModule(Counting()), {"question": "q"})
    assert [call.model for call in meter.calls] == ["dummy"] * 3
    assert len(lm.prompts) == meter.usage.calls == 3
    assert meter.usage.cached == 0


@pytest.mark.usefixtures("seams")
async def test_an_async_model_call_passes_the_gate_once(metered):
    meter, lm = metered(), ScriptLM(answers)
    with dspy.context(lm=lm):
        await dspy.Predict("question -> answer").acall(question="q")
    assert len(meter.calls) == len(lm.prompts) == 1


def test_a_spent_budget_stops_the_run(run, metered):
    metered(limit=0)
    lm = ScriptLM(answers)
    with dspy.context(lm=lm):
        output, _, _ = run(DSPyModule(Counting()), {"question": "q"})
    assert isinstance(output, BudgetExhaustedError)
    assert lm.prompts == []


@pytest.fixture
def provider(monkeypatch):
    """A real dspy.LM whose provider is a function of ours."""
    calls = []

    def reply(text, finish, **kwargs):
        calls.append(kwargs)
        import litellm

        if isinstance(text, Exception):
            raise text
        return litellm.ModelResponse(
            model="fake",
            choices=[{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
            usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        )

    def install(text=None, finish="stop"):
        litellm = pytest.importorskip("litellm")
        text = text if text is not None else "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
        monkeypatch.setattr(litellm, "completion", lambda **kwargs: reply(text, finish, **kwargs))
        arguments = {"engine": "litellm"} if hasattr(dspy, "lm15") else {}
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
        return dspy.LM("openai/fake", api_key="k", num_retries=0, **arguments)

    install.calls = calls
    return install


def test_usage_and_cache_hits_of_a_real_lm(run, metered, provider):
    meter, lm = metered(), provider()
    module = DSPyModule(Counting())
    with dspy.context(lm=lm), dspy.track_usage() as tracker:
        run(module, {"question": "usage?"})
        run(module, {"question": "usage?"})
    assert [(c.usage.cached, c.usage.tokens) for c in meter.calls] == [(0, 10), (1, 0)]
    assert tracker.get_total_tokens()["openai/fake"]["prompt_tokens"] == 7
    assert len(provider.calls) == 1


@pytest.mark.usefixtures("seams")
async def test_a_real_lm_as_proposer(metered, provider):
    meter, model = metered(), trace_bridge_dspy.llm(provider("a long text", "length"))
    reply = await complete(model, [{"role": "user", "content": "propose"}])
    assert (reply.text, reply.finish_reason) == ("a long text", "length")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 3)
    assert [call.usage.tokens for call in meter.calls] == [10]
    again = await complete(model, [{"role": "user", "content": "propose"}])
    assert (again.usage.cached, again.usage.tokens) == (1, 0)


def test_a_repeated_run_wants_a_fresh_sample(run, metered, provider):
    meter, lm = metered(), provider()
    module = DSPyModule(Counting())
    with dspy.context(lm=lm):
        for repeat in (0, 0, 1, 2):
            run(module, {"question": "repeat?"}, repeat=repeat)
    assert len(provider.calls) == 3
    assert [call.usage.cached for call in meter.calls] == [0, 1, 0, 0]


def test_refusals_are_the_agents_failures_and_outages_are_not(run, metered, provider):
    import litellm

    refusal = litellm.ContextWindowExceededError("too long", "fake", "openai")
    outage = litellm.ServiceUnavailableError("down", "openai", "fake")
    for error, expected in ((refusal, True), (outage, False)):
        meter = metered()
        with dspy.context(lm=provider(error)):
            output, _, _ = run(DSPyModule(Counting()), {"question": f"{expected}?"})
        assert isinstance(output, Exception)
        assert {call.refused for call in meter.calls} == {expected}
        assert all(call.error is not None for call in meter.calls)


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("BadRequestError", None, True),
        ("ContentPolicyViolationError", None, True),
        ("LMInvalidRequestError", None, True),
        ("Whatever", 422, True),
        ("Whatever", 500, False),
        ("RateLimitError", 429, False),
        ("AuthenticationError", 401, False),
        ("TimeoutError", None, False),
    ],
)
def test_what_counts_as_refused(name, status, expected):
    error = type(name, (Exception,), {"status_code": status})("text")
    assert refused(error) is expected


def test_a_model_that_nobody_serves_was_not_asked():
    error = type("BadRequestError", (Exception,), {})("LLM Provider NOT provided. Pass ...")
    assert not refused(error)


@pytest.mark.usefixtures("seams")
def test_contexts_of_recordings_do_not_mix():
    program = Counting()
    module = DSPyModule(program)

    def one(number):
        recorder = Recorder({"question": str(number)})
        with recorder.recording():
            module.run(dspy.Example(question=str(number)).with_inputs("question"))
        return [dict(c.inputs)["question"] for c in recorder.calls if not c.is_frame]

    with dspy.context(lm=ScriptLM(answers)), ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(contextvars.copy_context().run, one, i) for i in range(32)]
        assert [job.result() for job in jobs] == [[str(i)] for i in range(32)]
