import asyncio
import contextvars
import copy
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import dspy
import pytest
from dspy_test_tools import Meter, ScriptLM, question, system
from trace_bridge_dspy.module import DSPyModule

from trace_bridge import Recorder
from trace_bridge.llm.base import gate

pytestmark = pytest.mark.usefixtures("seams")

GLOBAL = dspy.Predict("question -> answer")


def marker(messages):
    """The word after MARK in the instructions."""
    text = system(messages)
    return text.partition("MARK ")[2].split()[0] if "MARK " in text else "none"


def echo(messages):
    return {"answer": f"{marker(messages)}/{question(messages)}", "reasoning": "r"}


class Pair(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.Predict("question -> answer")
        self.boxes = {"a": [dspy.ChainOfThought("question -> answer")]}
        self.calls = 0

    def forward(self, question):
        self.calls += 1
        one = self.first(question=question).answer
        return self.boxes["a"][0](question=one)


PATHS = ["first:instructions", "boxes/a/0/predict:instructions"]


def snapshot(program):
    return [
        (
            item.__dict__.keys(),
            len(item.history),
            [id(v) for k, v in vars(item).items() if k != "calls"],
            getattr(item, "calls", 0),
            item.dump_state(),
        )
        for _, item in program.named_sub_modules()
        if isinstance(item, dspy.Module)
    ]


def test_values_hold_in_the_run_and_nothing_is_written(run):
    program = Pair()
    module = DSPyModule(program)
    before = snapshot(program)
    with dspy.context(lm=ScriptLM(echo)):
        state = {path: f"MARK {i}" for i, path in enumerate(PATHS)}
        output, _, _ = run(module, {"question": "q"}, state)
        assert output.answer == "1/0/q"
        output, _, _ = run(module, {"question": "q"})
        assert output.answer == "none/none/q"
        assert dspy.settings.trace == []
    assert snapshot(program) == before
    assert all("_trace_bridge" not in key for keys, *_ in snapshot(program) for key in keys)


def _one(module, number):
    state = dict.fromkeys(PATHS, f"MARK {number % 8}")
    recorder = Recorder({"question": f"q{number}"})
    with module.using(state), recorder.recording():
        return module.run(dspy.Example(question=f"q{number}").with_inputs("question")).answer


def expected(count):
    return [f"{i % 8}/{i % 8}/q{i}" for i in range(count)]


def test_thirty_two_threads_do_not_meet():
    barrier = threading.Barrier(32)

    def together(messages):
        barrier.wait(30)  # all of them are in a first call, then all in a second
        return echo(messages)

    program = Pair()
    module, before = DSPyModule(program), snapshot(program)
    with dspy.context(lm=ScriptLM(together)), ThreadPoolExecutor(32) as pool:
        jobs = [pool.submit(contextvars.copy_context().run, _one, module, i) for i in range(32)]
        assert [job.result() for job in jobs] == expected(32)
    assert snapshot(program) == before


async def test_thirty_two_tasks_do_not_meet():
    class Async(Pair):
        async def aforward(self, question):
            await asyncio.sleep(0)
            one = (await self.first.acall(question=question)).answer
            await asyncio.sleep(0)
            return await self.boxes["a"][0].acall(question=one)

    async def one(number):
        state = dict.fromkeys(PATHS, f"MARK {number % 8}")
        with module.using(state), Recorder().recording():
            example = dspy.Example(question=f"q{number}").with_inputs("question")
            return (await module.run(example)).answer

    program = Async()
    module, before = DSPyModule(program), snapshot(program)
    with dspy.context(lm=ScriptLM(echo)):
        assert await asyncio.gather(*(one(i) for i in range(32))) == expected(32)
    assert snapshot(program) == before


def test_fields_demos_and_descriptions_reach_the_prompt(run):
    lm = ScriptLM(lambda messages: {"answer": "x"})
    module = DSPyModule(dspy.Predict("question -> answer"))
    state = {
        "self:instructions": "Do THIS.",
        "self:desc.answer": "a FINE answer",
        "self:demos": [{"question": "how?", "answer": "so"}],
    }
    with dspy.context(lm=lm):
        run(module, {"question": "q"}, state)
    text = str(lm.prompts[-1])
    assert "Do THIS." in text
    assert "a FINE answer" in text
    assert "how?" in text


def test_a_method_as_tool_is_bound_to_the_copy(run):
    class Agent(dspy.Module):
        def __init__(self):
            super().__init__()
            self.seen = []
            self.look = dspy.Predict("question -> answer")
            self.agent = dspy.ReAct("question -> answer", tools=[self.lookup])

        def lookup(self, what: str) -> str:
            """Find."""
            return self.look(question=what).answer

        def forward(self, question):
            return self.agent(question=question)

    def answer(messages):
        text = system(messages)
        if "next_tool_name" in text:
            done = "observation_0" in messages[-1]["content"]
            name, args = ("finish", "{}") if done else ("lookup", '{"what": "it"}')
            return {"next_thought": "t", "next_tool_name": name, "next_tool_args": args}
        return {"answer": marker(messages), "reasoning": "r"}

    module = DSPyModule(Agent())
    with dspy.context(lm=ScriptLM(answer)):
        output, _, _ = run(module, {"question": "q"}, {"look:instructions": "MARK seen"})
    assert output.trajectory["observation_0"] == "seen"


def test_tool_description_is_baked_into_react_again(run):
    def search(query: str) -> str:
        """Old words."""
        return query

    def answer(messages):
        if "next_tool_name" in system(messages):
            return {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": "{}"}
        return {"answer": "x", "reasoning": "r"}

    program = dspy.ReAct("question -> answer", tools=[search])
    module, lm = DSPyModule(program), ScriptLM(answer)
    with dspy.context(lm=lm):
        run(module, {"question": "q"}, {"tools/search:desc": "New words."})
        assert "New words." in system(lm.prompts[0])
        assert "Old words." not in system(lm.prompts[0])
        # the value of instructions holds a name for the tool's text, so both can be changed
        kept = "CHANGED. " + module.state_dict()["react:instructions"]
        assert "{tool:search}" in kept
        assert "Old words." not in kept
        state = {"tools/search:desc": "New words.", "react:instructions": kept}
        lm.prompts.clear()
        run(module, {"question": "q"}, state)
        assert "CHANGED." in system(lm.prompts[0])
        assert "New words." in system(lm.prompts[0])
        lm.prompts.clear()
        run(module, {"question": "q"}, {**state, "react:instructions": "All mine."})
        assert "New words." not in system(lm.prompts[0])
    assert program.tools["search"].desc == "Old words."


class Hidden(dspy.Module):
    def __init__(self):
        super().__init__()
        self.own = dspy.Predict("question -> answer")

    def forward(self, question):
        return GLOBAL(question=self.own(question=question).answer)


def test_hidden_predictors_get_values_and_no_history(run):
    module = DSPyModule(Hidden())
    state = {"outside/GLOBAL:instructions": "MARK g", "own:instructions": "MARK o"}
    before, size = GLOBAL.signature, len(GLOBAL.history)
    with dspy.context(lm=ScriptLM(echo)):
        output, node, _ = run(module, {"question": "q"}, state)
    assert output.answer == "g/o/q"
    assert GLOBAL.signature is before
    assert len(GLOBAL.history) == size
    assert node.op == "outside.GLOBAL"


def test_the_users_own_call_reads_current_values():
    program = Pair()
    module = DSPyModule(program)
    state = {path: f"MARK {i}" for i, path in enumerate(PATHS)}
    with dspy.context(lm=ScriptLM(echo)):
        with module.using(state), module.attached(), Recorder().recording():
            assert program(question="q").answer == "1/0/q"
        assert program(question="q").answer == "none/none/q"


def test_best_of_n_runs_deep_copies_with_the_values(run):
    class Best(dspy.Module):
        def __init__(self):
            super().__init__()
            inner = dspy.ChainOfThought("question -> answer")
            self.best = dspy.BestOfN(inner, N=2, reward_fn=lambda args, pred: 0.0, threshold=1.0)

        def forward(self, question):
            return self.best(question=question)

    module = DSPyModule(Best())
    path = "best/module/predict:instructions"
    with dspy.context(lm=ScriptLM(echo)):
        output, _, recorder = run(module, {"question": "q"}, {path: "MARK b"})
        assert output.answer == "b/q"
        assert [c.op for c in recorder.calls if not c.is_frame] == ["best.module.predict"] * 2
        with module.using({path: "MARK c"}), module.attached(), Recorder().recording():
            assert module.agent(question="q").answer == "c/q"


class Threads(Pair):
    def forward(self, question):
        def work(part):
            with dspy.context(mine=part):
                return self.first(question=f"{question}{part}").answer

        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(work, "ab")
        return self.boxes["a"][0](question=f"{one}+{two}")


def test_raw_threads_lose_nothing(run, monkeypatch):
    module, meter = DSPyModule(Threads()), Meter()
    token = gate.set(meter)
    try:
        with dspy.context(lm=ScriptLM(echo)):
            state = dict.fromkeys(PATHS, "MARK t")
            output, _, recorder = run(module, {"question": "q"}, state)
    finally:
        gate.reset(token)
    assert output.answer == "t/t/qa+t/qb"
    assert len(meter.calls) == 3
    assert [c.op for c in recorder.calls if not c.is_frame].count("first") == 2


def test_raw_threads_with_an_event_loop_of_their_own(run):
    class Loops(Pair):
        def forward(self, question):
            def work(part):
                return asyncio.run(self.first.acall(question=f"{question}{part}")).answer

            with ThreadPoolExecutor(2) as pool:
                one, two = pool.map(work, "ab")
            return self.boxes["a"][0](question=f"{one}+{two}")

    with dspy.context(lm=ScriptLM(echo)):
        output, _, recorder = run(
            DSPyModule(Loops()), {"question": "q"}, dict.fromkeys(PATHS, "MARK t")
        )
    assert output.answer == "t/t/qa+t/qb"
    assert len([c for c in recorder.calls if not c.is_frame]) == 3


def test_a_thread_that_outlives_its_run_is_left_alone(run):
    gone = threading.Event()
    results = []

    class Late(Pair):
        def forward(self, question):
            def work():
                gone.wait(10)
                with dspy.context(lm=lm):
                    results.append(self.first(question="late").answer)

            self.thread = threading.Thread(target=work)
            self.thread.start()
            threads.append(self.thread)
            return self.first(question=question)

    threads, lm = [], ScriptLM(echo)
    module = DSPyModule(Late())
    with dspy.context(lm=lm):
        _, _, recorder = run(module, {"question": "q"}, {"first:instructions": "MARK l"})
    count = len(recorder.calls)
    gone.set()
    threads[0].join(10)
    assert results == ["l/late"]  # the copy keeps its values; the run is over
    assert len(recorder.calls) == count


def test_dspy_parallel_inside_forward(run):
    class Wide(Pair):
        def forward(self, question):
            pairs = [(self.first, {"question": f"{question}{i}"}) for i in range(4)]
            parts = dspy.Parallel(num_threads=2, disable_progress_bar=True)(pairs)
            return self.boxes["a"][0](question="+".join(part.answer for part in parts))

    module = DSPyModule(Wide())
    with dspy.context(lm=ScriptLM(echo)):
        output, _, recorder = run(module, {"question": "q"}, dict.fromkeys(PATHS, "MARK p"))
    assert output.answer == "p/" + "+".join(f"p/q{i}" for i in range(4))
    assert len([c for c in recorder.calls if not c.is_frame]) == 5


def test_async_programs(run):
    class Only(dspy.Module):
        def __init__(self):
            super().__init__()
            self.p = dspy.Predict("question -> answer")

        async def aforward(self, question):
            return await self.p.acall(question=question)

    class Nearer(dspy.ChainOfThought):
        async def aforward(self, question):
            return await self.predict.acall(question=question)

    for program, path in ((Only(), "p"), (Nearer("question -> answer"), "predict")):
        module = DSPyModule(program)
        with dspy.context(lm=ScriptLM(echo)):
            output, node, _ = run(module, {"question": "q"}, {f"{path}:instructions": "MARK a"})
        assert output.answer == "a/q"
        assert node.op == path


def test_odd_containers_and_handles_are_shared(run):
    class Odd(Pair):
        def __init__(self):
            super().__init__()
            self.queue = deque([self.first])
            self.lock = threading.Lock()
            self.index = object()
            self.plain = {"k": [1, 2]}

        def forward(self, question):
            seen.append((self.queue, self.lock, self.index, self.plain, self.first))
            return super().forward(question)

    seen, program = [], Odd()
    with dspy.context(lm=ScriptLM(echo)):
        run(DSPyModule(program), {"question": "q"})
    queue, lock, index, plain, first = seen[0]
    assert queue is program.queue
    assert (lock, index, plain) == (program.lock, program.index, program.plain)
    assert plain is program.plain
    assert first is not program.first


def test_a_copy_may_be_deep_copied_and_pickled(run):
    class Copies(Pair):
        def forward(self, question):
            twin = copy.deepcopy(self.first)
            copied.append(cloudpickle.loads(cloudpickle.dumps(self.first)))
            return twin(question=question)

    copied = []
    with dspy.context(lm=ScriptLM(echo)):
        output, node, _ = run(
            DSPyModule(Copies()), {"question": "q"}, {"first:instructions": "MARK d"}
        )
    assert output.answer == "d/q"
    assert node.op == "first"
    assert copied[0].signature.instructions == "MARK d"


def test_no_warning_that_forward_was_called_directly(run, caplog):
    with dspy.context(lm=ScriptLM(echo)):
        run(DSPyModule(Pair()), {"question": "q"})
    assert "discouraged" not in caplog.text
