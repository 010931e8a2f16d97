"""Edges from data: who is reached by feedback on the output of a recorded run."""

import asyncio
import contextvars
import dataclasses
import gc
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from trace_bridge.graph import Evidence, Feedback, Node, Parameter, subgraph
from trace_bridge.recording import Recorder, current_call, link, note_read

PARIS = "Paris is the capital of France"
ROME = "Rome was not built in one day"


class Run:
    """A recorded run of components that each have a parameter of their own name."""

    def __init__(self, **inputs):
        self.recorder = Recorder(inputs)
        self.parameters = {}

    def parameter(self, op):
        return self.parameters.setdefault(op, Parameter("value", op))

    def call(self, op, output, **inputs):
        """A component that was given ``inputs`` and returned ``output`` (or raised it)."""
        parameters = {"prompt": self.parameter(op)}
        with current_call().component(op, inputs, parameters, f"what {op} does") as call:
            if isinstance(output, Exception):
                raise output
            fields = output.fields if isinstance(output, Record) else None
            call.returns(output, fields)
        return output

    def frame(self, op="frame", **inputs):
        return current_call().frame(op, inputs)

    def recording(self):
        return self.recorder.recording()

    def output(self):
        return link(self.recorder)

    def reached(self):
        return {parameter.name for parameter in self.output().backward("x").parameters}


class Record:
    """Like a framework's prediction: several named fields, reads of which are noted."""

    def __init__(self, **fields):
        self.fields = fields

    def read(self, name):
        note_read(self, name)
        return self.fields[name]


def fresh(text):
    """An equal text that is another object, as a framework's parser makes it."""
    return "".join(list(text))


def only(nodes):
    [found] = nodes
    return found


# ------------------------------------------------------------------ components


def test_an_output_passed_on_by_identity():
    run = Run(question="?")
    with run.recording() as root:
        first = run.call("first", [1, 2])
        second = run.call("second", [3], given=first)
        run.call("bystander", [4])
        root.returns(second)
    output = run.output()
    assert output.op == "second"
    assert output.data == [3]
    assert output.description == "what second does"
    edges = {edge.label: edge for edge in output.edges}
    assert set(edges) == {"prompt", "given"}
    assert edges["given"].evidence is Evidence.IDENTITY
    assert edges["given"].node.op == "first"
    assert run.reached() == {"first", "second"}


def test_a_part_passed_on_by_identity():
    run = Run()
    with run.recording() as root:
        documents = run.call("search", [["one"], ["two"]])
        root.returns(run.call("answer", ["x"], context=documents[1]))
    assert run.reached() == {"search", "answer"}


def test_what_was_passed_is_shown_and_not_all_that_it_was_taken_from():
    run = Run()
    with run.recording() as root:
        documents = run.call("search", [["one"], ["two"]])
        root.returns(run.call("answer", ["x"], context=documents[1]))
    given = only(edge.node for edge in run.output().edges if edge.label == "context")
    assert given.peek() == ["two"]
    assert [parent.op for parent in given.parents] == ["search"]


def test_a_field_passed_on_is_shown_as_its_value():
    for fields in ({"answer": [PARIS]}, {"answer": [PARIS], "why": ["because"]}):
        run = Run()
        with run.recording() as root:
            record = run.call("first", Record(**fields))
            root.returns(run.call("second", [1], given=record.fields["answer"]))
        given = only(edge.node for edge in run.output().edges if edge.label == "given")
        assert given.peek() == [PARIS]
        assert run.reached() == {"first", "second"}


def test_text_in_a_prompt():
    run = Run()
    with run.recording() as root:
        first = run.call("first", PARIS)
        root.returns(run.call("second", "x", text=f"Judge: {first}!"))
    composed = only(edge.node for edge in run.output().edges if edge.label == "text")
    assert composed.peek() == f"Judge: {PARIS}!"
    assert [(edge.node.op, edge.evidence) for edge in composed.edges] == [("first", Evidence.TEXT)]


def test_some_words_in_a_prompt_are_weak():
    run = Run()
    with run.recording() as root:
        run.call("first", PARIS)
        root.returns(run.call("second", "x", given="he said the capital of France is nice"))
    composed = only(edge.node for edge in run.output().edges if edge.label == "given")
    assert [edge.evidence for edge in composed.edges] == [Evidence.WORDS]


def test_an_older_producer_that_a_newer_one_repeated_is_not_blamed_twice():
    run = Run()
    with run.recording() as root:
        run.call("draft", PARIS)
        revised = run.call("other", f"{PARIS}, and {ROME}")
        root.returns(run.call("judge", "x", text=fresh(revised)))
    output = run.output()
    composed = only(edge.node for edge in output.edges if edge.label == "text")
    assert [edge.node.op for edge in composed.edges] == ["other"]


def test_repeated_equal_short_values_give_no_edge():
    run = Run()
    with run.recording() as root:
        for number in range(3):
            run.call(f"first{number}", fresh("ok"))
        root.returns(run.call("second", "x", given=fresh("ok")))
    assert run.reached() == {"second"}


@pytest.mark.parametrize("value", [True, None, 0, 1, "", (), frozenset()])
def test_values_that_python_shares_give_no_edge(value):
    run = Run()
    with run.recording() as root:
        run.call("first", value)
        root.returns(run.call("second", ["x"], given=value))
    assert run.reached() == {"second"}


@pytest.mark.parametrize("returned", [{"count": 4}, 4, {"question": "What is it?", "good": True}])
def test_a_result_of_shared_values_comes_from_the_calls_that_no_other_has_used(returned):
    run = Run(question="What is it?")
    with run.recording() as root:
        first = run.call("first", ["x"])
        run.call("second", 3, given=first)
        root.returns(returned)
    assert run.reached() == {"first", "second"}


def test_the_question_proves_nothing():
    run = Run(question="What is the capital of France, and why?")
    with run.recording() as root:
        run.call("echo", fresh("the capital of France"))
        root.returns(run.call("answer", ["x"], given="What is the capital of France, and why?"))
    assert run.reached() == {"answer"}


def test_a_tool_that_passes_its_input_on_is_the_nearest_producer():
    run = Run()
    with run.recording() as root:
        first = run.call("first", ["a"])
        same = run.call("tool", first, value=first)
        root.returns(run.call("second", ["b"], given=same))
    output = run.output()
    given = only(edge.node for edge in output.edges if edge.label == "given")
    assert given.op == "tool"
    assert run.reached() == {"first", "tool", "second"}


def test_what_was_given_before_a_tool_passed_it_on_is_not_from_the_tool():
    run = Run()
    with run.recording() as root:
        first = run.call("first", ["a"])
        late = {"prompt": run.parameter("late")}
        with root.component("late", {"given": first}, late) as call:
            with root.entered():  # the tool runs beside it
                run.call("tool", first, value=first)
            call.returns(["b"])
        root.returns(call.output)
    assert run.reached() == {"first", "late"}


def test_a_value_is_explained_by_what_ended_before():
    run = Run()
    with run.recording() as root:
        late = {"prompt": run.parameter("late")}
        with root.component("late", {"given": PARIS}, late) as call:
            with root.entered():
                run.call("beside", fresh(PARIS))
            call.returns(["b"])
        root.returns(call.output)
    assert run.reached() == {"late"}


def test_mappings_that_make_their_values_on_the_fly_prove_nothing_by_address():
    class Lazy(Mapping):
        def __getitem__(self, key):
            return [object(), key]

        def __iter__(self):
            return iter(map(str, range(50)))

        def __len__(self):
            return 50

    run = Run()
    with run.recording() as root:
        run.call("lazy", Lazy())
        given = [[object(), "z"] for _ in range(200)]
        root.returns(run.call("second", ["x"], given=given))
    gc.collect()
    assert run.reached() == {"second"}


def test_an_input_that_is_passed_on():
    documents = ["a", "b"]
    run = Run(documents=documents)
    with run.recording() as root:
        root.returns(run.call("answer", "x", context=documents))
    output = run.output()
    assert {edge.label: edge.node.op for edge in output.edges} == {
        "prompt": "parameter",
        "context": "input",
    }


def test_a_shared_parameter_is_one_node():
    run = Run()
    with run.recording() as root:
        first = run.call("same", ["a"])
        root.returns(run.call("same", ["b"], given=first))
    graph = run.output().backward("x")
    assert graph.parameters == (run.parameter("same"),)


# ------------------------------------------------------------------ frames


def test_a_frame_that_passes_on_an_output_is_transparent():
    run = Run()
    with run.recording() as root:
        with run.frame("outer") as outer:
            with run.frame("inner") as inner:
                inner.returns(run.call("first", ["a"]))
            outer.returns(inner.output)
        root.returns(run.call("second", ["b"], given=outer.output))
    graph = run.output().backward("x")
    assert {node.op for node in graph.nodes if not node.trainable} == {"first", "second"}


def test_a_frame_that_makes_something_new_is_a_node():
    run = Run()
    with run.recording() as root:
        with run.frame("joins") as frame:
            one, two = run.call("one", PARIS), run.call("two", ROME)
            frame.returns(f"{one} {two}")
        root.returns(run.call("last", ["b"], given=frame.output))
    graph = run.output().backward("x")
    [joins] = [node for node in graph.nodes if node.op == "joins"]
    assert joins.peek() == f"{PARIS} {ROME}"
    assert run.reached() == {"one", "two", "last"}


def test_the_root_makes_something_new():
    run = Run()
    with run.recording() as root:
        root.returns({"answer": run.call("one", [1]), "other": run.call("two", [2])})
    output = run.output()
    assert output.op == "agent"
    assert output.peek() == {"answer": [1], "other": [2]}
    assert run.reached() == {"one", "two"}


def test_the_root_returns_a_record():
    run = Run()
    with run.recording() as root:
        one, two = run.call("one", [1]), run.call("two", [2])
        root.returns(Record(answer=one, why=two), {"answer": one, "why": two})
    output = run.output()
    assert output.peek() == {"answer": [1], "why": [2]}
    assert sorted(edge.label for edge in output.edges) == ["answer", "why"]
    assert run.reached() == {"one", "two"}


# ------------------------------------------------------------------ reads


@pytest.mark.parametrize("flag", [True, False, 0, 3, 0.5, None])
def test_a_branch_on_a_flag_is_an_edge_to_the_next_call_of_that_code(flag):
    run = Run()
    with run.recording() as root:
        decision = run.call("decide", Record(flag=flag))
        unread = run.call("unread", Record(flag=flag))
        assert unread
        op = "yes" if decision.read("flag") else "no"
        root.returns(run.call(op, ["x"]))
    output = run.output()
    assert run.reached() == {"decide", op}
    [edge] = [edge for edge in output.edges if edge.evidence is Evidence.READ]
    assert (edge.node.name, edge.node.peek()) == ("flag", flag)
    assert edge.node.parents[0].op == "decide"
    assert edge.evidence.weak


def test_a_read_without_a_next_call_belongs_to_the_frame():
    run = Run()
    with run.recording() as root:
        count = run.call("count", Record(number=3))
        root.returns(f"there are {count.read('number')}")
    assert run.reached() == {"count"}


def test_a_read_in_an_inner_frame_belongs_to_the_next_call_there():
    run = Run()
    with run.recording() as root:
        decision = run.call("decide", Record(flag=True))
        with run.frame("inner") as frame:
            assert decision.read("flag")
            frame.returns(run.call("then", ["x"]))
        run.call("later", ["y"])
        root.returns(frame.output)
    assert run.reached() == {"decide", "then"}


def test_a_choice_between_outputs_depends_on_what_decided():
    run = Run()
    with run.recording() as root:
        one, two = run.call("one", ["1"]), run.call("two", ["2"])
        decision = run.call("judge", Record(best=1))
        root.returns([one, two][decision.read("best")])
    output = run.output()
    assert output.peek() == ["2"]
    assert run.reached() == {"two", "judge"}


def test_a_choice_in_an_inner_frame_depends_on_what_decided():
    run = Run()
    with run.recording() as root:
        with run.frame("choose") as frame:
            one, two = run.call("one", ["1"]), run.call("two", ["2"])
            decision = run.call("judge", Record(best=0))
            frame.returns([one, two][decision.read("best")])
        root.returns(run.call("last", ["x"], given=frame.output))
    assert run.reached() == {"one", "judge", "last"}


def test_a_read_before_a_frame_that_passes_an_output_on_reaches_its_maker():
    run = Run()
    with run.recording() as root:
        decision = run.call("decide", Record(flag=True))
        assert decision.read("flag")
        with run.frame("inner") as frame:
            frame.returns(run.call("then", ["x"]))
        root.returns(frame.output)
    assert run.reached() == {"decide", "then"}


@pytest.mark.parametrize("value", ["A", True, 7])
def test_a_small_value_that_frames_pass_on_comes_from_the_last_that_returned_it(value):
    run = Run()
    with run.recording() as root:
        run.call("first", value)
        with run.frame("inner") as frame:
            frame.returns(run.call("second", value))
        root.returns(frame.output)
    output = run.output()
    assert output.op == "second"
    assert output.peek() == value


def test_a_read_value_that_was_seen_again_is_not_guessed_about():
    run = Run()
    with run.recording() as root:
        first = run.call("first", Record(answer=[PARIS]))
        answer = first.read("answer")
        run.call("bystander", ["x"])
        root.returns(run.call("second", ["y"], given=answer))
    output = run.output()
    assert [edge.evidence for edge in output.edges if edge.label == "given"] == [Evidence.IDENTITY]
    assert run.reached() == {"first", "second"}


def test_a_read_of_something_else_is_ignored():
    run = Run()
    with run.recording() as root:
        note_read(object(), "x")
        record = Record(a=1)
        record.read("a")  # before any component returned it
        run.call("first", record)
        note_read(record, "no such field")
        root.returns(run.call("second", ["x"]))
    assert run.reached() == {"second"}


# ------------------------------------------------------------------ failures


def test_the_innermost_failing_call_is_the_output():
    run = Run()
    with pytest.raises(KeyError), run.recording(), run.frame("outer"):
        first = run.call("first", ["a"])
        run.call("second", KeyError("k"), given=first)
    output = run.output()
    assert output.op == "second"
    assert output.peek() == "(KeyError) 'k'"
    assert run.reached() == {"first", "second"}


def test_a_component_inside_a_component():
    run = Run()
    with pytest.raises(KeyError), run.recording() as root:  # noqa: SIM117
        with root.component("tool", {}, {"prompt": run.parameter("tool")}):
            run.call("model", KeyError("k"))
    assert run.output().op == "model"


def _function(run, result, *inner):
    """A user's function that calls components: the ops that its node depends on."""
    with run.recording() as root:
        with root.component("function", {"x": "input"}, {"code": run.parameter("function")}) as c:
            outputs = []
            for op in inner:
                outputs.append(run.call(op, [op], given=outputs[-1] if op == "again" else None))
            c.returns(result(outputs))
        root.returns(c.output)
    node = run.output()
    assert node.op == "function"
    return {edge.node.op: edge.evidence for edge in node.edges if edge.node.op in inner}


def test_a_function_depends_on_the_inner_calls_that_its_result_is_made_of():
    found = _function(Run(), lambda outputs: {"a": outputs[1]}, "one", "two")
    assert found == {"two": Evidence.IDENTITY}


def test_a_function_whose_result_tells_nothing_depends_on_what_it_was_given_last():
    run = Run()
    assert _function(run, len, "one", "two") == dict.fromkeys(["one", "two"], Evidence.READ)
    assert run.reached() == {"function", "one", "two"}


def test_what_an_inner_call_has_used_reaches_the_function_through_that_one():
    run = Run()
    assert _function(run, len, "one", "again") == {"again": Evidence.READ}
    assert run.reached() == {"function", "one", "again"}


def test_what_decided_that_a_call_happens_is_an_edge():
    run = Run()
    with run.recording() as root:
        with root.component("router", {}, {"prompt": run.parameter("router")}) as router:
            router.returns("left")
        with root.component("left", {}, {"prompt": run.parameter("left")}) as left:
            left.because(router)
            left.returns(["a"])
        root.returns(left.output)
    assert {(e.node.op, e.evidence) for e in run.output().edges} >= {("router", Evidence.READ)}
    assert run.reached() == {"router", "left"}


def test_what_decided_on_a_frame_decided_on_the_calls_in_it():
    run = Run()
    with run.recording() as root:
        with root.component("router", {}, {"prompt": run.parameter("router")}) as router:
            router.returns("left")
        with root.frame("node", {}) as frame:
            frame.because(router)
            frame.returns(run.call("left", ["a"]))
        root.returns(frame.output)
    assert run.reached() == {"router", "left"}


def test_pieces_of_a_stream_are_passed_on_while_it_runs():
    run = Run()
    with run.recording() as root:
        seen = []
        with (
            root.component(
                "parser", {"chunks": seen}, {"prompt": run.parameter("parser")}
            ) as parser,
            root.component("model", {}, {"prompt": run.parameter("model")}) as model,
        ):
            for piece in (["a"], ["b"]):
                model.yields(piece)
                seen.append(piece)
                parser.yields(list(piece))
            model.returns(["a", "b"])
        parser.returns("ab")
        root.returns("ab")
    assert run.reached() == {"parser", "model"}


def test_wrapped_exceptions_lead_to_the_one_that_began():
    run = Run()
    with pytest.raises(RuntimeError), run.recording():  # noqa: SIM117
        with run.frame("outer"):
            try:
                run.call("model", KeyError("k"))
            except KeyError as error:
                raise RuntimeError("wrapped") from error
    assert run.output().op == "model"
    assert run.reached() == {"model"}


def test_an_exception_raised_while_handling_leads_to_the_one_that_began():
    run = Run()
    with pytest.raises(RuntimeError), run.recording():  # noqa: SIM117
        with run.frame("outer"):
            try:
                run.call("model", KeyError("k"))
            except KeyError:
                raise RuntimeError("could not go on")  # noqa: B904
    assert run.output().op == "model"


def test_a_failure_of_the_fallback_is_the_fallbacks():
    run = Run()
    with pytest.raises(RuntimeError), run.recording():
        try:
            run.call("model", KeyError("k"))
        except KeyError:
            run.call("fallback", RuntimeError("failed, too"))
    assert run.output().op == "fallback"


def test_a_failure_that_was_handled_is_not_the_output():
    run = Run()
    with run.recording() as root:
        try:
            run.call("model", KeyError("k"))
        except KeyError:
            root.returns(run.call("fallback", ["x"]))
    assert run.output().op == "fallback"


def test_a_failure_of_the_agents_own_code_depends_on_what_it_read():
    run = Run()
    with pytest.raises(ValueError, match="invalid literal"), run.recording():
        answer = run.call("first", Record(answer="three"))
        int(answer.read("answer"))
    output = run.output()
    assert output.op == "agent"
    assert output.peek().startswith("(ValueError)")
    assert run.reached() == {"first"}


def test_exceptions_in_a_circle():
    run, first, second = Run(), KeyError("a"), KeyError("b")
    first.__context__, second.__context__ = second, first
    with pytest.raises(KeyError), run.recording():
        run.call("model", first)
    assert run.output().op == "model"


# ------------------------------------------------------------------ threads and tasks


def test_calls_unfinished_in_a_stray_thread_are_left_out():
    run = Run()
    inside, done = threading.Event(), threading.Event()

    def stray():
        with current_call().component("stray", {}, {"prompt": run.parameter("stray")}):
            inside.set()
            done.wait(10)

    with run.recording() as root:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(stray,))
        thread.start()
        assert inside.wait(10)
        root.returns(run.call("first", ["a"]))
    try:
        assert run.reached() == {"first"}
    finally:
        done.set()
        thread.join()


def test_a_raw_thread_that_enters_the_call():
    run = Run()
    found = []

    def work(call):
        with call.entered():
            found.append(run.call("threaded", ["a"]))

    with run.recording() as root:
        thread = threading.Thread(target=work, args=(root,))
        thread.start()
        thread.join()
        root.returns(run.call("last", ["b"], given=found[0]))
    assert run.reached() == {"threaded", "last"}


def pipeline(number, run):
    first = run.call(f"first{number}", f"an answer that only number {number} could have given")
    decision = run.call(f"decide{number}", Record(flag=True))
    assert decision.read("flag")
    return run.call(f"last{number}", [number], prompt=f"judge: {fresh(first)}")


def expected(number):
    return {f"first{number}", f"decide{number}", f"last{number}"}


def test_many_recordings_in_threads_have_no_cross_edges():
    barrier = threading.Barrier(16)

    def work(number):
        run = Run(question="the same question")
        barrier.wait()
        with run.recording() as root:
            root.returns(pipeline(number, run))
        return run.reached()

    with ThreadPoolExecutor(16) as pool:
        for number, reached in enumerate(pool.map(work, range(32))):
            assert reached == expected(number)


async def test_many_recordings_in_tasks_have_no_cross_edges():
    async def step(number, run):
        await asyncio.sleep(0)
        first = run.call(f"first{number}", f"an answer that only number {number} could have given")
        await asyncio.sleep(0)
        decision = run.call(f"decide{number}", Record(flag=True))
        await asyncio.sleep(0)
        assert decision.read("flag")
        return run.call(f"last{number}", [number], prompt=f"judge: {fresh(first)}")

    async def work(number):
        run = Run(question="the same question")
        with run.recording() as root:
            root.returns(await step(number, run))
        return run.reached()

    for number, reached in enumerate(await asyncio.gather(*map(work, range(32)))):
        assert reached == expected(number)


async def test_branches_of_one_run_have_no_cross_edges():
    run = Run()

    async def branch(number):
        with run.frame(f"branch{number}") as frame:
            await asyncio.sleep(0)
            first = run.call(f"first{number}", Record(flag=True, text=[number]))
            await asyncio.sleep(0)
            assert first.read("flag")
            await asyncio.sleep(0)
            frame.returns(run.call(f"last{number}", [number]))
        return frame.output

    with run.recording() as root:
        found = await asyncio.gather(*map(branch, range(8)))
        root.returns(found[3])
    assert run.reached() == {"first3", "last3"}


def test_a_long_run():
    run = Run()
    with run.recording() as root:
        value = ["start"]
        for number in range(2000):
            value = run.call("step", [number], given=value)
        root.returns(value)
    assert len(run.output().backward("x").nodes) == 2000 + 2


def test_a_run_without_calls():
    run = Run(question="?")
    with run.recording() as root:
        root.returns("nothing was called")
    output = run.output()
    assert output.peek() == "nothing was called"
    assert output.parents == ()


@dataclasses.dataclass
class Letter:
    text: str


def test_what_a_result_was_made_of_can_be_said():
    """Two calls inside have said the same; only the plugin knows which of them counted."""
    run = Run(q="a question")
    with run.recording() as root:
        with current_call().component("agent", {}, {"prompt": run.parameter("agent")}) as call:
            first = run.call("first", Letter(PARIS))
            second = run.call("second", Letter(PARIS))
            call.returns(Letter(PARIS), made_of=[first])
        root.returns(call.output)
    assert second
    assert run.reached() == {"agent", "first"}


def test_what_an_object_holds_came_with_it():
    """Equal texts may be one object: the letter tells who wrote it."""
    run = Run(q="a question")
    with run.recording() as root:
        letter = run.call("first", Letter(PARIS))
        run.call("second", Letter(PARIS))
        root.returns(run.call("last", "done", letters=[letter]))
    assert run.reached() == {"first", "last"}


def test_a_call_stands_for_what_it_returned():
    """Equal texts have one identity in Python; a plugin that knows better says so."""
    recorder = Recorder({})
    with recorder.recording() as root:
        calls = []
        for name in ("first", "second"):
            with root.component(name, {}, {"p": Parameter("v", f"{name}:p")}) as call:
                call.returns("yes yes")
            calls.append(call)
        with root.component("reader", {"one": calls[0], "both": list(calls)}, {}) as reader:
            reader.returns("a new one")
        with root.component("maker", {}, {}) as maker:
            maker.returns("something", made_of=[calls[1]])
        root.returns("a new one")
    output = link(recorder)
    one, both = output.parents
    assert one.op == "first"
    assert both.op == "compose"
    assert both.peek() == ["yes yes", "yes yes"]
    assert [node.op for node in both.parents] == ["first", "second"]


def test_a_call_that_has_not_returned_explains_nothing():
    recorder = Recorder({})
    with recorder.recording() as root:
        left = root.component("left running", {}, {"p": Parameter("v", "left:p")})
        with root.component("reader", {"it": left}, {"q": Parameter("v", "reader:q")}) as reader:
            reader.returns("done with it")
        root.returns("done with it")
    output = link(recorder)
    blamed = subgraph({output: Feedback("wrong")}).parameters
    assert [parameter.name for parameter in blamed] == ["reader:q"]


def test_a_node_stands_for_itself():
    """A plugin that knows where a value came from keeps it from being explained by its text."""
    recorder = Recorder({})
    with recorder.recording() as root:
        with root.component("maker", {}, {"p": Parameter("v", "maker:p")}) as call:
            call.returns("the same words as before")
        history = Node("the same words as before", "history")
        with root.component("reader", {"it": history}, {"q": Parameter("v", "r:q")}) as reader:
            reader.returns("done with it")
        root.returns("done with it")
    output = link(recorder)
    assert history in output.parents
    blamed = subgraph({output: Feedback("wrong")}).parameters
    assert [parameter.name for parameter in blamed] == ["r:q"]


def test_a_call_that_outlives_the_one_around_it_is_no_part_of_it():
    """A tool that was cancelled with its agent's turn may end after the turn."""
    recorder = Recorder({})
    with recorder.recording() as root:
        outer = root.component("turn", {}, {})
        inner = outer.component("tool", {}, {})
        outer.returns("a result")
        outer.end()
        inner.returns("too late")
        inner.end()
        root.returns(outer.output)
    assert link(recorder).op == "turn"


def test_what_a_component_makes_in_its_code_it_makes_of_what_it_was_given():
    run = Run()
    with run.recording() as root:
        run.call("first", "a joke about lions at sea")
        theme = run.call("theme", "a joke about penguins")
        with root.component("second", {"theme": theme}, {}) as second:
            prompt = f"Tell {theme}, a joke about what you like"
            second.returns(run.call("model", "Ha", prompt=prompt))
        root.returns("Ha")
    assert run.reached() == {"theme", "model"}


def test_a_number_that_a_component_was_given_reaches_the_prompt_in_its_code():
    run = Run()
    with run.recording() as root:
        rows = run.call("rows", [7, 12])
        with root.component("answer", {"rows": rows}, {}):
            run.call("model", "Many of them", prompt="There are 12")
        root.returns("Many of them")
    assert run.reached() == {"rows", "model"}


def test_who_passes_a_whole_output_on_as_a_part_is_nearer():
    run = Run()
    with run.recording() as root:
        with root.component("node", {}, {"code": run.parameter("node")}) as node:
            saved = run.call("tool", "saved under a key")
            node.returns({"report": saved}, {"report": saved})
        root.returns({"report": saved}, {"report": saved})
    assert run.reached() == {"node", "tool"}


def test_a_failure_in_the_agents_own_code_is_blamed_on_what_it_had():
    run = Run()
    with pytest.raises(KeyError), run.recording():
        first = run.call("first", "one thing")
        run.call("second", "another thing", given=first)
        run.call("third", "a third thing")
        raise KeyError("absent")
    assert run.output().data == "(KeyError) 'absent'"
    assert run.reached() == {"first", "second", "third"}
