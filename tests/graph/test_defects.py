"""Defects of the Trace library that were executed there; none of them may exist here.

The numbers are sections of the study of trace-opt. A test of this file, or one of another in this
folder (behind the colon), pins each:

1.1 a node of a node drops the graph -> bundle: a_returned_node_keeps_its_graph
1.1 ":" in names fails; py_name collisions -> names_that_run_together_get_their_own_update
1.1 py_name is no identifier -> program: identifiers_are_unique_and_identifiers
1.1 "[op]" is parsed out of descriptions -> a_description_is_taken_as_it_is
1.1 copies are known by "_copy" in the name -> node: a_copy_of_a_parameter_has_its_own_value
1.1 each node has sets of parameters -> stress: an_operation_costs_the_same_below_many_parameters
1.1 a node passed twice is one parent -> operators: a_node_twice_is_two_edges
1.1 x in parents compares values, fails with numpy -> numpy_in_a_diamond
1.1 bool, len, in, if lose the edge -> bundle: reads_of_a_closure_make_the_parameter_a_parent
1.1 str(node) says "Node: (...)" -> operators: fstrings_percent_and_join_show_the_value
1.1 no int(), index, format -> operators: plain_results_of_plain_functions
1.1 no @ -> operators: matrix_product
1.1 only ten methods of str -> every_method_of_the_value_is_there
1.1 append puts the node into the list -> operators: append_is_recorded_and_history_stays
1.1 format(x=) clashes with an argument of its own -> operators: format_takes_any_keyword
1.1 ranges, generators: no iteration -> operators: iteration_over_what_has_no_length
1.1 dict(node), **node have nodes as keys -> operators: a_dictionary_can_be_unpacked
1.1 pop and append rewrite history -> operators: methods_that_change_their_container
1.1 clone and detach copy the value -> detached_data_is_shared
1.1 abs and round are recursive -> operators: unary_operators
1.1 pickle -> node: nodes_are_pickled_alone_and_parameters_with_what_is_theirs
1.2 a bare @bundle fails -> bundle: with_and_without_parentheses
1.2 an alias of the decorator -> the_decorator_goes_by_any_name
1.2 lambda, partial -> bundle: whatever_can_be_called_can_be_bundled
1.2 builtin, C, exec-defined -> what_has_no_source_can_be_bundled
1.2 info is one dict shared by all nodes -> each_call_has_inputs_of_its_own
1.2 positional-only defaults; equal keywords -> positional_only_arguments
1.2 a trainable function as an argument -> a_function_as_an_argument
1.2 nodes in the list in a node stay nodes -> bundle: the_function_sees_plain_data_at_any_depth
1.2 a parameter used by an operator inside -> bundle: reads_of_a_closure_make_the_parameter_a_parent
1.2 a parameter inside a list argument -> bundle: nodes_inside_arguments_are_parents
1.2 a parameter read in a worker -> bundle: reads_in_a_thread_with_the_context_count
1.2 except KeyError -> bundle: the_users_own_except_still_works_and_the_cause_is_chained
1.2 raise ValueError() without arguments -> bundle: the_raised_error_is_like_the_original
1.2 recursion swaps globals, by settrace -> recursion_leaves_globals_and_debuggers_alone
1.2 generators are opaque -> calls: the_items_of_a_generator_are_nodes_that_come_one_by_one
1.2 and asynchronous ones -> calls: the_items_of_an_asynchronous_generator_are_nodes
1.2 no name, doc, signature -> bundle: name_doc_and_signature
1.2 no coroutine function -> bundle: coroutine_functions_stay_coroutine_functions
1.2 slots, frozen dataclasses -> methods_of_frozen_and_slotted_dataclasses
1.2 two methods with one description collide -> bundle: methods_are_bound_to_their_instance
1.2 super() -> bundle: super_calls_the_method_of_the_parent_and_leaves_ours_in_place
1.2 stop_tracing is not re-entrant -> context: no_trace_may_be_nested
1.2 and stops other threads -> context: no_trace_holds_in_one_thread_only
1.3 long signatures -> source: the_source_is_the_def_without_decorators_and_indentation
1.3 code is executed again on each call -> source: a_changed_source_is_compiled_once
1.3 free variables are a snapshot -> source: a_live_closure
1.3 no nonlocal -> source: changed_code_may_write_to_the_closure_and_to_globals
1.3 the caller's variables stay alive -> the_callers_variables_are_not_kept
1.3 renamed functions -> source: what_cannot_stand_for_the_function_is_refused_with_a_reason
1.3 (works there) copies -> copies_keep_the_code_that_they_have
1.4 list attributes skipped, shared ones twice -> module: parameters_are_found_everywhere_and_once
1.4 properties are evaluated -> module: model_makes_a_module_of_any_class
1.4 a partial of a trainable bundle -> module: parameters_in_dataclasses_slots_and_partials
1.4 equal-looking siblings overwrite each other -> siblings_that_look_alike_stay_apart
1.4 model fails for constants, notebooks -> model_takes_any_class
1.4 model loses the name, cannot be pickled -> module: model_makes_a_module_of_any_class
1.4 states are pickles -> module: a_state_goes_through_json
1.4 prompts that parse as code are exported so -> a_prompt_that_is_code_is_exported_as_text
1.4 the instance is not called "self" -> a_prompt_that_is_code_is_exported_as_text
1.4 imports are not exported -> module: what_is_exported_runs_as_the_users_own
1.5 list_pop gives the list -> operators: methods_that_change_their_container
1.6 constants vanish from the picture -> constants_are_in_the_picture
1.6 no picture without dot -> drawing: a_notebook_shows_mermaid_where_graphviz_is_not
2 second feedback lost through detach -> backward: two_backwards_over_a_shared_node_both_arrive
2 backward twice fails -> backward: backward_may_be_called_again_and_after_the_output_is_gone
2 different feedback fails -> backward: outputs_may_get_different_feedback_in_one_sweep
2 the wrong one of equal-valued children goes -> children_of_equal_values_stay
2 numpy in a diamond -> numpy_in_a_diamond
2 merges are quadratic -> a_loop_over_one_parameter_is_linear
2 other propagators are broken -> backward: a_propagator_is_a_walk_over_the_subgraph
2 graphs are kept -> backward: inference_without_backward_leaves_nothing_on_the_parameter
2 info keeps the last arguments -> bundle: nothing_is_kept_of_a_call
2 deepcopy of long chains -> node: a_deep_copy_of_a_result_stands_alone
2 branches leave no edge -> calls: a_branch_is_a_parent_of_the_result
3.1 "def" in a value: reformatted; fences, TERMINATE -> a_prompt_shows_values_byte_for_byte
3.1 no budget -> program: a_budget_is_kept_and_variables_are_whole
3.2 "eval0" instead of names -> program: trainable_code_is_called_by_its_own_name
6 races of inputs, errors, names -> stress: threads_tasks_and_loops_have_exact_parents
"""

import asyncio
import copy
import dataclasses
import functools
import importlib.util
import re
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import trace_bridge as trace
from trace_bridge.graph import Feedback, Module, Parameter, bundle, model, node, subgraph
from trace_bridge.testing import ScriptedLLM


def reached(made):
    return set(made.backward("x").parameters)


def test_the_table_names_tests_that_exist():
    rows = re.findall(r"^\d.*? -> (?:(\w+): )?(\w+)$", __doc__, re.MULTILINE)
    assert len(rows) == __doc__.count(" -> ")
    for module, name in rows:
        file = Path(__file__).with_name(f"test_{module or 'defects'}.py")
        assert re.search(rf"^(async )?def test_{name}\(", file.read_text("utf-8"), re.MULTILINE)


def test_names_that_run_together_get_their_own_update():
    one, other = (node("old", trainable=True, name=name) for name in ("zz1:0", "zz:10"))
    llm = ScriptedLLM().when(
        '<variable name="zz1_0"', reply='<variable name="zz_10">\nnew\n</variable>'
    )
    optimizer = trace.OptoPrime([one, other], llm)
    optimizer.backward(one + other, "bad")
    assert optimizer.step().state == {"zz:10": "new"}
    assert (one.base, other.base) == ("old", "new")


def test_a_description_is_taken_as_it_is():
    for text in ("[add] not an operator", "[Node] x", "[", "]"):
        made = node(1, description=text)
        assert (made.description, made.op, made.name) == (text, "input", "input")
        operator = bundle(description=text)(lambda x: x)
        assert (operator(1).description, operator(1).op) == (text, "<lambda>")


def test_numpy_in_a_diamond():
    p, x = node(2.0, trainable=True), node(np.ones(3))
    left, right = p * x, x * p
    end = left + right
    found = subgraph({end: Feedback("differs", np.float64(0.5)), left: Feedback("is fine")})
    assert set(found.nodes) == {p, x, left, right, end}
    assert (found.score, found.parameters) == (0.5, (p,))
    assert left in set(end.parents)
    assert x not in set(end.parents)
    assert "score 0.5: differs" in found.to_program()


def test_every_method_of_the_value_is_there():
    for value in ("ab c", b"ab", [1], {"a": 1}, {1}, (1,), 1, 1.5, 1j, frozenset([1]), range(3)):
        for name in [name for name in dir(value) if name[0] != "_"]:
            mine, made = copy.copy(value), node(copy.copy(value))
            try:
                expected = getattr(mine, name)()
            except Exception as error:  # noqa: BLE001 (it wants arguments, or is no method)
                with pytest.raises(type(error)):
                    getattr(made, name)()
                continue
            if name not in ("keys", "values", "items"):  # see test_operators: test_dictionaries
                result = getattr(made, name)()
                assert repr(None if result is None else result.data) == repr(expected)
                assert repr(made.data) == repr(mine)


def test_detached_data_is_shared():
    x = node([0] * 100_000)
    assert x.detach().data is x.data


def test_the_decorator_goes_by_any_name():
    shelf, plainly = SimpleNamespace(record=bundle), lambda function: function

    @plainly
    @shelf.record(trainable=True, unsafe=True)
    @plainly
    def between(x):
        return x + 1

    assert between.parameter.base == "def between(x):\n    return x + 1\n"
    assert between(1).data == 2
    between.parameter.set("def between(x):\n    return x + 2")
    assert between(1).data == 3


def test_what_has_no_source_can_be_bundled():
    made = {}
    exec("def first(x):\n    return x[0]", made)  # noqa: S102
    p = node("a-b", trainable=True)
    for function, args, expected in [
        (made["first"], (p,), "a"),
        (len, (p,), 3),
        (str.split, (p, "-"), ["a", "b"]),
        ("{}!".format, (p,), "a-b!"),
        (functools.singledispatch(lambda x: x * 2), (p,), "a-ba-b"),
        (dict, ([("k", p)],), {"k": "a-b"}),
        (SimpleNamespace, (), SimpleNamespace()),
    ]:
        result = bundle(function)(*args)
        assert result.data == expected
        assert reached(result) == ({p} if args else set())


async def test_each_call_has_inputs_of_its_own():
    p = node(10, trainable=True)

    @bundle
    async def scaled(by, number):
        await asyncio.sleep(0)
        return by * number

    made = await asyncio.gather(*(scaled(p, number) for number in range(20)))
    assert [[parent.data for parent in item.parents] for item in made] == [
        [10, number] for number in range(20)
    ]
    assert [item.data for item in made] == [10 * number for number in range(20)]


def test_positional_only_arguments():
    @bundle
    def total(x, y=2, /, *more, z=3, **named):
        return x + y + sum(more) + z + sum(named.values())

    p = node(1, trainable=True)
    for made, expected in [(total(p), 6), (total(p, p), 5), (total(1, x=p, y=p), 8)]:
        assert made.data == expected
        assert reached(made) == {p}


def test_a_function_as_an_argument():
    @bundle(trainable=True)
    def double(x):
        return x * 2

    @bundle
    def apply(function, values):
        return [function(value).data for value in values]

    made = apply(double, [1, 2])
    assert made.data == [2, 4]
    assert reached(made) == {double.parameter}


def test_recursion_leaves_globals_and_debuggers_alone():
    seen = []

    def watch(*_):
        return None

    @bundle
    def depth(n):
        seen.append((sys.gettrace(), depth))
        return 0 if n == 0 else depth(n - 1) + 1

    before, operator = sys.gettrace(), depth
    sys.settrace(watch)
    try:
        made = depth(5)
    finally:
        sys.settrace(before)
    assert made.data == 5
    assert seen == [(watch, operator)] * 6


@dataclasses.dataclass(frozen=True)
class Frozen(Module):
    by: int

    @bundle(trainable=True)
    def scaled(self, x):
        return x * self.by


@dataclasses.dataclass(frozen=True, slots=True)
class Tight(Module):
    by: int

    @bundle(trainable=True)
    def scaled(self, x):
        return x * self.by


@pytest.mark.parametrize("kind", [Frozen, Tight])
def test_methods_of_frozen_and_slotted_dataclasses(kind):
    one, other, p = kind(3), dataclasses.replace(kind(3), by=4), node(2, trainable=True)
    assert (one.scaled(p).data, other.scaled(p).data, one.copy().scaled(p).data) == (6, 8, 6)
    assert reached(one.scaled(p)) == {p, one.scaled.parameter}
    assert list(one.state_dict()) == ["scaled:code"]
    assert (one, hash(one)) == (kind(3), hash(kind(3)))


def test_the_callers_variables_are_not_kept():
    class Big:
        pass

    def make():
        big = Big()

        @bundle(trainable=True)
        def small(x):
            return x

        return small, weakref.ref(big)

    operator, gone = make()
    assert (operator(1).data, gone()) == (1, None)


def test_copies_keep_the_code_that_they_have():
    @bundle(trainable=True, unsafe=True)
    def act(x):
        return x

    act.parameter.set("def act(x):\n    return x + 1")
    copies = [copy.copy(act), copy.deepcopy(act)]
    assert [other(1).data for other in copies] == [2, 2]
    act.parameter.set("def act(x):\n    return x + 2")
    assert [other(1).data for other in copies] == [3, 2]  # a shallow copy shares it


def test_siblings_that_look_alike_stay_apart():
    class Twins(Module):
        def __init__(self):
            self.held = [{"a": node("x", trainable=True)}, {"a": node("x", trainable=True)}]

    twins = Twins()
    twins.load_state_dict({"held/1:a": "y"})
    assert twins.state_dict() == {"held/0:a": "x", "held/1:a": "y"}


def test_model_takes_any_class():
    made = {"model": model, "node": node}
    exec(  # noqa: S102 (as a notebook does)
        "@model\nclass Typed:\n    limit = 3\n    length = staticmethod(len)\n"
        "    def __init__(self): self.p = node('x', trainable=True)\n"
        "    def __call__(self): return self.p + 'y' * self.limit\n",
        made,
    )
    typed = made["Typed"]()
    assert (typed().data, typed.length("ab"), typed.state_dict()) == ("xyyy", 2, {"self:p": "x"})
    data = model(dataclasses.make_dataclass("Data", ["p"]))(node("x", trainable=True))
    assert data.state_dict() == {"self:p": "x"}


class Exported(Module):
    def __init__(this, text):  # noqa: N805
        this.prompt = Parameter(text)

    @bundle(trainable=True)
    def act(this, text):  # noqa: N805
        return this.prompt + text


def test_a_prompt_that_is_code_is_exported_as_text(tmp_path):
    for text in ("hello", "1 + 1", 'raise_("x")', '__import__("os").getcwd()', '"""\\', "{}[0]"):
        file = tmp_path / "exported.py"
        file.write_text(Exported(text).export(), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("exported", file)
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        again = Exported("other")
        made.install(again)
        assert again.state_dict() == Exported(text).state_dict()
        assert again.act("!").data == text + "!"
        assert reached(again.act("x")) == {again.prompt, again.act.parameter}


def test_constants_are_in_the_picture():
    drawn = (node(1, trainable=True) + 41).backward("x").mermaid()
    assert '("constant<br/>41"):::input' in drawn
    assert drawn.count("-->") == 2


def test_children_of_equal_values_stay():
    for value in (1, np.ones(2)):
        p = node(1, trainable=True)
        shared = p * value
        one, other = shared + 0, shared + 0
        for output in (one, other, one):
            assert set(output.backward("x").nodes) >= {p, shared, output}
            assert shared in set(one.parents) & set(other.parents)
        assert len(p.feedback) == 3


def test_a_loop_over_one_parameter_is_linear():
    p = node(1, trainable=True)
    state = node(0)
    for _ in range(1500):
        state = state + p
    found = state.backward("x")
    assert p.feedback == [found]
    assert len(found.members) == 1500 + 2


def test_a_prompt_shows_values_byte_for_byte():
    text = 'It is definitely\n\n```python\ndef  f( x ):return x\n```\n  {"a": <b>} TERMINATE '
    p = node(text, trainable=True, name="p")
    assert f"<value>\n{text}\n</value>" in (p + "").backward("x").to_program()
